"""THE table: name -> entry. Reading it needs no torch; `build` makes the network.

Published figures are for 1,000 classes and 3 bands at `input` pixels; sources stand beside them. macs are
multiply-accumulates (SqueezeNet's README counts two operations each: halved). Our own counts lie in counted.csv.
"""

from __future__ import annotations

from gossamer.errors import ModelError, nearest
from gossamer.zoo.composed import composer_of
from gossamer.zoo.entries import baselines, detectors, mobilenets, searched, shuffled
from gossamer.zoo.entry import Entry, Published, WeightSource

__all__ = [
    "CATALOGUE",
    "CLASSIFIERS",
    "Entry",
    "Published",
    "WeightSource",
    "find_entry",
    "input_of",
    "of_task",
    "task_of",
]

CATALOGUE: dict[str, Entry] = {
    **baselines.ENTRIES,
    **shuffled.ENTRIES,
    **mobilenets.ENTRIES,
    **searched.ENTRIES,
    **detectors.ENTRIES,
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


def of_task(task: str) -> dict[str, Entry]:
    """The entries of networks for a task, in the order of the table."""
    return {name: entry for name, entry in CATALOGUE.items() if entry.task == task}


CLASSIFIERS: dict[str, Entry] = of_task("classify")
"""What pictures are told apart by: the networks of ImageNet and its like, which are the backbones of others."""


def task_of(name: str) -> str:
    """What a network by name is for: its entry's task, that of its parts, or to classify."""
    if (composer := composer_of(name)) is not None:
        return composer.task
    return CATALOGUE[name].task if name in CATALOGUE else "classify"


def input_of(name: str) -> int:
    """Pixels a side that a network by name is looked at with where nobody says more."""
    if (composer := composer_of(name)) is not None:
        return composer.input
    return CATALOGUE[name].input if name in CATALOGUE else 224
