"""Rules that ratios are searched against: the same share of every layer, and a width multiplier.

They differ in the last step only: a width multiplier rounds every layer by the same rule and leaves what is over.
"""

from __future__ import annotations

from gossamer.compress.auto.environment import Counts, Environment
from gossamer.compress.auto.trials import Found, Tick, Trials

__all__ = ["drive", "width_multiplier"]


def drive(
    environment: Environment, *, evaluations: int = 1, seed: int = 0, tick: Tick | None = None
) -> Found:
    """The same share of every layer, filled to the budget; one evaluation, whatever is allowed."""
    return Trials(environment, 1, tick).found()


def width_multiplier(environment: Environment) -> tuple[float, Counts]:
    """The largest width at which every layer, rounded to the nearest count it can have, is within the budget.

    Widths are tried in hundredths, as they are published.
    """
    layers = len(environment.layers)
    for hundredths in range(100, 0, -1):
        counts = environment.nearest([hundredths / 100] * layers)
        if environment.macs(counts) <= environment.limit:
            return hundredths / 100, counts
    return 0.0, environment.least
