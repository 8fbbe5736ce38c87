"""gossamer fit: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gossamer.cli._common import DebugOption, JsonOption, SeedOption, print_json, print_lines

__all__ = ["fit_verb"]


def fit_verb(
    data: Annotated[
        str, typer.Argument(help="Folder of class folders, or demo:scenes for pictures made in code.")
    ],
    within: Annotated[str, typer.Option("--within", help='Budget, e.g. "latency<=5ms, size<=1MB".')],
    on: Annotated[str, typer.Option("--on", help="Runtime the budget holds for.")] = "onnxruntime",
    threads: Annotated[int, typer.Option("--threads", help="Threads of the deployed network.")] = 1,
    minutes: Annotated[float, typer.Option("--minutes", help="Time for the whole run.")] = 20.0,
    max_drop: Annotated[
        str, typer.Option("--max-drop", help="Accuracy a lossy step may cost, e.g. 1%.")
    ] = "1%",
    on_bad: Annotated[str, typer.Option("--on-bad", help="Bad pictures: skip or stop.")] = "skip",
    groups: Annotated[
        str | None,
        typer.Option("--groups", help="Keep together: folder, or FILE.csv:COLUMN with a file column."),
    ] = None,
    view: Annotated[str, typer.Option("--view", help="auto, aerial (no up) or ground.")] = "auto",
    teacher: Annotated[str, typer.Option("--teacher", help="auto, or none.")] = "auto",
    online: Annotated[
        bool, typer.Option("--online", help="Weights may be fetched from public hubs.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Run folder; runs/NAME by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Pictures and a budget in, a deployed network and its report out."""
    from gossamer.errors import GoalNotMetError, GossamerError
    from gossamer.fit.api import fit
    from gossamer.fit.reporter import RichReporter

    for option, value, allowed in (
        ("--on-bad", on_bad, ("skip", "stop")),
        ("--view", view, ("auto", "aerial", "ground")),
        ("--teacher", teacher, ("auto", "none")),
    ):
        if value not in allowed:
            raise GossamerError(f"{option} is {' or '.join(allowed)}, got {value!r}")
    try:
        result = fit(
            data,
            within=within,
            on=on,
            threads=threads,
            minutes=minutes,
            max_drop=max_drop,
            on_bad=on_bad,
            groups=groups,
            view=view,
            teacher=teacher,
            online=online,
            seed=seed,
            out=out,
            resume=resume,
            reporter=RichReporter(),
        )
    except GoalNotMetError as error:
        if json:
            print_json({"met": False, "reason": str(error)})
        raise
    if json:
        print_json(result.to_json())
    else:
        print_lines(["", result.headline, "", f"bundle  {result.bundle.folder}", f"report  {result.report}"])
    return 0 if result.met else 1
