"""gossamer check: the data doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gossamer.cli._common import print_json, print_lines
from gossamer.cli._verb import verb_of
from gossamer.runs.check_config import CheckConfig

if TYPE_CHECKING:
    from gossamer.data.check import CheckReport

__all__ = ["check_verb"]


def _check(config: CheckConfig, *, json: bool) -> None:
    """Say what would hurt a training run, one line a finding, and how the pictures would be split."""
    from gossamer.runs.checking import opened
    from gossamer.runs.reporter import RichReporter

    config.check()
    with RichReporter().bar("reading", 1.0) as bar:
        report = opened(config.data, config, tick=lambda done, total: bar.update(done / total))
    if json:
        print_json(report.to_json())
    else:
        print_lines(_lines(report))


def _lines(report: CheckReport) -> list[str]:
    from gossamer.runs.checking import finding_lines, labels_told
    from gossamer.tasks import get_task

    counts, noun = report.counts(), get_task(report.dataset.task).noun
    width = max(len(noun), *(len(label) for label in counts))
    return [
        f"{len(report.dataset.samples)} pictures of {labels_told(report)}, median short side {report.short_side} px",
        *([f"bands {', '.join(report.bands.names)}"] if report.bands is not None else []),
        "",
        f"{noun:{width}}  train    val   test",
        *(f"{label:{width}}  {c['train']:5}  {c['val']:5}  {c['test']:5}" for label, c in counts.items()),
        "",
        *(finding_lines(report.findings) or ["nothing found that would hurt"]),
    ]


check_verb = verb_of(CheckConfig, _check, run=False)
