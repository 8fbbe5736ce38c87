"""What the reports of all runs that train say alike: figures of the shipped file, curves, layers, data."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from gossamer.cost.meter import measure
from gossamer.data.check import CheckReport
from gossamer.errors import ModelError
from gossamer.nn.edits.fuse import fuse
from gossamer.report import document as doc
from gossamer.runs.calibration import Calibration
from gossamer.runs.config import RuntimeConfig
from gossamer.runs.trained import NetworkValue, Trained, TrainedNetwork
from gossamer.runs.verify import Verified
from gossamer.tasks import Criterion, Task, get_task
from gossamer.types import Verdict, format_quantity
from gossamer.zoo.build import build

__all__ = ["answer_figures", "data_rows", "document_of", "headline_of", "layer_rows", "task_page"]

_FINDINGS_SHOWN = 200


def headline_of(
    config: RuntimeConfig,
    report: CheckReport,
    network: NetworkValue,
    precision: str,
    verified: Verified,
    *,
    met: bool = True,
) -> str:
    """The answer in one sentence."""
    task, size = get_task(report.dataset.task), network.size
    return (
        f"{network.label} at {size} in {precision} {task.verb} "
        f"{task.told(verified.score, verified.pictures)}, "
        f"in {verified.latency['p50_ms']:.2f} ms and {verified.size_bytes / 1e6:.2f} MB "
        f"on {config.on} with {config.threads} thread{'s' if config.threads > 1 else ''}"
        f"{'' if met else ': the budget is not met'}."
    )


def document_of(
    config: RuntimeConfig,
    report: CheckReport,
    trained: Trained,
    network: TrainedNetwork,
    verified: Verified,
    *,
    precision: str,
    verdicts: Sequence[Verdict],
    met: bool,
    command: str,
    provenance: dict[str, str],
    tried: Sequence[doc.TriedRow] = (),
    compression: Sequence[doc.CompressionRow] = (),
    notes: Sequence[str] = (),
) -> doc.FitDocument:
    """The document of a run that trained `network` and ships the verified file.

    `tried`, `compression` and `notes` are what the run has beside that; `verdicts` judge the file by the budget.
    """
    task = get_task(report.dataset.task)
    flagged = bool(verified.latency_flags)
    splits, findings = data_rows(report)
    return doc.FitDocument(
        title=report.dataset.name,
        created=provenance["created"],
        command=command,
        met=met,
        headline=headline_of(config, report, network.network, precision, verified, met=met),
        budget=[_budget_line(v) for v in verdicts],
        figures=[
            *_figures(config, task, network.network, verified, "flagged" if flagged else "measured"),
            *answer_figures(verified.details, verified.calibration),
            *_probe_figure(task, trained, network),
        ],
        tried=list(tried),
        curves=_curves(trained, network),
        labels=list(report.dataset.labels),
        task=task_page(task, verified.details),
        worst=[doc.WorstPicture(**row.model_dump()) for row in verified.worst],
        compression=list(compression),
        layers=layer_rows(build(network.network.model_spec).eval(), network.network.input_contract.shape),
        splits=splits,
        pictures=len(report.dataset.samples),
        findings=findings,
        flags=_flags(report, task, verified),
        notes=[*_notes(report, trained, network, verified), *trained.notes, *notes],
        provenance=provenance,
    )


def task_page(task: Task, details: dict[str, Any]) -> doc.TaskPage:
    """What the page says of the answers."""
    return doc.TaskPage(
        words=task.headline.words,
        nouns=task.nouns or "ranges of values",
        shares="points" not in details,
        **details,
    )


def _budget_line(verdict: Verdict) -> doc.BudgetLine:
    limit = verdict.limit
    return doc.BudgetLine(
        metric=limit.metric, op=limit.op, limit=limit.value, measured=verdict.measured, met=verdict.met
    )


def _figures(
    config: RuntimeConfig, task: Task, network: NetworkValue, verified: Verified, timed: doc.Origin
) -> list[doc.Figure]:
    latency = verified.latency
    return [
        *(_task_figure(each, verified) for each in task.criteria),
        doc.Figure(
            label="Latency, median",
            value=f"{latency['p50_ms']:.2f} ms",
            origin=timed,
            note=f"{latency['runs']} runs on {config.threads} thread{'s' if config.threads > 1 else ''}",
        ),
        doc.Figure(
            label="Latency, 95 %",
            value=f"{latency['p95_ms']:.2f} ms",
            origin=timed,
            note=f"best {latency['min_ms']:.2f} ms",
        ),
        doc.Figure(
            label="File",
            value=format_quantity("size", verified.size_bytes),
            origin="measured",
            note=f"{verified.size_bytes:,} bytes",
        ),
        doc.Figure(
            label="Peak memory",
            value=format_quantity("memory", verified.memory_bytes),
            origin="measured",
            note=f"whole process; the file adds {format_quantity('memory', verified.model_memory_bytes)}",
        ),
        doc.Figure(label="Parameters", value=format_quantity("params", network.params), origin="counted"),
        doc.Figure(
            label="Multiply-accumulates",
            value=format_quantity("macs", network.macs),
            origin="counted",
            note=f"at {network.size}",
        ),
        doc.Figure(
            label="Agreement with torch",
            value=f"{100 * verified.parity_agreement:.0f} %",
            origin="measured",
            note=f"same answers on validation pictures; outputs differ by {verified.parity_max_difference:.2g} at most",
        ),
    ]


def answer_figures(details: Mapping[str, Any], sure: Calibration | None) -> list[doc.Figure]:
    """The best five of many classes, and how far the file is as sure as it is right."""
    figures = []
    if (top5 := details.get("top5")) is not None:
        note = "of test pictures have their class among the best five"
        figures.append(
            doc.Figure(label="Top-5 accuracy", value=f"{100 * top5:.1f} %", origin="measured", note=note)
        )
    if sure is not None:
        error = f"{100 * sure.ece:.1f} %"
        figures.append(doc.Figure(label="Calibration error", value=error, origin="measured", note=sure.told))
    return figures


def _probe_figure(task: Task, trained: Trained, network: TrainedNetwork) -> list[doc.Figure]:
    """What the features give without training, beside what training made of them."""
    if trained.probe is None:
        return []
    return [
        doc.Figure(
            label="Linear probe",
            value=task.headline.shown(trained.probe),
            origin="measured",
            note=f"of validation, before any training; the network {task.headline.shown(network.score)} after it",
        )
    ]


def _task_figure(criterion: Criterion, verified: Verified) -> doc.Figure:
    low, high = verified.intervals[criterion.name]
    between = (
        f"95 % between {100 * low:.1f} and {100 * high:.1f}"
        if criterion.share and criterion.percent
        else f"95 % between {low:.4g} and {high:.4g}"
    )
    return doc.Figure(
        label=f"Test {criterion.words}",
        value=criterion.shown(verified.figures[criterion.name]),
        origin="measured",
        note=f"{verified.pictures} pictures, {between}",
    )


def _curves(trained: Trained, network: TrainedNetwork) -> list[doc.Curve]:
    networks = [*trained.networks, *([trained.teacher] if trained.teacher is not None else [])]
    return [
        doc.Curve(
            name=n.network.key + (" (teacher)" if n is trained.teacher else ""),
            chosen=n is not trained.teacher and n.network.key == network.network.key,
            points=[
                doc.CurvePoint(
                    seconds=p.seconds,
                    epoch=p.passes,
                    train_loss=p.train_loss,
                    val_loss=p.val_loss,
                    val_score=p.val_score,
                )
                for p in n.points
            ],
        )
        for n in networks
    ]


def data_rows(report: CheckReport | None) -> tuple[list[doc.SplitRow], list[doc.FindingRow]]:
    """What the page says of the pictures; nothing without any."""
    if report is None:
        return [], []
    splits = [doc.SplitRow(label=label, **counts) for label, counts in report.counts().items()]
    return splits, [
        doc.FindingRow(severity=f.severity, code=f.code, message=f.message)
        for f in report.findings[:_FINDINGS_SHOWN]
    ]


def layer_rows(whole: nn.Module, shape: Sequence[int]) -> list[doc.LayerRow]:
    """Of the graph that ships: norms and branches are folded into its convolutions."""
    with contextlib.suppress(
        ModelError
    ):  # a stranger's data flow that cannot be followed is counted as it is
        whole = fuse(whole)
    cost = measure(whole, shape)
    return [
        doc.LayerRow(
            name=layer.name or "(network)",
            kind=layer.kind,
            output="x".join(str(n) for n in layer.output[1:]),
            params=layer.params,
            macs=layer.macs,
            bytes=layer.bytes_read + layer.bytes_written,
        )
        for layer in cost.layers
    ]


def _flags(report: CheckReport, task: Task, verified: Verified) -> list[str]:
    flags = [f"latency: {flag}" for flag in verified.latency_flags]
    if verified.pictures < 100:
        flags.append(
            f"{task.headline.words}: only {verified.pictures} test pictures, it {task.a_picture(verified.pictures)}"
        )
    errors = sum(f.severity == "error" for f in report.findings)
    if errors:
        flags.append(f"data: {errors} errors found and skipped, listed under Data")
    return flags


def _notes(report: CheckReport, trained: Trained, network: TrainedNetwork, verified: Verified) -> list[str]:
    up = {
        "aerial": f"pictures show no up (top-bottom against left-right difference {report.upright:.2f}): trained with all turns and mirrors",
        "ground": f"pictures show an up (top-bottom against left-right difference {report.upright:.2f}): trained with mirrors left to right only",
    }
    weights = network.network.weights
    start = (
        f"started from published ImageNet weights ({weights})"
        if weights
        else "trained from nothing: no published weights at hand"
    )
    notes = [
        f"{network.network.model_spec.label}: {start}; trained {network.seconds:.0f} s",
        up[trained.view],
    ]
    if trained.lost or verified.lost:
        lost = sorted({*trained.lost, *verified.lost})
        notes.append(
            f"{len(lost)} pictures could no longer be read during the run and were left out, first {lost[0]}"
        )
    return notes
