"""A guard, not a hope: parts of a lossy step are kept only as far as a measured metric allows.

The step is measured whole. Where it loses too much, every part is measured alone; parts that break the limit by
themselves are refused, the others are added from the harmless ones on, as many as stay within the limit (by bisection:
each try is measured). The best measured network is returned, at least the one that was given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import nn

from gossamer.errors import GossamerError
from gossamer.types import within

__all__ = ["Guarded", "Refused", "guarded"]

Metric = Callable[[nn.Module], float]
"""A share from 0 to 1, the larger the better."""


@dataclass(frozen=True)
class Refused:
    """A part that was not applied, and why."""

    part: str
    reason: str


@dataclass(frozen=True)
class Guarded:
    """The network that was kept; `met` says whether that is with every part."""

    network: nn.Module
    score: float
    base: float
    parts: tuple[str, ...]
    refused: tuple[Refused, ...]
    evaluations: int

    @property
    def met(self) -> bool:
        """Whether everything that was asked for was applied."""
        return not self.refused

    @property
    def drop(self) -> float:
        """What was lost, a share; below 0 where the metric rose."""
        return self.base - self.score


@dataclass
class _Trials:
    """Measures subsets of parts and remembers the best that the limit allows."""

    make: Callable[[Sequence[str]], nn.Module]
    metric: Metric
    start: float
    max_drop: float
    best: nn.Module
    score: float
    parts: tuple[str, ...] = ()
    count: int = 0
    known: dict[tuple[str, ...], float] = field(default_factory=dict)

    def measure(self, parts: Sequence[str]) -> float:
        key = tuple(parts)
        if key in self.known:
            return self.known[key]
        network = self.make(parts)
        score = self.metric(network)
        self.count += 1
        self.known[key] = score
        if self.allows(score) and len(parts) > len(self.parts):
            self.best, self.score, self.parts = network, score, key
        return score

    def allows(self, score: float) -> bool:
        """Whether a network of that score lost no more than it may."""
        return within(self.start - score, self.max_drop)


def guarded(
    network: nn.Module,
    parts: Sequence[str],
    make: Callable[[Sequence[str]], nn.Module],
    metric: Metric,
    *,
    max_drop: float,
    base: float | None = None,
    evaluations: int = 60,
) -> Guarded:
    """Apply as many of the parts as the metric allows; `make(parts)` is the network with these parts applied.

    `base` is the metric of the network to hold the result against, the one given where it is not told. About `evaluations`
    networks are measured: where there are more parts they are tried in groups of neighbours.

    Raises:
        GossamerError: a drop below 0 or from 1, or a metric that is not a number.
    """
    if not 0 <= max_drop < 1:
        raise GossamerError(
            f"max_drop is a share from 0 to below 1, got {max_drop:g}; give e.g. 0.01 for a point"
        )
    start = _checked(metric(network)) if base is None else base
    trials = _Trials(make, lambda made: _checked(metric(made)), start, max_drop, network, start)
    if not parts or trials.allows(trials.measure(parts)):
        return _done(trials, start, parts, {})
    reasons: dict[str, str] = {}
    alone: list[tuple[float, tuple[str, ...]]] = []
    for group in _groups(parts, max(1, evaluations - 2 - math.ceil(math.log2(len(parts) + 1)))):
        score = trials.measure(group)
        if not trials.allows(score):
            for part in group:
                reasons[part] = f"alone loses {100 * (start - score):.1f} points" + (
                    "" if len(group) == 1 else f" together with {len(group) - 1} neighbours"
                )
        else:
            alone.append((score, group))
    alone.sort(key=lambda each: -each[0])
    low, high = 0, len(alone)
    while low < high:
        middle = (low + high + 1) // 2
        chosen = {part for _, group in alone[:middle] for part in group}
        if trials.allows(trials.measure([part for part in parts if part in chosen])):
            low = middle
        else:
            high = middle - 1
    return _done(trials, start, parts, reasons)


def _groups(parts: Sequence[str], most: int) -> list[tuple[str, ...]]:
    size = -(-len(parts) // most)
    return [tuple(parts[i : i + size]) for i in range(0, len(parts), size)]


def _checked(score: float) -> float:
    if not math.isfinite(score):
        raise GossamerError(
            f"a metric is a finite number, the network gave {score}; see that it gives finite scores"
        )
    return score


def _done(trials: _Trials, start: float, parts: Sequence[str], reasons: dict[str, str]) -> Guarded:
    if not trials.parts:  # the network as it was given: it may have lost something before
        trials.score = _checked(trials.metric(trials.best))
    refused = tuple(
        Refused(part, reasons.get(part, "loses too much together with the parts that were kept"))
        for part in parts
        if part not in trials.parts
    )
    return Guarded(trials.best, trials.score, start, trials.parts, refused, trials.count)
