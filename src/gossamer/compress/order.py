"""In which order methods may follow one another, and why not in another: each says its place itself."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gossamer.compress.methods import METHODS
from gossamer.errors import GossamerError

if TYPE_CHECKING:
    from gossamer.compress.method import Method

__all__ = ["check_order"]


def check_order(names: Sequence[str]) -> None:
    """Complain about a chain of methods in which one undoes what another made.

    Raises:
        GossamerError: a method comes after one that it would spoil.
    """
    methods: dict[str, Method] = {name: METHODS.load(name) for name in names}
    for earlier, later in pairwise(names):
        again = earlier == later == "pack"
        if not again and methods[later].place >= methods[earlier].place:
            continue
        ordered = " then ".join(sorted(set(names), key=lambda name: methods[name].place))
        advice = "leave one out" if again else f"give them as {ordered}"
        raise GossamerError(f"{later} cannot follow {earlier}: {methods[earlier].spoils}; {advice}")
