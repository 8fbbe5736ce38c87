"""Scores that need all pictures at once: what a network said and what was true are kept (numpy)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gossamer.tasks.intervals import bootstrap_intervals
from gossamer.tasks.task import Score

__all__ = ["KeptScore"]


class KeptScore(Score):
    """Keeps outputs (N, K) and targets (N, K) of all pictures; intervals are drawn from them."""

    nothing: ClassVar[dict[str, float]]
    """The figures of no pictures."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._said: list[NDArray[Any]] = []
        self._true: list[NDArray[Any]] = []

    @abstractmethod
    def figures_of(self, said: NDArray[Any], true: NDArray[Any]) -> dict[str, float]:
        """The figures of pictures, one at least, as `update` kept them."""

    def keep(self, said: NDArray[Any], true: NDArray[Any]) -> None:
        """Take in some pictures."""
        self._said.append(said)
        self._true.append(true)

    def merge(self, other: Self) -> None:
        self._said += other._said
        self._true += other._true

    @property
    def count(self) -> int:
        return sum(len(part) for part in self._said)

    def all(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """(said, true) of all pictures."""
        return np.concatenate(self._said), np.concatenate(self._true)

    def figures(self) -> dict[str, float]:
        return self.figures_of(*self.all()) if self._said else dict(self.nothing)

    def intervals(self) -> dict[str, tuple[float, float]]:
        said, true = self.all()
        return bootstrap_intervals(lambda drawn: self.figures_of(said[drawn], true[drawn]), len(said))
