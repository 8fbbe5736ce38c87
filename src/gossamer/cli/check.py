"""gossamer check: the data doctor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gossamer.cli._common import print_json, print_lines
from gossamer.cli._verb import extra, verb_of
from gossamer.errors import GossamerError
from gossamer.runs.check_config import CheckConfig

if TYPE_CHECKING:
    from gossamer.data.check import CheckReport

__all__ = ["check_verb"]


_Convert = Annotated[
    str | None,
    typer.Option(
        "--convert", help="Write the boxes as coco, voc, yolo or csv into --out, and check no more."
    ),
]
_Out = Annotated[Path | None, typer.Option("--out", help="New folder of --convert.")]


def _check(config: CheckConfig, *, json: bool, convert: str | None, out: Path | None) -> None:
    """Say what would hurt a training run, one line a finding, and how the pictures would be split."""
    from gossamer.runs.checking import opened
    from gossamer.runs.reporter import RichReporter

    config.check()
    if convert is not None or out is not None:
        _converted(config.data, convert, out, json=json)
        return
    with RichReporter().bar("reading", 1.0) as bar:
        report = opened(config.data, config, tick=lambda done, total: bar.update(done / total))
    if json:
        print_json(report.to_json())
    else:
        print_lines(_lines(report))


def _converted(data: str, layout: str | None, out: Path | None, *, json: bool) -> None:
    from gossamer.data.convert import convert
    from gossamer.data.findings import many

    if layout is None or out is None:
        raise GossamerError(
            "--convert and --out go together, got one of them; write e.g. --convert coco --out boxes-as-coco"
        )
    result = convert(data, layout, out)
    if json:
        print_json(result.to_json())
        return
    lines = [
        f"{result.pictures:,} pictures with {result.boxes:,} boxes are in {result.folder}, as {result.layout}"
    ]
    if result.left_out:
        left_out = range(result.left_out)
        lines.append(
            f"{many(left_out, 'box is', 'boxes are')} left out: no numbers, of no class, or a crowd, which yolo cannot say"
        )
    print_lines(lines)


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


check_verb = verb_of(
    CheckConfig, _check, run=False, more=[extra("convert", _Convert, None), extra("out", _Out, None)]
)
