"""In which order methods may follow one another, and why not in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from gossamer.errors import GossamerError

__all__ = ["PLACES", "check_order"]

PLACES: Mapping[str, int] = {
    "auto": 0,
    "slim": 0,
    "prune": 0,
    "factorise": 1,
    "sparsify": 2,
    "quantize": 3,
    "pack": 4,
}
"""Method -> its place in a chain; methods of one place may follow one another."""
_SPOILS: Mapping[str, str] = {
    "factorise": "factors tie channels that pruning would choose from, and lose more when they are cut",
    "sparsify": "what is repaired or factorised afterwards has no zeros any more",
    "quantize": "its grid and scales are of the weights and channels that were there, the new ones are not on it",
    "pack": "a packed network's weights are those of its file, which the next method would change again",
}
"""What comes too late for others -> the reason."""


def check_order(names: Sequence[str]) -> None:
    """Raises: GossamerError: a method comes after one that it would spoil."""
    for earlier, later in pairwise(names):
        again = earlier == later == "pack"
        if not again and PLACES[later] >= PLACES[earlier]:
            continue
        ordered = " then ".join(sorted(set(names), key=lambda name: PLACES[name]))
        advice = "leave one out" if again else f"give them as {ordered}"
        raise GossamerError(f"{later} cannot follow {earlier}: {_SPOILS[earlier]}; {advice}")
