"""gossamer fit: the main job."""

from __future__ import annotations

from typing import Annotated

import typer

from gossamer.cli._common import (
    BandsOption,
    DebugOption,
    GroupsOption,
    JsonOption,
    OnBadOption,
    OnlineOption,
    OutOption,
    ResumeOption,
    RuntimeOption,
    SeedOption,
    ThreadsOption,
    ViewOption,
    one_of,
    print_json,
    print_lines,
)

__all__ = ["fit_verb"]


def fit_verb(
    data: Annotated[
        str, typer.Argument(help="Folder of class folders, or demo:scenes for pictures made in code.")
    ],
    within: Annotated[str, typer.Option("--within", help='Budget, e.g. "latency<=5ms, size<=1MB".')],
    on: RuntimeOption = "onnxruntime",
    threads: ThreadsOption = 1,
    minutes: Annotated[float, typer.Option("--minutes", help="Time for the whole run.")] = 20.0,
    max_drop: Annotated[
        str, typer.Option("--max-drop", help="Accuracy a lossy step may cost, e.g. 1%.")
    ] = "1%",
    on_bad: OnBadOption = "skip",
    groups: GroupsOption = None,
    bands: BandsOption = "auto",
    view: ViewOption = "auto",
    teacher: Annotated[str, typer.Option("--teacher", help="auto, or none.")] = "auto",
    online: OnlineOption = False,
    out: OutOption = None,
    resume: ResumeOption = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Pictures and a budget in, a deployed network and its report out."""
    from gossamer.errors import GoalNotMetError
    from gossamer.fit.api import fit
    from gossamer.fit.reporter import RichReporter

    one_of("--on-bad", on_bad, ("skip", "stop"))
    one_of("--view", view, ("auto", "aerial", "ground"))
    one_of("--teacher", teacher, ("auto", "none"))
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
            bands=bands,
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
