"""Ratios by sensitivity and integer programming: what each layer loses by itself, and the least sum within the budget.

Layers are measured one by one, first with all others whole, then around the best policy so far. Which count each layer
gets is a multiple-choice knapsack (`scipy.optimize.milp`). Macs are products of neighbouring counts, so they are
linearised around the solution at hand and solved again. Layers do not lose independently, so a quadratic term holds the
solution near a policy that was measured; solutions for several weights of it are measured, and the best is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gossamer.search.space import Counts, Space
from gossamer.search.trials import Found, Tick, Trials

__all__ = ["drive", "solve"]

Losses = Sequence[NDArray[np.float64]]
"""Of each layer what each of its choices loses, the least count first."""

_TRUST = (0.0, 0.03, 0.1, 0.3, 1.0)
"""Weights of the quadratic term: 1 lets a share move by 0.2 for what an average layer loses."""
_MOVE = 0.2
_MOST_POINTS = 3
_MOST_CHOICES = 17
"""Of a layer, offered to the solver at once, evenly spread."""
_RADII = (0.5, 0.3, 0.2, 0.1, 0.05)
"""How far a share may move from one linearisation of the macs to the next."""


def drive(space: Space, *, evaluations: int, seed: int = 0, tick: Tick | None = None) -> Found:
    """Measure, solve, measure the solutions, and again around the best; nothing is drawn, so the seed does nothing.

    Raises:
        GossamerError: less than three evaluations more than there are layers.
    """
    layers = len(space.layers)
    trials = Trials(space, evaluations, tick, least=layers + 3)
    points = min(_MOST_POINTS, max(1, (evaluations - 2) // (2 * layers)))
    base = space.whole
    while trials.left > layers:
        around = trials.best.counts
        losses = _measured(space, trials, base, points)
        for trust in _TRUST:
            if not trials.left:
                break
            policy = solve(space, losses, around=around, trust=trust)
            trials.policy(space.shares(policy))
        if base != space.whole and trials.best.counts == around:
            break
        base, points = trials.best.counts, 1
    return trials.found()


def _measured(space: Space, trials: Trials, base: Counts, points: int) -> Losses:
    """What each layer loses from `base` on at every choice; never less for fewer."""
    start = trials.take(base).score
    found = []
    for number, choices in enumerate(space.choices):
        known = {base[number]: 0.0}
        for point in range(points):
            below = [count for count in choices if count < base[number]]
            if not below or not trials.left:
                break
            count = below[len(below) * (2 * point + 1) // (2 * points)]
            changed = (*base[:number], count, *base[number + 1 :])
            known[count] = start - trials.take(changed).score
        found.append(_curve(choices, known))
    return found


def _curve(choices: Sequence[int], known: dict[int, float]) -> NDArray[np.float64]:
    """Losses at all choices, through the known ones, each piece a parabola that is flat at the whole layer.

    The first channels to go cost nearly nothing, the last ones much: a line would call half-empty layers cheap.
    """
    counts = sorted(known)
    losses = np.maximum.accumulate([known[count] for count in reversed(counts)])[::-1]
    gone = (1 - np.asarray(choices, np.float64) / choices[-1]) ** 2
    at = np.array([(1 - count / choices[-1]) ** 2 for count in counts])
    found: NDArray[np.float64] = np.interp(-gone, -at, losses)
    if len(counts) > 1:
        low = (losses[0] - losses[1]) / (at[0] - at[1])
        high = (losses[-2] - losses[-1]) / (at[-2] - at[-1])
        found += low * np.maximum(gone - at[0], 0) - high * np.maximum(at[-1] - gone, 0)
    return found


def solve(space: Space, losses: Losses, *, around: Counts, trust: float) -> Counts:
    """The counts of least summed loss within the budget, which they fill.

    `trust` weighs the squared distance of shares from those of `around`.
    """
    typical = float(np.mean([loss.max() - loss.min() for loss in losses])) or 1.0
    shares = [np.asarray(choices) / choices[-1] for choices in space.choices]
    costs = [
        loss + trust * typical * ((share - centre) / _MOVE) ** 2
        for loss, share, centre in zip(losses, shares, space.shares(around), strict=True)
    ]

    def cost_of(counts: Counts) -> float:
        places = zip(space.choices, counts, costs, strict=True)
        return sum(float(cost[choices.index(count)]) for choices, count, cost in places)

    now = best = around
    for radius in _RADII:
        offered = _offered(space, now, radius)
        weights = _linear_macs(space, now, offered)
        offered_costs = [cost[places] for cost, places in zip(costs, offered, strict=True)]
        picked = _knapsack(offered_costs, weights, space.limit - space.macs(now))
        if picked is None:
            break
        picks = zip(shares, offered, picked, strict=True)
        now = space.settle([float(share[places[pick]]) for share, places, pick in picks])
        best = min(best, now, key=cost_of)
    return best


def _offered(space: Space, now: Counts, radius: float) -> list[NDArray[np.int64]]:
    """Of each layer the places of choices within a radius of its share, thinned; that of its count among them."""
    found = []
    for choices, count in zip(space.choices, now, strict=True):
        near = np.flatnonzero(np.abs(np.asarray(choices) - count) <= radius * choices[-1])
        thinned = near[np.linspace(0, len(near) - 1, _MOST_CHOICES).round().astype(int)]
        found.append(np.unique([*thinned, choices.index(count)]))
    return found


def _linear_macs(
    space: Space, now: Counts, offered: Sequence[NDArray[np.int64]]
) -> list[NDArray[np.float64]]:
    """Of each layer what each offered choice changes in the macs, all others as they are now."""
    start = space.macs(now)
    found = []
    for number, (choices, places) in enumerate(zip(space.choices, offered, strict=True)):
        tried = [(*now[:number], choices[place], *now[number + 1 :]) for place in places]
        found.append(np.array([space.macs(counts) - start for counts in tried], np.float64))
    return found


def _knapsack(
    costs: Sequence[NDArray[np.float64]], weights: Sequence[NDArray[np.float64]], room: float
) -> list[int] | None:
    """One choice a layer, the least summed cost with summed weights at most `room`; None where nothing fits."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    sizes = [len(each) for each in costs]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    one = np.zeros((len(sizes), starts[-1]))
    for number, (start, stop) in enumerate(pairwise(starts)):
        one[number, start:stop] = 1
    scale = max(abs(room), max(float(np.abs(each).max()) for each in weights), 1.0)
    result = milp(
        np.concatenate(costs) / max(float(np.abs(np.concatenate(costs)).max()), 1e-12),
        constraints=[
            LinearConstraint(one, 1, 1),
            LinearConstraint(np.concatenate(weights)[None] / scale, -np.inf, room / scale),
        ],
        integrality=np.ones(int(starts[-1])),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 1e-3},
    )
    if result.x is None:
        return None
    return [int(np.argmax(result.x[a:b])) for a, b in pairwise(starts)]
