"""Stage 6: the bundle, its card and the report."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from gossamer._files import write_text
from gossamer._machine import describe_machine, versions
from gossamer.data.check import CheckReport
from gossamer.deploy import bundle
from gossamer.deploy.file_metadata import file_metadata
from gossamer.fit.compression import Compressed
from gossamer.fit.config import FitConfig
from gossamer.fit.folder import RunFolder
from gossamer.fit.page import Outcome, document_of
from gossamer.fit.training import TrainedNetwork
from gossamer.fit.verification import Verified
from gossamer.report import document as doc
from gossamer.report.html import render

__all__ = ["Published", "metadata_of", "publish"]


class Published(BaseModel):
    """Where everything lies, and whether the budget was met."""

    bundle: str
    report: str
    met: bool
    headline: str
    budget: list[doc.BudgetLine]


def metadata_of(report: CheckReport, network: TrainedNetwork, compressed: Compressed) -> dict[str, Any]:
    """What travels inside the exported file of a run."""
    labels = report.dataset.labels
    candidate = network.candidate
    found = file_metadata(
        candidate.spec(len(labels)), candidate.input_contract(), labels, compressed.precision
    )
    return {**found, "data": {"name": report.dataset.name, "fingerprint": report.fingerprint}}


def publish(
    config: FitConfig, report: CheckReport, outcome: Outcome, run: RunFolder, *, command: str | None = None
) -> Published:
    """Write the bundle and the report beside it, judged on the shipped file alone; without a budget all is met."""
    verified, compressed = outcome.verified, outcome.compressed
    network = next(n for n in outcome.trained.networks if n.candidate.key == compressed.network)
    verdicts = config.budget.judge(measured_metrics(verified, network)) if config.within else []
    met = all(v.met for v in verdicts) and compressed.met
    created = datetime.now(UTC).isoformat(timespec="seconds")
    provenance = _provenance(config, report, run, created)
    document = document_of(
        config, report, outcome, network, verdicts, met, created, provenance, command=command
    )
    page = render(document)
    contract = network.candidate.input_contract()
    saved = bundle.save(
        run.path / "bundle",
        spec=network.candidate.spec(len(report.dataset.labels)),
        weights=run.path / network.folder / "best.safetensors",
        task="classify",
        labels=report.dataset.labels,
        contract=contract,
        files=[(config.on, compressed.precision, config.threads, run.path / verified.file)],
        measured={**verified.model_dump(exclude={"worst"}), "budget": config.within, "met": met},
        provenance=provenance,
        texts={"MODEL_CARD.md": _card(document, report), "report.html": page},
    )
    write_text(run.path / "report.json", document.model_dump_json(indent=1) + "\n")
    write_text(run.path / "report.html", page)
    return Published(
        bundle=saved.folder.relative_to(run.path).as_posix(),
        report="report.html",
        met=met,
        headline=document.headline,
        budget=document.budget,
    )


def measured_metrics(verified: Verified, network: TrainedNetwork) -> dict[str, float]:
    """The budget's metrics as measured on the shipped file, in base units."""
    return {
        "latency": float(verified.latency["p50_ms"]),
        "size": float(verified.size_bytes),
        "memory": float(verified.memory_bytes),
        "accuracy": verified.accuracy,
        "params": float(network.candidate.params),
        "macs": float(network.candidate.macs),
    }


def _provenance(config: FitConfig, report: CheckReport, run: RunFolder, created: str) -> dict[str, str]:
    machine = describe_machine()
    return {
        "created": created,
        "data": f"{report.dataset.name}, {len(report.dataset.samples)} pictures",
        "data fingerprint": report.fingerprint,
        "seed": str(config.seed),
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB",
        "system": f"{machine['system']}, Python {machine['python']}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "run": run.path.name,
    }


def _card(document: doc.FitDocument, report: CheckReport) -> str:
    figures = "\n".join(f"| {f.label} | {f.value} | {f.origin} | {f.note} |" for f in document.figures)
    budget = "\n".join(
        f"| {b.metric} {b.limit_text} | {b.measured_text} | {'met' if b.met else 'not met'} |"
        for b in document.budget
    )
    origin = "\n".join(f"- {key}: {value}" for key, value in document.provenance.items())
    notes = "\n".join(f"- {note}" for note in [*document.flags, *document.notes])
    return (
        f"# {document.title}\n\n{document.headline}\n\n"
        f"Classes: {', '.join(report.dataset.labels)}.\n\n"
        f"## Budget\n\n| limit | measured | |\n|---|---|---|\n{budget}\n\n"
        f"## Figures of the shipped file\n\n| figure | value | origin | |\n|---|---|---|---|\n{figures}\n\n"
        f"## Notes\n\n{notes}\n\n## Made by\n\n- command: `{document.command}`\n{origin}\n"
    )
