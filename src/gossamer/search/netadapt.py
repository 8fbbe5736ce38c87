"""NetAdapt: the network shrinks round by round, by the layer that loses least for a measured saving (1804.03230).

A round makes one proposal a layer, the most channels with which the table of measured times saves a given step, and
scores each. The paper keeps the best one of a round and has hundreds of evaluations to a round; where there are few,
several of the best are kept at once. The rounds end at the milliseconds of the uniform policy, and what is left then is
brought to the budget of macs like every other driver's. Nothing is fine-tuned in between.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from gossamer.search.space import Counts, Space, Table
from gossamer.search.trials import Found, Tick, Trials

__all__ = ["drive"]

_STEPS = 1.0
"""Steps to the target, for each layer: with 28 layers a step saves a 28th of what must go."""


def drive(
    space: Space,
    measured: Callable[[], Table],
    *,
    evaluations: int,
    seed: int = 0,
    tick: Tick | None = None,
) -> Found:
    """Shrink by measured milliseconds; nothing is drawn, so the seed does nothing. `measured` makes the table.

    Raises:
        GossamerError: less than three evaluations more than there are layers.
    """
    layers = len(space.layers)
    trials = Trials(space, evaluations, tick, least=layers + 3)
    table = measured()
    start, goal = (table.milliseconds(each) for each in (space.whole, trials.start.counts))
    rounds = max(1, (evaluations - 3) // layers)
    steps = max(rounds, math.ceil(_STEPS * layers))
    accepted = math.ceil(steps / rounds)
    step = (start - goal) / steps
    now = space.whole
    while trials.left > 1 and table.milliseconds(now) > goal:
        after = _round(space, table, trials, now, step, accepted)
        if after == now:
            break
        now = after
    trials.policy(space.shares(now))
    return trials.found()


def _round(space: Space, table: Table, trials: Trials, now: Counts, step: float, accepted: int) -> Counts:
    """The counts after the best proposals of one round."""
    milliseconds = table.milliseconds(now)
    proposals: list[tuple[float, int, int]] = []
    for number in range(len(now)):
        count = _proposal(space, table, now, number, milliseconds - step)
        if count is not None and trials.left > 1:
            tried = trials.take((*now[:number], count, *now[number + 1 :]))
            proposals.append((-tried.score, number, count))
    after = list(now)
    for _, number, count in sorted(proposals)[:accepted]:
        after[number] = count
    return tuple(after)


def _proposal(space: Space, table: Table, now: Counts, number: int, most: float) -> int | None:
    """The most channels of a layer with which the network takes at most so many milliseconds; None if it cannot."""
    for count in reversed(space.choices[number]):
        if count < now[number] and table.milliseconds((*now[:number], count, *now[number + 1 :])) <= most:
            return count
    return None
