"""The first stage of every run: the data doctor, and the split."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gossamer.data.check import CheckReport, check
from gossamer.errors import RunFolderError
from gossamer.fit.config import RunConfig
from gossamer.fit.folder import RunFolder
from gossamer.fit.reporter import Reporter

__all__ = ["checked_data"]


class _Checked(BaseModel):
    """What the check stage leaves: enough to see that a resumed run has the same data."""

    fingerprint: str
    report: dict[str, Any]


def checked_data(config: RunConfig, run: RunFolder, reporter: Reporter, *, heading: str) -> CheckReport:
    """Opened again at every start: seconds, and the only way to know that a resumed run has the same data.

    Raises:
        DataError, RunFolderError: the data cannot be used, or changed since the run began.
    """
    reporter.heading(heading)
    with reporter.bar("reading", 1.0) as bar:
        report = check(
            config.data,
            on_bad=config.on_bad,
            groups=config.groups,
            bands=config.bands,
            seed=config.seed,
            tick=lambda done, total: bar.update(done / total),
        )
    kept = run.stage(
        "1-check", _Checked, lambda: _Checked(fingerprint=report.fingerprint, report=report.to_json())
    )
    if kept.fingerprint != report.fingerprint:
        raise RunFolderError(
            f"--resume needs the same data, the pictures in {config.data} changed since {run.path} began; start a new run with another --out"
        )
    counts = {name: len(report.split.of(name)) for name in ("train", "val", "test")}
    reporter.line(
        f"{len(report.dataset.samples)} pictures, {len(report.dataset.labels)} classes; "
        + ", ".join(f"{name} {count}" for name, count in counts.items())
        + (f"; {len(report.skipped)} skipped" if report.skipped else "")
    )
    for finding in report.findings[:8]:
        reporter.line(
            f"{finding.severity}: {finding.message}",
            style="yellow" if finding.severity != "note" else "dim",
        )
    if len(report.findings) > 8:
        reporter.line(
            f"and {len(report.findings) - 8} more, in the report and in `gossamer check {config.data}`",
            style="dim",
        )
    return report
