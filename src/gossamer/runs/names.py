"""What a training is told by name, checked before a picture is opened (torch)."""

from __future__ import annotations

from gossamer.errors import GossamerError
from gossamer.runs.model import check_name
from gossamer.runs.teacher import check_teacher
from gossamer.runs.train.config import TrainConfig
from gossamer.runs.train.start import metric_of, recipe_of
from gossamer.tasks import TASKS, get_task

__all__ = ["check_names"]


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
