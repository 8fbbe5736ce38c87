"""What a training is told by name, checked before a picture is opened, and the recipe that it came to (torch)."""

from __future__ import annotations

from gossamer._files import write_text
from gossamer.errors import GossamerError, RunFolderError
from gossamer.runs.folder import RunFolder
from gossamer.runs.model import check_name
from gossamer.runs.teacher import check_teacher
from gossamer.runs.train.config import TrainConfig
from gossamer.runs.train.start import metric_of, recipe_of
from gossamer.tasks import TASKS, get_task
from gossamer.train.recipe import Recipe

__all__ = ["check_names", "write_recipe"]


def check_names(config: TrainConfig) -> None:
    """As the config's own check; and the model, recipe, teacher and metric can be, whatever the data are.

    Raises:
        ModelError, BundleError, GossamerError: one line for a person.
    """
    config.check()
    recipe_of(config.model, config.recipe, config.set)
    check_name(config.model, online=config.online)
    if config.teacher is not None:
        check_teacher(config.teacher, online=config.online)
    problems = []
    for task in TASKS:
        try:
            metric_of(config.metric, get_task(task))
        except GossamerError as error:
            problems.append(error)
    if len(problems) == len(TASKS):
        raise problems[0]


def write_recipe(recipe: Recipe, run: RunFolder) -> None:
    """recipe.yaml of a run; one that goes on trains by the recipe that it began with.

    Raises:
        RunFolderError: the file that --recipe names was changed since.
    """
    file, text = run.path / "recipe.yaml", recipe.to_yaml()
    if run.resumed and file.is_file() and file.read_text(encoding="utf-8") != text:
        raise RunFolderError(
            f"--resume continues the same training, the recipe is no longer that of {file}; start a new run with another --out"
        )
    write_text(file, text)
