"""Networks that are named by their parts: `ORIGIN:BACKBONE+PART+PART`. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["COMPOSERS", "Composer", "composer_of", "trunk_of"]


class Composer(NamedTuple):
    """What makes the networks of an origin out of parts."""

    builder: str
    """`module:function`, called with the text of the parts; it takes the backbone's own arguments as `backbone`."""
    task: str
    input: int
    """Pixels a side that such a network is looked at with where nobody says more."""
    num_classes: int
    backbone: str
    """Where the backbone's weights stand in the network."""


COMPOSERS: Mapping[str, Composer] = {
    "detector": Composer(
        "gossamer.tasks.detect.parts.composed:composed", "detect", 320, 80, "backbone.network"
    ),
}
"""Origin -> its composer."""


def composer_of(name: str) -> Composer | None:
    """The composer of a network's name; None for one of the catalogue or of another library."""
    origin, mark, _ = name.partition(":")
    return COMPOSERS.get(origin) if mark else None


def trunk_of(name: str) -> str | None:
    """The catalogue name of the backbone of a network that is named by its parts; None for others."""
    return None if composer_of(name) is None else name.partition(":")[2].partition("+")[0]
