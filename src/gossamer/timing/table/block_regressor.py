"""Estimates the latency of a block nobody timed from the blocks of a table. No torch here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gossamer.errors import DataError
from gossamer.timing.table.latency_table import Row

if TYPE_CHECKING:
    from gossamer.timing.table.blocks_of import Unit

__all__ = ["COVERAGE", "BlockRegressor"]

COVERAGE = 0.9
"""Share of networks or blocks whose latency should lie inside an interval."""
_LEAST_ROWS = 12
_FOLDS = 10
_OTHER_KIND = 4.0
"""Blocks of two classes are as far apart as blocks whose features differ by two standard deviations each."""
_NOISE = 0.05
"""Share of the residuals' variance that is chance."""

_Array = NDArray[np.float64]
_Names = NDArray[np.str_]


class BlockRegressor:
    """Latency of a block from its shape: least squares on logarithms, then what like blocks missed (Gaussian process).

    The idea of nn-Meter's kernel regressors, on whole blocks (Rasmussen and Williams 2006, chapter 2, for the second
    step). `radius` is the 90 % quantile of its own relative errors under cross-validation.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        """Fit on the rows of one platform; pairs and whole networks among them are left out.

        Raises:
            DataError: fewer than 12 blocks.
        """
        blocks = [row for row in rows if row.kind not in ("network", "pair")]
        if len(blocks) < _LEAST_ROWS:
            raise DataError(
                f"estimating a block needs a table of at least {_LEAST_ROWS} blocks, got {len(blocks)}; "
                "measure the missing ones instead"
            )
        features = np.array([_features(row) for row in blocks])
        self._mean = features.mean(0)
        self._scale = np.maximum(features.std(0), 1e-9)
        known = (features - self._mean) / self._scale
        times = np.log([row.latency_ms for row in blocks])
        kinds = np.array([row.kind for row in blocks])
        self._known, self._kinds, self._times = known, kinds, times
        order = np.random.default_rng(0).permutation(len(blocks)) % _FOLDS
        errors = np.empty(len(blocks))
        for fold in range(_FOLDS):
            out = order == fold
            guess = _estimate(known[~out], kinds[~out], times[~out], known[out], kinds[out])
            errors[out] = np.expm1(guess - times[out])
        self.radius = float(np.quantile(np.abs(errors), COVERAGE))

    def latency_ms(self, block: Unit | Row) -> float:
        """The estimate for a block."""
        wanted = (np.array([_features(block)]) - self._mean) / self._scale
        kind = np.array([block.kind])
        return float(np.exp(_estimate(self._known, self._kinds, self._times, wanted, kind)[0]))


def _features(block: Unit | Row) -> list[float]:
    """What a block's latency is estimated from: channels, kernel, stride, size, work, traffic, fit to 16 lanes."""
    if isinstance(block, Row):
        channels, height, width = block.in_channels, block.height, block.width
    else:
        _, channels, height, width = block.shape
    sizes = (channels, block.out_channels, block.kernel, block.stride, height * width)
    lanes = [-channels % 16 / 16, -block.out_channels % 16 / 16]
    work = [math.log(1 + block.macs), math.log(1 + block.bytes_moved)]
    return [*(math.log(size) for size in sizes), *work, *lanes]


def _estimate(known: _Array, kinds: _Names, times: _Array, wanted: _Array, wanted_kinds: _Names) -> _Array:
    """Log latency (M,) of features (M, F) and kinds (M,) from those of known blocks (N, F), (N,), (N,)."""

    def wide(features: _Array) -> _Array:
        return np.hstack([np.ones((len(features), 1)), features])

    def likeness(features: _Array, of: _Names) -> _Array:
        distance = ((features[:, None] - known[None]) ** 2).mean(2)
        return np.asarray(np.exp(-(distance + _OTHER_KIND * (of[:, None] != kinds[None])) / 2))

    design = wide(known)
    square = design.T @ design + 0.1 * np.eye(design.shape[1])
    weights = np.linalg.solve(square, design.T @ times)
    missed = times - design @ weights
    shares = np.linalg.solve(likeness(known, kinds) + _NOISE * np.eye(len(known)), missed)
    estimate: _Array = wide(wanted) @ weights + likeness(wanted, wanted_kinds) @ shares
    return estimate
