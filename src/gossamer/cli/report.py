"""gossamer report: the page of a run, rendered again from its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gossamer.cli._common import DebugOption, JsonOption, print_json, print_lines

__all__ = ["report_verb"]


def report_verb(
    run: Annotated[Path, typer.Argument(help="Run folder that fit or train wrote.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write the page; in the run by default.")
    ] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write report.html of a finished run and print its answer."""
    from gossamer.runs.report import report_run

    document = report_run(run, out=out)
    if json:
        print_json(document.model_dump(exclude={"worst"}))
        return
    lines = [document.headline, ""]
    lines += [
        f"{line.metric:9} {line.limit_text:18} {line.measured_text:>12}  {'met' if line.met else 'not met'}"
        for line in document.budget
    ]
    print_lines([*lines, "", f"report  {out or run / 'report.html'}"])
