"""What every network of the catalogue costs, counted once and shipped as a table: no torch, no building.

counted.csv is written by `python -m tools.count_zoo`; a test holds every line against a fresh count.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

__all__ = ["DETECTOR_SIZES", "SIZES", "Counted", "counted", "counts"]

SIZES = (64, 96, 128, 160, 192, 224)
"""Input sizes that every classifier is counted at, beside its own."""
DETECTOR_SIZES = (256, 320, 416)
"""And every detector."""


class Counted(NamedTuple):
    """One network at one square input of 3 bands, with the entry's number of classes."""

    params: int
    macs: int
    class_params: int
    """Params that one more class adds."""
    class_macs: int
    """macs that one more class adds."""

    def with_classes(self, added: int) -> Counted:
        """The count with so many classes more (or fewer, below 0)."""
        return self._replace(
            params=self.params + added * self.class_params, macs=self.macs + added * self.class_macs
        )


@functools.cache
def counts() -> Mapping[tuple[str, int], Counted]:
    """(catalogue name, input size) -> count."""
    text = resources.files("gossamer.zoo").joinpath("counted.csv").read_text()
    rows = csv.reader(text.splitlines()[1:])
    return {(name, int(size)): Counted(*map(int, figures)) for name, size, *figures in rows}


def counted(name: str, size: int) -> Counted | None:
    """The count of a catalogue name at an input size; None where the table does not hold it."""
    return counts().get((name, size))
