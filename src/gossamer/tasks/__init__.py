"""What a network is for, one folder a task: `task` (data and answers, numpy) and `objective` (training, torch).

Everything that knows what a target is stands in such a folder; readers, training, compression, runtimes and reports
ask the task that the data or the bundle name. See docs/how-to/add-a-task.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gossamer._table import Table
from gossamer.errors import ModelError
from gossamer.tasks.task import Answer, Criterion, Ending, Frame, Mistake, Outputs, Score, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gossamer.nn.objective import Objective
    from gossamer.zoo.offer import Offer

__all__ = [
    "TASKS",
    "Answer",
    "Criterion",
    "Ending",
    "Frame",
    "Mistake",
    "Outputs",
    "Score",
    "Task",
    "get_objective",
    "get_task",
    "offers_of",
]

TASKS = Table(
    "task",
    {
        "classify": "gossamer.tasks.classify",
        "multi-label": "gossamer.tasks.multi_label",
        "regress": "gossamer.tasks.regress",
        "detect": "gossamer.tasks.detect",
    },
    error=ModelError,
)
"""Name -> folder with `task.py` (a constant `TASK`) and `objective.py` (a constant `OBJECTIVE`)."""


def get_task(name: str) -> Task:
    """The task of a name, without torch.

    Raises:
        ModelError: the table does not hold it.
    """
    return cast(Task, TASKS.part(name, "task").TASK)


def offers_of(name: str) -> Callable[..., Iterator[Offer]] | None:
    """What tells `fit` which networks are worth trying for the task of a name (torch); None where any classifier will do.

    Raises:
        ModelError: the table does not hold it.
    """
    part = TASKS.part(name, "networks")
    return None if part is None else cast("Callable[..., Iterator[Offer]]", part.offers)


def get_objective(name: str) -> Objective:
    """What networks are trained, pruned and packed by for the task of a name (torch): a `TrainingObjective`.

    Raises:
        ModelError: the table does not hold it.
    """
    objective: Objective = TASKS.part(name, "objective").OBJECTIVE
    return objective
