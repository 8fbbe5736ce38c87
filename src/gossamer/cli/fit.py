"""gossamer fit: the main job."""

from __future__ import annotations

from pathlib import Path

from gossamer.cli._common import loading, print_json, print_lines
from gossamer.cli._verb import verb_of
from gossamer.fit.config import FitConfig

__all__ = ["fit_verb"]


def _fit(config: FitConfig, *, out: Path | None, resume: bool, json: bool) -> int:
    """Pictures and a budget in, a deployed network and its report out."""
    from gossamer.errors import GoalNotMetError
    from gossamer.runs.reporter import RichReporter

    config.check()
    reporter = RichReporter()
    with loading(reporter, config, config.data):
        from gossamer.fit import compression, endings, halving, page, refit, shortlist  # noqa: F401
        from gossamer.fit.api import fit_data
    try:
        result = fit_data(config, out=out, resume=resume, reporter=reporter)
    except GoalNotMetError as error:
        if json:
            print_json({"met": False, "reason": str(error)})
        raise
    if json:
        print_json(result.to_json())
    else:
        print_lines(["", result.headline, "", f"bundle  {result.bundle.folder}", f"report  {result.report}"])
    return 0 if result.met else 1


fit_verb = verb_of(FitConfig, _fit)
