"""Where a bundle comes from, written in one place: machine, versions, seeds, data (no torch)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from gossamer._machine import describe_machine, versions
from gossamer.data.check import CheckReport
from gossamer.runs.config import RunConfig

__all__ = ["provenance"]


def provenance(
    config: RunConfig, run: Path, *, report: CheckReport | None = None, more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What made a bundle, as lines for a person; `more` is what only one verb knows of."""
    machine = describe_machine()
    data = {}
    if report is not None:
        data = {
            "data": f"{report.dataset.name}, {len(report.dataset.samples)} pictures",
            "data fingerprint": report.fingerprint,
            "split seed": str(config.split_seed),
            "split": report.split_digest,
        }
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **(more or {}),
        **data,
        "seed": str(config.seed),
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB",
        "system": f"{machine['system']}, Python {machine['python']}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "run": run.name,
    }
