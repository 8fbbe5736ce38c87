"""gossamer compress: a smaller network by methods in a chain, each guarded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gossamer.cli._common import loading, print_json, print_lines
from gossamer.cli._verb import extra, verb_of
from gossamer.runs.compress.config import CompressConfig

__all__ = ["compress_verb"]

_PLAN = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        help="Write the first method's plan to this file, change nothing.",
        rich_help_panel="Method",
    ),
]


def _compress(
    config: CompressConfig, *, plan: Path | None, out: Path | None, resume: bool, json: bool
) -> int:
    """Prune, factorise or search ratios to a budget, guarded by a metric; a bundle with the smaller network comes out."""
    from gossamer.runs.reporter import RichReporter

    config.check()
    reporter = RichReporter()
    with loading(reporter, config, config.data):
        from gossamer.runs.compress.run import compress_model
    if plan is not None:
        return _write_plan(config, plan, json=json)
    done = compress_model(config, out=out, resume=resume, reporter=reporter)
    if json:
        print_json(done.to_json())
    else:
        refused = [
            f"left as it was: {each.part}: {each.reason}" for step in done.steps for each in step.refused
        ]
        lines = ["", done.headline, *refused[:12], "", f"bundle  {done.bundle.folder}"]
        print_lines([*lines, f"report  {done.run / 'report.html'}"])
    if not done.met:
        sys.stderr.write("not everything could be done within --max-drop; the best network is saved\n")
    return 0 if done.met else 1


def _write_plan(config: CompressConfig, path: Path, *, json: bool) -> int:
    from gossamer._files import write_json
    from gossamer.runs.compress.run import propose
    from gossamer.runs.reporter import RichReporter

    document = propose(config, reporter=RichReporter())
    write_json(path, document)
    if json:
        print_json({"plan": str(path), **{k: v for k, v in document.items() if k not in ("kept", "outputs")}})
    else:
        print_lines([f"plan  {path}", "apply it with --apply, edited or not"])
    return 0


compress_verb = verb_of(CompressConfig, _compress, more=[extra("plan", _PLAN, None)])
