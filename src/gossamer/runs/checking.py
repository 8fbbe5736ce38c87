"""The first stage of every run: the data doctor, and the split."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gossamer.data.check import CheckReport, check
from gossamer.deploy.bundle import Bundle
from gossamer.errors import ModelError, RunFolderError
from gossamer.fit.config import RunConfig
from gossamer.fit.folder import RunFolder
from gossamer.fit.reporter import Reporter

__all__ = ["check_seed", "checked_data"]


class _Checked(BaseModel):
    """What the check stage leaves: enough to see that a resumed run has the same data."""

    fingerprint: str
    report: dict[str, Any]


def check_seed(bundle: Bundle, report: CheckReport, seed: int) -> None:
    """A network that was trained on these data has seen what another seed holds back.

    Raises:
        ModelError: it was trained on another split of the same pictures.
    """
    told, theirs = bundle.provenance, str(bundle.provenance.get("seed", seed))
    given = {sample.split for sample in report.dataset.samples}
    if told.get("data fingerprint") != report.fingerprint or theirs == str(seed) or None not in given:
        return
    raise ModelError(
        f"{bundle.folder} was trained on these pictures as seed {theirs} splits them, and has seen some that seed {seed} "
        f"holds back to validate and test; use --seed {theirs}"
    )


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
