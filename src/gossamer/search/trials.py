"""A driver's account: what it may spend, what it has tried, the best so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gossamer.errors import GossamerError
from gossamer.search.space import Counts, Evaluated, Policy, Space

__all__ = ["Found", "Tick", "Trials"]

Tick = Callable[[int, float], None]
"""Takes the number of evaluations spent and the best score."""

_ASKED = 2
"""Policies asked for an evaluation, at most: in small spaces most are known already."""


@dataclass(frozen=True)
class Found:
    """What a driver gives back."""

    policy: tuple[float, ...]
    """Of each layer the share that stays, exact."""
    counts: Counts
    score: float
    evaluations: int
    """Different networks that it measured."""
    history: tuple[float, ...]
    """Their scores, in order; those within the budget and those that it only learned from."""


class Trials:
    """Counts evaluations for one run of a driver, whatever others have measured before in the same space."""

    def __init__(self, space: Space, evaluations: int, tick: Tick | None, least: int = 1) -> None:
        """Measured first are the uniform policy and, where channels can be compared, that of a plain ranking: a search
        starts at the better one and gives back nothing worse.

        Raises:
            GossamerError: fewer than `least` evaluations.
        """
        if evaluations < least:
            raise GossamerError(
                f"this driver needs at least {least} evaluations for {len(space.layers)} layers, got {evaluations}; "
                "give more, or take uniform"
            )
        self._space, self._evaluations, self._tick = space, evaluations, tick
        self._seen: dict[Counts, float] = {}
        self._asked = 0
        self.best = self.take(space.uniform())
        ranked = space.ranked() if evaluations > 1 else None
        if ranked is not None:
            self.take(ranked)
        self.start = self.best

    @property
    def left(self) -> int:
        """How many evaluations may still be spent."""
        asks = _ASKED * self._evaluations - self._asked
        return max(0, min(self._evaluations - len(self._seen), asks))

    def policy(self, policy: Policy) -> Evaluated:
        """A policy, brought to the budget."""
        return self.take(self._space.settle(policy))

    def take(self, counts: Counts) -> Evaluated:
        """Counts as they are; the best is kept among those within the budget."""
        found = self._space.evaluate_counts(counts)
        self._asked += 1
        within = self._space.macs(counts) <= self._space.limit
        if counts not in self._seen:
            self._seen[counts] = found.score
            if within and (len(self._seen) == 1 or found.score > self.best.score):
                self.best = found
            if self._tick is not None:
                self._tick(len(self._seen), found.score if len(self._seen) == 1 else self.best.score)
        return found

    def found(self) -> Found:
        """The best of this run."""
        best = self.best
        return Found(best.policy, best.counts, best.score, len(self._seen), tuple(self._seen.values()))
