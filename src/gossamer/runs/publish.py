"""The last stage of a run that trained: the bundle, its card and the report, judged on the shipped file alone."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gossamer._files import write_text
from gossamer._text import code_span, markdown
from gossamer.data.check import CheckReport
from gossamer.deploy import bundle
from gossamer.deploy.file_metadata import file_metadata
from gossamer.report import document as doc
from gossamer.report.html import render
from gossamer.runs.config import RuntimeConfig
from gossamer.runs.folder import RunFolder
from gossamer.runs.trained import NetworkValue, TrainedNetwork
from gossamer.runs.verify import Verified
from gossamer.tasks import get_task

__all__ = ["Published", "measured_answer", "measured_metrics", "metadata_of", "publish"]


class Published(BaseModel):
    """Where everything lies, and whether the budget was met."""

    bundle: str
    report: str
    met: bool
    headline: str
    budget: list[doc.BudgetLine]


def metadata_of(report: CheckReport, network: NetworkValue, precision: str) -> dict[str, Any]:
    """What travels inside the exported file of a run."""
    task = get_task(report.dataset.task)
    document = file_metadata(
        network.model_spec,
        network.input_contract,
        report.dataset.labels,
        precision,
        task=task.name,
        outputs=task.outputs,
    )
    return {**document, "data": {"name": report.dataset.name, "fingerprint": report.fingerprint}}


def publish(
    config: RuntimeConfig,
    report: CheckReport,
    network: TrainedNetwork,
    verified: Verified,
    document: doc.FitDocument,
    run: RunFolder,
    *,
    precision: str,
    budget: str = "",
) -> Published:
    """Write the bundle and the report beside it."""
    page = render(document)
    saved = bundle.save(
        run.path / "bundle",
        spec=network.network.model_spec,
        weights=run.path / network.folder / "best.safetensors",
        task=report.dataset.task,
        labels=report.dataset.labels,
        contract=network.network.input_contract,
        files=[(config.on, precision, config.threads, run.path / verified.file)],
        measured={**verified.measured(), "budget": budget, "met": document.met},
        provenance=document.provenance,
        texts={"report.html": page},
        card=_card(document, report),
        temperatures=[verified.temperature],
    )
    write_text(run.path / "report.json", document.model_dump_json(indent=1) + "\n")
    write_text(run.path / "report.html", page)
    return Published(
        bundle=saved.folder.relative_to(run.path).as_posix(),
        report="report.html",
        met=document.met,
        headline=document.headline,
        budget=document.budget,
    )


def measured_metrics(verified: Verified, network: NetworkValue) -> dict[str, float]:
    """The budget's metrics as measured on the shipped file, in base units."""
    return {
        **verified.figures,
        "latency": float(verified.latency["p50_ms"]),
        "size": float(verified.size_bytes),
        "memory": float(verified.memory_bytes),
        "params": float(network.params),
        "macs": float(network.macs),
    }


def measured_answer(saved: bundle.Bundle) -> dict[str, Any]:
    """What a verb answers of a bundle's figures: those of the task with their intervals, latency, size, memory."""
    measured = saved.measured
    names = [each.name for each in get_task(saved.task).criteria]
    return {
        name: measured[name]
        for name in (*names, "interval", "intervals", "pictures", "latency", "size_bytes", "memory_bytes")
        if name in measured
    }


def _card(document: doc.FitDocument, report: CheckReport) -> str:
    figures = "\n".join(
        f"| {' | '.join(markdown(text) for text in (f.label, f.value, f.origin, f.note))} |"
        for f in document.figures
    )
    budget = "\n".join(
        f"| {b.metric} {markdown(b.limit_text)} | {b.measured_text} | {'met' if b.met else 'not met'} |"
        for b in document.budget
    )
    origin = "\n".join(f"- {key}: {markdown(value)}" for key, value in document.provenance.items())
    notes = "\n".join(f"- {markdown(note)}" for note in [*document.flags, *document.notes])
    task = get_task(report.dataset.task)
    noun = task.nouns or task.noun
    return (
        f"# {markdown(document.title)}\n\n{markdown(document.headline)}\n\n"
        f"{noun.capitalize()}: {', '.join(map(markdown, report.dataset.labels))}.\n\n"
        f"## Budget\n\n| limit | measured | |\n|---|---|---|\n{budget}\n\n"
        f"## Figures of the shipped file\n\n| figure | value | origin | |\n|---|---|---|---|\n{figures}\n\n"
        f"## Notes\n\n{notes}\n\n## Made by\n\n- command: {code_span(document.command)}\n{origin}\n"
    )
