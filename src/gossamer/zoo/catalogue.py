"""THE table: name -> entry. Reading it needs no torch; `build` makes the network.

Published figures are for 1,000 classes and 3 bands at `input` pixels; sources stand beside them. macs are
multiply-accumulates (SqueezeNet's README counts two operations each: halved). Our own counts lie in counted.csv.
"""

from __future__ import annotations

from gossamer.errors import ModelError, nearest
from gossamer.zoo.entries import baselines, mobilenets, searched, shuffled
from gossamer.zoo.entry import Entry, Published, WeightSource

__all__ = ["CATALOGUE", "Entry", "Published", "WeightSource", "find_entry"]

CATALOGUE: dict[str, Entry] = {
    **baselines.ENTRIES,
    **shuffled.ENTRIES,
    **mobilenets.ENTRIES,
    **searched.ENTRIES,
}


def find_entry(name: str) -> Entry:
    """The entry of a name.

    Raises:
        ModelError: the catalogue does not hold it; the message names the nearest.
    """
    if name not in CATALOGUE:
        raise ModelError(
            f"the catalogue has no network {name!r}; {nearest(name, CATALOGUE, count=3)} `gossamer zoo` lists all"
        )
    return CATALOGUE[name]
