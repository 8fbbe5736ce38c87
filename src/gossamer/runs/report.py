"""gossamer report: the page of a run, rendered again from its figures (no torch)."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from gossamer._files import write_text
from gossamer.errors import RunFolderError
from gossamer.report.document import FitDocument
from gossamer.report.html import render

__all__ = ["report_run"]


def report_run(run: str | Path, *, out: str | Path | None = None) -> FitDocument:
    """Write report.html of a finished run, or the file `out`; the document that it shows.

    Raises:
        RunFolderError: the folder holds no finished run of fit or train, or its figures are damaged.
    """
    source = Path(run) / "report.json"
    try:
        document = FitDocument.model_validate_json(source.read_bytes())
    except OSError as error:
        raise RunFolderError(
            f"{run} holds no finished run (no report.json); run gossamer fit, or finish it with --resume"
        ) from error
    except ValidationError as error:
        raise RunFolderError(
            f"{source} is damaged, or of another verb ({error.error_count()} fields); run gossamer fit again"
        ) from error
    write_text(Path(run) / "report.html" if out is None else Path(out), render(document))
    return document
