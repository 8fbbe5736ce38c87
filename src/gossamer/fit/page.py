"""What the main job alone has for its report: everything that was tried, and what compression came to."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gossamer.data.check import CheckReport
from gossamer.fit.compression import Compressed
from gossamer.fit.config import FitConfig
from gossamer.fit.shortlist import FileFigures, Measured, Shortlist
from gossamer.report import document as doc
from gossamer.runs.folder import RunFolder
from gossamer.runs.options import command_line
from gossamer.runs.page import document_of
from gossamer.runs.provenance import provenance
from gossamer.runs.publish import Published, measured_metrics, publish
from gossamer.runs.starved import starved, with_starved
from gossamer.runs.trained import Trained, TrainedNetwork
from gossamer.runs.verify import Verified

__all__ = ["Outcome", "publish_outcome"]


class Outcome(BaseModel):
    """All stages but the last."""

    shortlist: Shortlist
    trained: Trained
    compressed: Compressed
    verified: Verified


def publish_outcome(
    config: FitConfig, report: CheckReport, outcome: Outcome, network: TrainedNetwork, run: RunFolder
) -> Published:
    """Write bundle and report, judged by the budget on the shipped file."""
    verified, compressed = outcome.verified, outcome.compressed
    verdicts = config.budget.judge(measured_metrics(verified, network.network))
    document = document_of(
        config,
        report,
        outcome.trained,
        network,
        verified,
        precision=compressed.precision,
        verdicts=verdicts,
        met=all(v.met for v in verdicts) and compressed.met,
        command=command_line("fit", config),
        provenance=provenance(config, run.path, report=report),
        tried=_tried(outcome, network),
        compression=_compression(compressed, network),
        notes=compressed.notes,
    )
    document = with_starved(document, starved(network, config.minutes))
    return publish(
        config,
        report,
        network,
        verified,
        document,
        run,
        precision=compressed.precision,
        budget=config.within,
    )


def _compression(compressed: Compressed, network: TrainedNetwork) -> list[doc.CompressionRow]:
    return [
        doc.CompressionRow(
            precision=row.precision,
            size_bytes=row.size_bytes,
            latency_ms=row.latency_ms,
            score=row.score,
            drop=row.drop,
            chosen=row.reason.startswith("kept"),
            reason="; ".join(
                filter(None, (row.setting, row.reason, "" if row.paired is None else row.paired.told))
            ),
        )
        for row in compressed.rows
        if row.network == network.network.key
    ]


def _tried(outcome: Outcome, network: TrainedNetwork) -> list[doc.TriedRow]:
    rows: list[doc.TriedRow] = []
    for item in outcome.shortlist.measured:
        rows += [_tried_file(outcome, network, item, file) for file in item.files]
        if not item.files:
            rows.append(_unmeasured(item))
    return rows


def _tried_file(outcome: Outcome, network: TrainedNetwork, item: Measured, file: FileFigures) -> doc.TriedRow:
    candidate = item.candidate
    trained = {n.network.key: n for n in outcome.trained.networks}
    made = {(r.network, str(r.precision)): r for r in outcome.compressed.rows}.get(
        (candidate.key, file.precision)
    )
    fit = trained.get(candidate.key)
    chosen = candidate.key == network.network.key and file.precision == outcome.compressed.precision
    size, latency = (file.size_bytes, file.latency_ms)
    if made is not None:
        size, latency = made.size_bytes, made.latency_ms
    if chosen:
        size, latency = outcome.verified.size_bytes, outcome.verified.latency["p50_ms"]
    return doc.TriedRow(
        name=candidate.name,
        input=f"{candidate.size}x{candidate.size}",
        precision=file.precision,
        params=candidate.params,
        macs=candidate.macs,
        size_bytes=size,
        latency_ms=latency,
        score=made.score if made is not None else fit.score if fit is not None else None,
        status=_status(
            item,
            file.precision,
            chosen=chosen,
            trained=fit is not None,
            shortlisted=candidate.key in {c.key for c in outcome.shortlist.chosen},
        ),
        note=_tried_note(fit, made is not None),
    )


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
    return f"score {where}; trained {fit.seconds:.0f} s"


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
        score=None,
        status="refused",
        note=item.note,
    )
