"""gossamer export: one network as files for runtimes and precisions, in one bundle."""

from __future__ import annotations

import sys
from pathlib import Path

from gossamer.cli._common import loading, print_json, print_lines
from gossamer.cli._verb import verb_of
from gossamer.runs.export.config import ExportConfig

__all__ = ["export_verb"]


def _export(config: ExportConfig, *, out: Path | None, resume: bool, json: bool) -> int:
    """Write a network for runtimes and precisions; int8 backs off until it keeps its accuracy, and says where it buys nothing."""
    from gossamer.runs.reporter import RichReporter

    config.check()
    reporter = RichReporter()
    with loading(reporter, config, config.data):
        from gossamer.runs.export.run import export_model
    done = export_model(config, out=out, resume=resume, reporter=reporter)
    if json:
        print_json(done.to_json())
    else:
        verdicts = [file.verdict for file in done.files]
        lines = ["", done.headline, *verdicts, "", f"bundle  {done.bundle.folder}"]
        print_lines([*lines, f"report  {done.run / 'report.html'}"])
    if not done.met:
        sys.stderr.write("not every file keeps --max-drop or the network's scores; the best ones are saved\n")
    return 0 if done.met else 1


export_verb = verb_of(ExportConfig, _export)
