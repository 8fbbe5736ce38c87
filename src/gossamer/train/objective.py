"""What training needs of a task beside the meaning of its outputs: losses of targets that were mixed, rare targets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from gossamer.data.draws import Draws
from gossamer.errors import GossamerError, ModelError
from gossamer.nn.objective import Objective
from gossamer.tasks import get_objective
from gossamer.train.recipe import Distillation, Recipe

__all__ = ["TrainingObjective", "objective_of"]


class TrainingObjective(Objective):
    """Losses of outputs (B, D) against targets; a task's `objective.py` holds one.

    `encode` turns targets as a task's `array` gives them into rows (B, D) that can be mixed, and those are what
    `losses` takes.
    """

    probes: ClassVar[bool] = True
    """Whether a last layer can be fitted to features of whole pictures in closed form: where there is one row a picture."""

    def width(self, shape: tuple[int, ...]) -> int | None:
        """How many labels outputs of this shape tell of, the batch first, as `Task.width`; None where it is of no such kind."""
        return shape[1] if len(shape) == 2 else None

    @abstractmethod
    def encode(self, targets: Tensor, width: int, smoothing: float = 0.0) -> Tensor:
        """Targets that can be mixed, float32 (B, `width`); `smoothing` is the share spread over all classes."""

    def fitting(self, recipe: Recipe, *, whole: bool = False) -> Recipe:
        """What a recipe comes to for this task: as it is by itself. `whole` says that the weights are of all layers, and not
        of the first ones alone."""
        return recipe

    def composed(
        self, pictures: Tensor, targets: Tensor, share: float, fill: Tensor, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        """Raw pictures (B, bands, H, W) a `share` of which is made of several, with `fill` (1, bands, 1, 1) between, and their
        targets (B, ...): as they are by itself."""
        return pictures, targets

    def moved(
        self, targets: Tensor, places: Tensor, before: tuple[int, int], after: tuple[int, int]
    ) -> Tensor:
        """Targets (B, ...) of pictures of height and width `before` as they are in those of `after` that augmentation made of
        them; `places` (B, 3, 3) as in `gossamer.data.augment.Moved`. As they are by itself: they have no place."""
        return targets

    @abstractmethod
    def losses(self, outputs: Tensor, encoded: Tensor, weights: Tensor | None) -> Tensor:
        """Losses (B,) against encoded targets; `weights` (D,) as `weights` gave them."""

    @abstractmethod
    def imitation(self, student: Tensor, teacher: Tensor, encoded: Tensor, how: Distillation) -> Tensor:
        """Losses (B,) of a student's outputs against a teacher's, weighed by `how`.

        Raises:
            ModelError: a loss is asked for that means nothing for these outputs.
        """

    @abstractmethod
    def together(self, outputs: Sequence[Tensor]) -> Tensor:
        """What several networks say of the same pictures, (B, D) each, as one."""

    def of_probe(self, fitted: Tensor) -> Tensor:
        """Outputs (N, D) of what least squares gave for encoded targets (N, D): the same numbers by themselves."""
        return fitted

    def weights(self, targets: NDArray[Any], width: int, *, balance: bool) -> Tensor | None:
        """Weights (D,) of the numbers in the loss, of all training targets (N, ...); with `balance` rare ones count more."""
        return None

    def shares(self, targets: NDArray[Any]) -> NDArray[np.float64]:
        """Probabilities (N,) of being drawn under which rare targets come as often as frequent ones."""
        return np.full(len(targets), 1 / len(targets))

    @abstractmethod
    def guess(self, targets: NDArray[Any], width: int) -> float:
        """The loss of a network that knows nothing but how targets are spread, about."""

    def named(self, outputs: Tensor) -> Tensor | None:
        """How often each of D labels was said, (D,) int64; None where outputs are no choice among labels."""
        return None

    def bearers(self, targets: NDArray[Any], width: int) -> NDArray[np.int64] | None:
        """How many pictures bear each of D labels, (D,); None as in `named`."""
        return None

    def check(self, targets: NDArray[Any], width: int, what: str) -> None:
        """Complain about targets that a network of `width` numbers cannot be trained on; `what` is a split.

        Raises:
            ModelError: one line for a person.
        """

    def check_recipe(self, recipe: Recipe) -> None:
        """Complain about numbers of a recipe that mean nothing for this task.

        Raises:
            GossamerError: one line for a person.
        """
        if recipe.augmentation.mosaic:
            raise GossamerError(
                "a mosaic is made of pictures whose targets have a place, these have none, got "
                f"augmentation.mosaic={recipe.augmentation.mosaic:g}; leave it at 0"
            )

    def check_network(self, network: nn.Module) -> None:
        """Complain about a network whose outputs cannot take the values of this task.

        Raises:
            ModelError: one line for a person.
        """


def objective_of(task: str) -> TrainingObjective:
    """What networks are trained by for the task of a name.

    Raises:
        ModelError: there is no such task, or nothing is trained for it.
    """
    objective = get_objective(task)
    if not isinstance(objective, TrainingObjective):
        raise ModelError(f"the task {task} has an objective that cannot train; make it a TrainingObjective")
    return objective
