"""95 % intervals of figures that were measured on so many pictures (numpy)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["bootstrap_intervals", "wilson_interval"]

_RESAMPLES = 400


def wilson_interval(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share measured on `count` pictures (Wilson 1927)."""
    if count == 0:
        return 0.0, 1.0
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_intervals(
    figures: Callable[[NDArray[np.int64]], dict[str, float]], count: int, *, resamples: int = _RESAMPLES
) -> dict[str, tuple[float, float]]:
    """Percentile intervals (Efron 1979) of figures of `count` pictures, drawn again with replacement; the draws are fixed.

    `figures` takes the places (count,) of the pictures that were drawn.
    """
    generator = np.random.default_rng(0)
    rows = [figures(generator.integers(count, size=count)) for _ in range(resamples)]
    return {
        name: tuple(float(each) for each in np.percentile([row[name] for row in rows], (2.5, 97.5)))  # type: ignore[misc]
        for name in rows[0]
    }
