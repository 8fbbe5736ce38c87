"""What the report says: the results of all stages as one document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from gossamer.cost.meter import measure
from gossamer.data.check import CheckReport
from gossamer.fit.compression import Compressed
from gossamer.fit.config import FitConfig
from gossamer.fit.shortlist import Measured, Shortlist
from gossamer.fit.training import Trained, TrainedNetwork
from gossamer.fit.verification import Verified
from gossamer.report import document as doc
from gossamer.types import Verdict, format_quantity
from gossamer.zoo.build import build

__all__ = ["Outcome", "document_of"]

_FINDINGS_SHOWN = 200


class Outcome(BaseModel):
    """All stages but the last."""

    shortlist: Shortlist
    trained: Trained
    compressed: Compressed
    verified: Verified


def document_of(
    config: FitConfig,
    report: CheckReport,
    outcome: Outcome,
    network: TrainedNetwork,
    verdicts: Sequence[Verdict],
    met: bool,
    created: str,
    provenance: Mapping[str, str],
    *,
    command: str | None = None,
) -> doc.FitDocument:
    """The document of a run: `verdicts` judge the shipped file, `provenance` says where it comes from.

    `command` is what made it where that was not `gossamer fit`.
    """
    verified, compressed = outcome.verified, outcome.compressed
    flagged = bool(verified.latency_flags)
    return doc.FitDocument(
        title=report.dataset.name,
        created=created,
        command=command or _command(config, report, outcome),
        met=met,
        headline=_headline(config, network, compressed, verified, met),
        budget=[_budget_line(v) for v in verdicts],
        figures=_figures(config, network, verified, "flagged" if flagged else "measured"),
        tried=_tried(outcome, network),
        curves=_curves(outcome.trained, network),
        labels=list(report.dataset.labels),
        confusion=verified.confusion,
        classes=[doc.ClassScore(**row.model_dump()) for row in verified.classes],
        worst=[doc.WorstPicture(**row.model_dump()) for row in verified.worst],
        compression=[
            doc.CompressionRow(
                precision=row.precision,
                size_bytes=row.size_bytes,
                latency_ms=row.latency_ms,
                accuracy=row.accuracy,
                drop=row.drop,
                chosen=row.reason.startswith("kept"),
                reason=f"{row.setting}; {row.reason}",
            )
            for row in compressed.rows
            if row.network == network.candidate.key
        ],
        layers=_layers(report, network),
        splits=[doc.SplitRow(label=label, **counts) for label, counts in report.counts().items()],
        findings=[
            doc.FindingRow(severity=f.severity, code=f.code, message=f.message)
            for f in report.findings[:_FINDINGS_SHOWN]
        ],
        flags=_flags(report, outcome),
        notes=[*_notes(report, outcome, network), *outcome.trained.notes, *compressed.notes],
        provenance=dict(provenance),
    )


def _command(config: FitConfig, report: CheckReport, outcome: Outcome) -> str:
    parts = ["gossamer", "fit", _quoted(config.data), "--within", f'"{config.within}"', "--on", config.on]
    parts += [
        "--threads",
        str(config.threads),
        "--minutes",
        f"{config.minutes:g}",
        "--max-drop",
        f"{100 * config.max_drop:g}%",
    ]
    if config.groups is not None:
        parts += ["--groups", _quoted(config.groups)]
    for option, value, usual in (
        ("--bands", config.bands, "auto"),
        ("--view", config.view, "auto"),
        ("--teacher", config.teacher, "auto"),
        ("--on-bad", config.on_bad, "skip"),
    ):
        parts += [option, value] if value != usual else []
    parts += ["--online"] if config.online else []
    return " ".join([*parts, "--seed", str(config.seed)])


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text


def _headline(
    config: FitConfig, network: TrainedNetwork, compressed: Compressed, verified: Verified, met: bool
) -> str:
    size = network.candidate.size
    return (
        f"{network.candidate.label} at {size}x{size} in {compressed.precision} names "
        f"{100 * verified.accuracy:.1f} % of {verified.pictures} test pictures right, "
        f"in {verified.latency['p50_ms']:.2f} ms and {verified.size_bytes / 1e6:.2f} MB "
        f"on {config.on} with {config.threads} thread{'s' if config.threads > 1 else ''}"
        f"{'' if met else ': the budget is not met'}."
    )


def _budget_line(verdict: Verdict) -> doc.BudgetLine:
    limit = verdict.limit
    return doc.BudgetLine(
        metric=limit.metric, op=limit.op, limit=limit.value, measured=verdict.measured, met=verdict.met
    )


def _figures(
    config: FitConfig, network: TrainedNetwork, verified: Verified, timed: doc.Origin
) -> list[doc.Figure]:
    low, high = verified.interval
    latency = verified.latency
    return [
        doc.Figure(
            label="Test accuracy",
            value=f"{100 * verified.accuracy:.1f} %",
            origin="measured",
            note=f"{verified.pictures} pictures, 95 % between {100 * low:.1f} and {100 * high:.1f}",
        ),
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
        doc.Figure(
            label="Parameters", value=format_quantity("params", network.candidate.params), origin="counted"
        ),
        doc.Figure(
            label="Multiply-accumulates",
            value=format_quantity("macs", network.candidate.macs),
            origin="counted",
            note=f"at {network.candidate.size}x{network.candidate.size}",
        ),
        doc.Figure(
            label="Agreement with torch",
            value=f"{100 * verified.parity_agreement:.0f} %",
            origin="measured",
            note=f"same class on validation pictures; scores differ by {verified.parity_max_difference:.2g} at most",
        ),
    ]


def _tried(outcome: Outcome, network: TrainedNetwork) -> list[doc.TriedRow]:
    rows: list[doc.TriedRow] = []
    trained = {n.candidate.key: n for n in outcome.trained.networks}
    files = {(r.network, str(r.precision)): r for r in outcome.compressed.rows}
    shortlisted = {c.key for c in outcome.shortlist.chosen}
    for item in outcome.shortlist.measured:
        candidate = item.candidate
        for file in item.files:
            made = files.get((candidate.key, file.precision))
            fit = trained.get(candidate.key)
            accuracy = made.accuracy if made is not None else fit.accuracy if fit is not None else None
            chosen = candidate.key == network.candidate.key and file.precision == outcome.compressed.precision
            rows.append(
                doc.TriedRow(
                    name=candidate.name,
                    input=f"{candidate.size}x{candidate.size}",
                    precision=file.precision,
                    params=candidate.params,
                    macs=candidate.macs,
                    size_bytes=outcome.verified.size_bytes
                    if chosen
                    else made.size_bytes
                    if made
                    else file.size_bytes,
                    latency_ms=outcome.verified.latency["p50_ms"]
                    if chosen
                    else made.latency_ms
                    if made
                    else file.latency_ms,
                    accuracy=accuracy,
                    status=_status(
                        item,
                        file.precision,
                        chosen=chosen,
                        trained=fit is not None,
                        shortlisted=candidate.key in shortlisted,
                    ),
                    note=_tried_note(fit, made is not None),
                )
            )
        if not item.files:
            rows.append(_unmeasured(item))
    return rows


def _status(item: Measured, precision: str, *, chosen: bool, trained: bool, shortlisted: bool) -> Any:
    if chosen:
        return "chosen"
    if precision not in item.fits:
        return "over budget"
    if trained:
        return "trained"
    return "shortlisted" if shortlisted else "passed over"


def _tried_note(fit: TrainedNetwork | None, made: bool) -> str:
    if fit is None:
        return ""
    where = "of the file" if made else "in torch, fp32"
    return f"accuracy {where}; trained {fit.seconds:.0f} s"


def _unmeasured(item: Measured) -> doc.TriedRow:
    candidate = item.candidate
    return doc.TriedRow(
        name=candidate.name,
        input=f"{candidate.size}x{candidate.size}",
        precision="–",
        params=candidate.params,
        macs=candidate.macs,
        size_bytes=None,
        latency_ms=None,
        accuracy=None,
        status="refused",
        note=item.note,
    )


def _curves(trained: Trained, network: TrainedNetwork) -> list[doc.Curve]:
    networks = [*trained.networks, *([trained.teacher] if trained.teacher is not None else [])]
    return [
        doc.Curve(
            name=n.candidate.key + (" (teacher)" if n is trained.teacher else ""),
            chosen=n is not trained.teacher and n.candidate.key == network.candidate.key,
            points=[
                doc.CurvePoint(
                    seconds=p.seconds,
                    epoch=p.passes,
                    train_loss=p.train_loss,
                    val_loss=p.val_loss,
                    val_accuracy=p.val_accuracy,
                )
                for p in n.points
            ],
        )
        for n in networks
    ]


def _layers(report: CheckReport, network: TrainedNetwork) -> list[doc.LayerRow]:
    cost = measure(
        build(network.candidate.spec(len(report.dataset.labels))), network.candidate.input_contract().shape
    )
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


def _flags(report: CheckReport, outcome: Outcome) -> list[str]:
    flags = [f"latency: {flag}" for flag in outcome.verified.latency_flags]
    if outcome.verified.pictures < 100:
        flags.append(
            f"accuracy: only {outcome.verified.pictures} test pictures, one moves it by {100 / outcome.verified.pictures:.1f} points"
        )
    errors = sum(f.severity == "error" for f in report.findings)
    if errors:
        flags.append(f"data: {errors} errors found and skipped, listed under Data")
    return flags


def _notes(report: CheckReport, outcome: Outcome, network: TrainedNetwork) -> list[str]:
    trained = outcome.trained
    up = {
        "aerial": f"pictures show no up (top-bottom against left-right difference {report.upright:.2f}): trained with all turns and mirrors",
        "ground": f"pictures show an up (top-bottom against left-right difference {report.upright:.2f}): trained with mirrors left to right only",
    }
    weights = network.candidate.weights
    start = (
        f"started from published ImageNet weights ({weights})"
        if weights
        else "trained from nothing: no published weights at hand"
    )
    notes = [f"{network.candidate.name}: {start}; trained {network.seconds:.0f} s", up[trained.view]]
    if trained.lost or outcome.verified.lost:
        lost = sorted({*trained.lost, *outcome.verified.lost})
        notes.append(
            f"{len(lost)} pictures could no longer be read during the run and were left out, first {lost[0]}"
        )
    return notes
