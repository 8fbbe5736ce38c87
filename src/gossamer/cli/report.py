"""gossamer report: the page of a run, rendered again from its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gossamer.cli._common import DebugOption, JsonOption, SeedOption, print_json, print_lines

__all__ = ["report_verb"]


def report_verb(
    run: Annotated[Path, typer.Argument(help="Run folder that fit wrote.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write the page; in the run by default.")
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write report.html of a finished run and print its answer."""
    from pydantic import ValidationError

    from gossamer._files import write_text
    from gossamer.errors import RunFolderError
    from gossamer.report.document import FitDocument
    from gossamer.report.html import render

    source = run / "report.json"
    try:
        document = FitDocument.model_validate_json(source.read_bytes())
    except OSError as error:
        raise RunFolderError(
            f"{run} holds no finished run (no report.json); run gossamer fit, or finish it with --resume"
        ) from error
    except ValidationError as error:
        raise RunFolderError(
            f"{source} is damaged ({error.error_count()} fields); run gossamer fit again"
        ) from error
    page = out or run / "report.html"
    write_text(page, render(document))
    if json:
        print_json(document.model_dump(exclude={"worst"}))
        return
    lines = [document.headline, ""]
    lines += [
        f"{line.metric:9} {line.limit_text:18} {line.measured_text:>12}  {'met' if line.met else 'not met'}"
        for line in document.budget
    ]
    print_lines([*lines, "", f"report  {page}"])
