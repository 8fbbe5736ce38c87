"""gossamer train: one network by one recipe."""

from __future__ import annotations

from typing import Annotated, Any

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

__all__ = ["train_verb"]


def train_verb(
    data: Annotated[
        str, typer.Argument(help="Folder of class folders, or demo:scenes for pictures made in code.")
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model", help="Catalogue name, NAME@WEIGHTS, timm:NAME, torchvision:NAME or a bundle."
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="small-data, from-scratch, finetune-compressed or paper:FAMILY; by the weights without.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value over the recipe; may be given again.")
    ] = None,
    print_recipe: Annotated[
        bool, typer.Option("--print-recipe", help="Print the recipe as YAML and stop.")
    ] = False,
    find: Annotated[
        str | None, typer.Option("--find", help="rate or batch: measure which would suit, and stop.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="Trained network to follow: a bundle, or several with +.")
    ] = None,
    epochs: Annotated[float | None, typer.Option("--epochs", help="Passes over the training split.")] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", help="Training time instead.")] = None,
    size: Annotated[
        int | None, typer.Option("--size", help="Side in pixels; by the pictures without.")
    ] = None,
    metric: Annotated[
        str, typer.Option("--metric", help="What the best weights are chosen by: accuracy, balanced, loss.")
    ] = "accuracy",
    on: RuntimeOption = "onnxruntime",
    threads: ThreadsOption = 1,
    on_bad: OnBadOption = "skip",
    groups: GroupsOption = None,
    bands: BandsOption = "auto",
    view: ViewOption = "auto",
    online: OnlineOption = False,
    strategy: Annotated[str, typer.Option("--strategy", help="auto, or ddp for several processes.")] = "auto",
    devices: Annotated[int, typer.Option("--devices", help="Processes, one a GPU, on each machine.")] = 1,
    nodes: Annotated[int, typer.Option("--nodes", help="Machines, started by torchrun or SLURM.")] = 1,
    out: OutOption = None,
    resume: ResumeOption = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Train one network on labelled pictures, by a recipe whose every number can be seen and set; a bundle comes out."""
    one_of("--on-bad", on_bad, ("skip", "stop"))
    one_of("--view", view, ("auto", "aerial", "ground"))
    one_of("--metric", metric, ("accuracy", "balanced", "loss"))
    one_of("--strategy", strategy, ("auto", "ddp"))
    if find is not None:
        one_of("--find", find, ("rate", "batch"))
    from gossamer.fit.api import need_torch

    need_torch()
    shared: dict[str, Any] = {"recipe": recipe, "settings": settings or []}
    if print_recipe:
        return _print_recipe(model, json=json, view="ground" if view == "auto" else view, **shared)
    if find is not None:
        return _find(data, model, find, size=size, seed=seed, json=json, **shared)
    from gossamer.fit.reporter import RichReporter
    from gossamer.fit.train_run import train_network

    done = train_network(
        data,
        model,
        teacher=teacher,
        epochs=epochs,
        minutes=minutes,
        size=size,
        metric=metric,
        on=on,
        threads=threads,
        on_bad=on_bad,
        groups=groups,
        bands=bands,
        view=view,
        online=online,
        strategy=strategy,
        devices=devices,
        nodes=nodes,
        seed=seed,
        out=out,
        resume=resume,
        reporter=RichReporter(),
        **shared,
    )
    if done is None:
        return 0
    if json:
        print_json(done.to_json())
    else:
        print_lines(["", done.headline, "", f"bundle  {done.bundle.folder}", f"report  {done.report}"])
    return 0


def _print_recipe(model: str, *, recipe: str | None, settings: list[str], view: Any, json: bool) -> int:
    from gossamer.fit.start import recipe_of

    found = recipe_of(model, recipe, settings, view=view)
    if json:
        print_json(found.to_json())
    else:
        print_lines(found.to_yaml().splitlines())
    return 0


def _find(
    data: str,
    model: str,
    what: str,
    *,
    recipe: str | None,
    settings: list[str],
    size: int | None,
    seed: int,
    json: bool,
) -> int:
    from gossamer.fit.find import find_for

    found = find_for(data, model, what, recipe=recipe, settings=settings, size=size, seed=seed)
    if json:
        print_json(found)
    else:
        print_lines([str(found["advice"])])
    return 0
