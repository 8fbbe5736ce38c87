"""Rules that ratios are searched against: the same share of every layer, and a width multiplier.

They differ in the last step only: a width multiplier rounds every layer by the same rule and leaves what is over.
"""

from __future__ import annotations

from gossamer.search.space import Counts, Space
from gossamer.search.trials import Found, Tick, Trials

__all__ = ["drive", "width_multiplier"]


def drive(space: Space, *, evaluations: int = 1, seed: int = 0, tick: Tick | None = None) -> Found:
    """The same share of every layer, filled to the budget; one evaluation, whatever is allowed."""
    return Trials(space, 1, tick).found()


def width_multiplier(space: Space) -> tuple[float, Counts]:
    """The largest width at which every layer, rounded to the nearest count it can have, is within the budget.

    Widths are tried in hundredths, as they are published.
    """
    layers = len(space.layers)
    for hundredths in range(100, 0, -1):
        counts = space.nearest([hundredths / 100] * layers)
        if space.macs(counts) <= space.limit:
            return hundredths / 100, counts
    return 0.0, space.least
