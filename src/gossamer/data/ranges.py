"""Which values of a picture of more than 8 bits are black and white: decided once for all pictures of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Levels", "ValueRange", "levels_of", "range_of", "to_bytes"]

_DEPTHS = (8, 10, 12, 14, 16)
_OUTLIERS = 0.001
"""Share of a picture's values that may lie outside at each end: single hot pixels do not make the rest black."""
_ODD_PICTURES = 0.01
"""Share of pictures that may be brighter than white."""
_ABOVE_ONE = 1.1
"""Reflectances and normalised values run a little above 1."""


class ValueRange(NamedTuple):
    """The values that are shown as 0 and as 255; what lies outside is cut off."""

    low: float
    high: float


class Levels(NamedTuple):
    """Where the values of one picture lie, but for a thousandth at each end."""

    low: float
    high: float
    whole: bool
    """Whether they are whole numbers."""


def levels_of(values: NDArray[Any]) -> Levels:
    """Of values of any shape; those that are no finite numbers do not count."""
    whole = values.dtype.kind in "ui"
    finite = values.ravel() if whole else values[np.isfinite(values)]
    if not finite.size:
        return Levels(0.0, 0.0, whole)
    low = np.quantile(finite, _OUTLIERS, method="lower")
    high = np.quantile(finite, 1 - _OUTLIERS, method="higher")
    return Levels(float(low), float(high), whole)


def range_of(levels: Sequence[Levels]) -> ValueRange:
    """One range for pictures with these levels, one at least.

    Whole numbers are white at the end of the smallest depth of 8, 10, 12, 14 or 16 bits that holds them; others at 1 or
    255 where that holds them, else at their highest. Black is 0, or the lowest value where some are negative.
    """
    low = float(np.quantile([each.low for each in levels], _ODD_PICTURES, method="lower"))
    high = float(np.quantile([each.high for each in levels], 1 - _ODD_PICTURES, method="higher"))
    if low >= 0:
        return ValueRange(0.0, _white(high, whole=all(each.whole for each in levels)))
    return ValueRange(low, high if high > low else low + 1)


def _white(high: float, *, whole: bool) -> float:
    if whole:
        return next((2.0**bits - 1 for bits in _DEPTHS if high < 2**bits), high)
    if high <= _ABOVE_ONE:
        return 1.0
    return max(high, 255.0)


def to_bytes(values: NDArray[Any], span: ValueRange) -> NDArray[np.uint8]:
    """Values as 0 to 255; those that are no finite numbers are black."""
    scaled = (values.astype(np.float32) - span.low) * (255.0 / (span.high - span.low))
    scaled = np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0)
    narrow: NDArray[np.uint8] = np.clip(np.round(scaled), 0, 255).astype(np.uint8)
    return narrow
