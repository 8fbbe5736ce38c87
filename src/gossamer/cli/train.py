"""gossamer train: one network by one recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gossamer.cli._common import loading, one_of, print_json, print_lines
from gossamer.cli._verb import extra, verb_of
from gossamer.runs.train.config import TrainConfig

__all__ = ["train_verb"]

_PRINT = Annotated[
    bool,
    typer.Option("--print-recipe", help="Print the recipe as YAML and stop.", rich_help_panel="Training"),
]
_FIND = Annotated[
    str | None,
    typer.Option(
        "--find", help="rate or batch: measure which would suit, and stop.", rich_help_panel="Training"
    ),
]


def _train(
    config: TrainConfig,
    *,
    print_recipe: bool,
    find: Any,
    out: Path | None,
    resume: bool,
    json: bool,
) -> int:
    """Train one network on labelled pictures, by a recipe whose every number can be seen and set; a bundle comes out."""
    from gossamer.runs.reporter import RichReporter

    config.check()
    if find is not None:
        one_of("--find", find, ("rate", "batch"))
    reporter = RichReporter()
    with loading(reporter, config, "" if print_recipe else config.data):
        from gossamer.runs.train.run import train_network
    if print_recipe:
        return _print_recipe(config, json=json)
    if find is not None:
        return _find(config, find, json=json)
    done = train_network(config, out=out, resume=resume, reporter=reporter)
    if done is None:
        return 0
    if json:
        print_json(done.to_json())
    else:
        print_lines(["", done.headline, "", f"bundle  {done.bundle.folder}", f"report  {done.report}"])
    return 0


def _print_recipe(config: TrainConfig, *, json: bool) -> int:
    from gossamer.runs.train.start import recipe_of

    view = "ground" if config.view == "auto" else config.view
    recipe = recipe_of(config.model, config.recipe, config.set, view=view, task=_task_of(config))
    if json:
        print_json(recipe.to_json())
    else:
        print_lines(recipe.to_yaml().splitlines())
    return 0


def _task_of(config: TrainConfig) -> str:
    """What the data are for; where there are none yet, classes."""
    from gossamer.data.check import look

    if not (config.data.startswith("demo") or Path(config.data).exists()):
        return "classify"
    return look(config.data, groups=config.groups, bands=config.bands).dataset.task


def _find(config: TrainConfig, what: Any, *, json: bool) -> int:
    from gossamer.runs.train.find import find_for

    answer = find_for(config, what)
    if json:
        print_json(answer)
    else:
        print_lines([str(answer["advice"])])
    return 0


train_verb = verb_of(
    TrainConfig, _train, more=[extra("print_recipe", _PRINT, False), extra("find", _FIND, None)]
)
