"""What a search of counts works on: places that hold one of some counts each, a budget of macs, a score for all together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Counts", "Evaluated", "Policy", "Space", "States", "Table"]

Policy = Sequence[float]
"""Of each layer the share of its count that stays, above 0 and at most 1."""
Counts = tuple[int, ...]
"""Of each layer how many stay."""


@dataclass(frozen=True)
class Evaluated:
    """A policy as it was measured: exact counts, and shares told from them."""

    counts: Counts
    policy: tuple[float, ...]
    macs_share: float
    score: float


class Space(Protocol):
    """Layers with a count each; what a driver may ask of them."""

    @property
    def layers(self) -> Sequence[object]:
        """One for each place of a policy."""
        ...

    @property
    def choices(self) -> Sequence[Sequence[int]]:
        """Of each layer the counts that it can have, the least first."""
        ...

    @property
    def whole(self) -> Counts:
        """Every layer at its most."""
        ...

    @property
    def least(self) -> Counts:
        """Every layer at its least."""
        ...

    @property
    def limit(self) -> int:
        """The macs that may stay."""
        ...

    def macs(self, counts: Counts) -> int:
        """Exact macs at these counts."""
        ...

    def shares(self, counts: Counts) -> tuple[float, ...]:
        """Counts as shares of the whole layers."""
        ...

    def nearest(self, policy: Policy) -> Counts:
        """The nearest counts that the layers can have, whatever they cost."""
        ...

    def settle(self, policy: Policy) -> Counts:
        """Counts within the budget: shares times one number, the largest that fits, then filled up."""
        ...

    def wall(self, before: Sequence[int], share: float) -> int:
        """The count for the next layer after those in `before`, at most `share` of it, such that the budget can be met."""
        ...

    def uniform(self) -> Counts:
        """The same share of every layer."""
        ...

    def ranked(self) -> Counts | None:
        """What a plain ranking over all layers leaves; None where they cannot be compared."""
        ...

    def evaluate_counts(self, counts: Counts) -> Evaluated:
        """These counts as they are, within the budget or not."""
        ...


class States(Protocol):
    """What an agent that walks the layers sees of them."""

    def at(self, before: Sequence[int]) -> NDArray[np.float32]:
        """(features,): of the next layer when those before have these counts."""
        ...


class Table(Protocol):
    """Measured times."""

    def milliseconds(self, counts: Counts) -> float:
        """Of everything at these counts."""
        ...
