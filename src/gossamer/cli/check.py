"""gossamer check: the data doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from gossamer.cli._common import BandsOption, DebugOption, JsonOption, SeedOption, print_json, print_lines

__all__ = ["check_verb"]


def check_verb(
    data: Annotated[str, typer.Argument(help="Folder of class folders, or demo:scenes.")],
    on_bad: Annotated[str, typer.Option("--on-bad", help="Bad pictures: skip or stop.")] = "skip",
    groups: Annotated[
        str | None,
        typer.Option("--groups", help="Keep together: folder, or FILE.csv:COLUMN with a file column."),
    ] = None,
    bands: BandsOption = "auto",
    seed: SeedOption = 0,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Say what would hurt a training run, one line a finding, and how the pictures would be split."""
    from gossamer.data.check import CheckReport, check
    from gossamer.errors import GossamerError
    from gossamer.fit.reporter import RichReporter

    if on_bad not in ("skip", "stop"):
        raise GossamerError(f"--on-bad is skip or stop, got {on_bad!r}")
    with RichReporter().bar("reading", 1.0) as bar:
        report: CheckReport = check(
            data,
            on_bad="stop" if on_bad == "stop" else "skip",
            groups=groups,
            bands=bands,
            seed=seed,
            tick=lambda done, total: bar.update(done / total),
        )
    if json:
        print_json(report.to_json())
        return
    width = max(len(label) for label in report.dataset.labels)
    lines = [
        f"{len(report.dataset.samples)} pictures of {len(report.dataset.labels)} classes, median short side {report.short_side} px",
        *([f"bands {', '.join(report.bands.names)}"] if report.bands is not None else []),
        "",
    ]
    lines.append(f"{'class':{width}}  train    val   test")
    lines += [
        f"{label:{width}}  {c['train']:5}  {c['val']:5}  {c['test']:5}"
        for label, c in report.counts().items()
    ]
    lines.append("")
    lines += [f"{f.severity:7}  {f.code:15}  {f.message}" for f in report.findings] or [
        "nothing found that would hurt"
    ]
    print_lines(lines)
