"""gossamer compress: a smaller network by methods in a chain, each guarded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gossamer.cli._common import (
    BandsOption,
    DebugOption,
    GroupsOption,
    JsonOption,
    OnBadOption,
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

if TYPE_CHECKING:
    from gossamer.fit.compress_config import CompressConfig

__all__ = ["compress_verb"]


def compress_verb(
    model: Annotated[
        str,
        typer.Argument(
            help="Bundle, catalogue name or NAME@WEIGHTS, timm:NAME, torchvision:NAME.", show_default=False
        ),
    ],
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="E.g. prune:macs=50%, factorise:params=70%, pack:bits=6 or pack:size=0.4MB; may be given again, in order.",
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", help="Write the first method's plan to this file, change nothing."),
    ] = None,
    apply: Annotated[
        list[Path] | None, typer.Option("--apply", help="Apply a plan file instead of choosing anew.")
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            "--data", help="Pictures to calibrate on and to judge by; class folders or demo:scenes."
        ),
    ] = "",
    max_drop: Annotated[
        str, typer.Option("--max-drop", help="Highest loss of the metric, a share or percentage.")
    ] = "1%",
    minutes: Annotated[
        float, typer.Option("--minutes", help="Of fine-tuning by distillation from the whole network.")
    ] = 0.0,
    input: Annotated[
        str | None, typer.Option("--input", help="3x224x224; the network's own without.")
    ] = None,
    on: RuntimeOption = "onnxruntime",
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
    """Prune, factorise or search ratios to a budget, guarded by a metric; a bundle with the smaller network comes out."""
    one_of("--on-bad", on_bad, ("skip", "stop"))
    one_of("--view", view, ("auto", "aerial", "ground"))
    from gossamer.cli._subject import input_shape
    from gossamer.fit.api import need_torch
    from gossamer.fit.config import parse_share
    from gossamer.fit.reporter import RichReporter

    need_torch()
    from gossamer.fit.compress_config import CompressConfig
    from gossamer.fit.compress_run import compress

    config = CompressConfig.model_validate(
        {
            "model": model,
            "methods": tuple(method or ()),
            "plans": tuple(str(path) for path in apply or ()),
            "data": data,
            "max_drop": parse_share(max_drop, "--max-drop"),
            "minutes": minutes,
            "input": None if input is None else input_shape(input),
            "on": on,
            "threads": threads,
            "on_bad": on_bad,
            "groups": groups,
            "bands": bands,
            "view": view,
            "seed": seed,
        }
    )
    if plan is not None:
        return _write_plan(config, plan, json=json)
    done = compress(config, out=out, resume=resume, reporter=RichReporter())
    if json:
        print_json(done.to_json())
    else:
        refused = [
            f"left as it was: {each.part}: {each.reason}" for step in done.steps for each in step.refused
        ]
        print_lines(
            [
                "",
                done.headline,
                *refused[:12],
                "",
                f"bundle  {done.bundle.folder}",
                f"report  {done.run / 'report.html'}",
            ]
        )
    if not done.met:
        sys.stderr.write("not everything could be done within --max-drop; the best network is saved\n")
    return 0 if done.met else 1


def _write_plan(config: CompressConfig, path: Path, *, json: bool) -> int:
    from gossamer._files import write_json
    from gossamer.fit.compress_run import propose
    from gossamer.fit.reporter import RichReporter

    document = propose(config, reporter=RichReporter())
    write_json(path, document)
    if json:
        print_json({"plan": str(path), **{k: v for k, v in document.items() if k not in ("kept", "outputs")}})
    else:
        print_lines([f"plan  {path}", "apply it with --apply, edited or not"])
    return 0
