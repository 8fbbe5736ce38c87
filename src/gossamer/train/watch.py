"""What goes wrong in a training while it goes wrong: each kind of trouble once, with its figures and what to do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from gossamer.tasks import Task

__all__ = ["Code", "Problem", "Seen", "Watch"]

Code = Literal["no-learning", "overfitting", "class-never-predicted", "loader-bound", "plateau"]

_EARLY_PASSES = 3.0
"""Passes after which a training must have learned something and said every class once."""
_LEARNED = 0.95
"""Share of the loss of guessing below which something is learned."""
_RISE = 1.25
"""Validation loss over its best that is too much."""
_IN_A_ROW = 3
"""Validations in a row that must show it."""
_LOADER_SHARE = 0.1
"""Share of a step that may go into gathering pictures."""
_STILL = 10
"""Validations without a better one that are a plateau."""
_NAMES = 5
"""Classes that a message names."""


@dataclass(frozen=True)
class Seen:
    """What a validation saw."""

    step: int
    passes: float
    """Over the training split, since the start."""
    train_loss: float
    """Mean over the batches since the last validation."""
    val_loss: float
    val_score: float
    """The headline figure of the task."""
    predicted: Sequence[int]
    """How many validation pictures were said to bear each label, (D,); not looked at where outputs name none."""
    loader_share: float
    """Share of the training time that went into gathering pictures."""


@dataclass(frozen=True)
class Problem:
    """Something that a person should know of: what is seen, then what to do."""

    code: Code
    message: str


class Watch:
    """Is shown every validation and returns what is wrong that it has not said before.

    `labels` (D) name the numbers that the network gives; `seen` are the indices of those that validation pictures bear,
    the only ones that are expected to be predicted (none where outputs name no labels); `guess` is the loss of a network
    that knows nothing. What it says is a function of what it was shown.
    """

    def __init__(self, task: Task, labels: Sequence[str], *, seen: Collection[int], guess: float) -> None:
        self._task, self._labels, self._guess = task, tuple(labels), guess
        self._never = set(seen)
        self._said: set[Code] = set()
        self._first: Seen | None = None
        self._lowest: Seen | None = None
        self._highest: Seen | None = None
        self._worse = 0
        self._still = 0

    def look(self, seen: Seen) -> list[Problem]:
        """Take in a validation; the problems that it shows and that were not said yet."""
        self._first = self._first or seen
        self._never -= {index for index, count in enumerate(seen.predicted) if count}
        found = [
            self._no_learning(seen, self._first),
            self._overfitting(seen),
            self._never_predicted(seen),
            self._loader_bound(seen),
            self._plateau(seen),
        ]
        new = [problem for problem in found if problem and problem.code not in self._said]
        self._said |= {problem.code for problem in new}
        return new

    def _no_learning(self, seen: Seen, first: Seen) -> Problem | None:
        least = _LEARNED * max(self._guess, first.train_loss)
        if seen.passes < _EARLY_PASSES or seen.train_loss < least:
            return None
        return Problem(
            "no-learning",
            f"the training loss is {seen.train_loss:.3g} after {seen.passes:.1f} passes and was {first.train_loss:.3g} "
            f"at first ({self._guessing} gives {self._guess:.3g}): nothing is learned; look at "
            "the labels with `gossamer check`, then change the rate tenfold either way, e.g. `--set learning_rate=1e-3`",
        )

    @property
    def _guessing(self) -> str:
        return f"guessing among {len(self._labels)} {self._task.nouns}" if self._task.nouns else "guessing"

    def _overfitting(self, seen: Seen) -> Problem | None:
        if self._lowest is None or seen.val_loss < self._lowest.val_loss:
            self._lowest = seen
        best = self._lowest
        rises = seen.val_loss > _RISE * best.val_loss and seen.train_loss < best.train_loss
        self._worse = self._worse + 1 if rises else 0
        if self._worse < _IN_A_ROW:
            return None
        return Problem(
            "overfitting",
            f"the validation loss rose from {best.val_loss:.3g} (pass {best.passes:.1f}) to {seen.val_loss:.3g} (pass "
            f"{seen.passes:.1f}) while the training loss fell from {best.train_loss:.3g} to {seen.train_loss:.3g}; the "
            "best weights are kept; augment more, e.g. "
            "`--set augmentation.randaugment=2`",
        )

    def _never_predicted(self, seen: Seen) -> Problem | None:
        if seen.passes < _EARLY_PASSES or not self._never:
            return None
        names = [self._labels[index] for index in sorted(self._never)]
        more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
        return Problem(
            "class-never-predicted",
            f"{len(names)} of {len(self._labels)} {self._task.nouns} were predicted for no validation picture in "
            f"{seen.passes:.1f} passes: {', '.join(names[:_NAMES])}{more}; draw rare {self._task.nouns} more often with "
            "`--set balance=sampling`, and look at their pictures",
        )

    def _loader_bound(self, seen: Seen) -> Problem | None:
        if seen.loader_share <= _LOADER_SHARE:
            return None
        return Problem(
            "loader-bound",
            f"{seen.loader_share:.0%} of the time goes into gathering pictures (up to {_LOADER_SHARE:.0%} is usual): "
            "the disk is slow or memory is short; put the cache on a faster disk or train at a smaller size",
        )

    def _plateau(self, seen: Seen) -> Problem | None:
        if self._highest is None or seen.val_score > self._highest.val_score:
            self._highest, self._still = seen, 0
            return None
        self._still += 1
        if self._still < _STILL:
            return None
        best = self._highest
        return Problem(
            "plateau",
            f"the validation {self._task.headline.words} has not passed {best.val_score:.1%} (pass {best.passes:.1f}) in {self._still} "
            f"validations and is {seen.val_score:.1%} at pass {seen.passes:.1f}; let the rate fall sooner with "
            "`--set patience=5`, or end here: the best weights are kept",
        )
