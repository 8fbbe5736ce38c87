"""gossamer export: one network as files for several runtimes and precisions, each guarded and measured."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gossamer.cli._common import (
    BandsOption,
    DebugOption,
    GroupsOption,
    JsonOption,
    OnBadOption,
    OutOption,
    ResumeOption,
    SeedOption,
    ThreadsOption,
    ViewOption,
    one_of,
    print_json,
    print_lines,
)

__all__ = ["export_verb"]


def export_verb(
    model: Annotated[
        str,
        typer.Argument(
            help="Bundle, catalogue name or NAME@WEIGHTS, timm:NAME, torchvision:NAME.", show_default=False
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to", help="Runtimes, with a precision where it is not fp32: onnxruntime:int8,openvino."
        ),
    ],
    data: Annotated[
        str,
        typer.Option("--data", help="Pictures that int8 is calibrated on and files are judged by."),
    ] = "",
    max_drop: Annotated[
        str,
        typer.Option("--max-drop", help="Highest loss of the metric of a lossy file, a share or percentage."),
    ] = "1%",
    input: Annotated[
        str | None, typer.Option("--input", help="3x224x224; the network's own without.")
    ] = None,
    threads: ThreadsOption = 1,
    on_bad: OnBadOption = "skip",
    groups: GroupsOption = None,
    bands: BandsOption = "auto",
    view: ViewOption = "auto",
    out: OutOption = None,
    resume: ResumeOption = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Write a network for runtimes and precisions; int8 backs off until it keeps its accuracy, and says where it buys nothing."""
    one_of("--on-bad", on_bad, ("skip", "stop"))
    one_of("--view", view, ("auto", "aerial", "ground"))
    from gossamer.cli._subject import input_shape
    from gossamer.fit.api import need_torch
    from gossamer.fit.config import parse_share
    from gossamer.fit.reporter import RichReporter

    need_torch()
    from gossamer.fit.export_config import ExportConfig
    from gossamer.fit.export_run import export

    config = ExportConfig.model_validate(
        {
            "model": model,
            "to": to,
            "data": data,
            "max_drop": parse_share(max_drop, "--max-drop"),
            "input": None if input is None else input_shape(input),
            "threads": threads,
            "on_bad": on_bad,
            "groups": groups,
            "bands": bands,
            "view": view,
            "seed": seed,
        }
    )
    done = export(config, out=out, resume=resume, reporter=RichReporter())
    if json:
        print_json(done.to_json())
    else:
        verdicts = [file.verdict for file in done.files]
        print_lines(
            [
                "",
                done.headline,
                *verdicts,
                "",
                f"bundle  {done.bundle.folder}",
                f"report  {done.run / 'report.html'}",
            ]
        )
    if not done.met:
        sys.stderr.write("not every file keeps --max-drop or the network's scores; the best ones are saved\n")
    return 0 if done.met else 1
