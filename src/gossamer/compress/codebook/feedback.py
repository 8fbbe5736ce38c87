"""Rounding to multiples of a step where each error is made up for by the weights that are not rounded yet.

GPTQ (Frantar et al., 2023, arXiv 2210.17323, after OBS, Hassibi & Stork, 1993): columns are rounded in turn, and the
error of one is spread over the rest so that the layer's output changes least under the inputs' second moments. Among
the two nearest multiples and zero, the one with the least loss plus `price` times bits is taken, so that the entropy
coder gets more of what is cheap (rate-distortion optimised quantization, as video coders do it).
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MOST_STEPS",
    "Feedback",
    "Rounded",
    "code_bits",
    "entropy_bits",
    "expected_loss",
    "round_with_feedback",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
DAMPING = 0.01
"""Share of the mean second moment that is added to each, for inputs that are never seen."""
_BLOCK = 64
_PASSES = 2
_SMOOTHING = np.array([1, 2, 3, 2, 1]) / 9
_MARGIN = 1.5
"""How far past the largest weight feedback may push one."""
MOST_STEPS = 1 << 20
"""Multiples up to this are tried; a step that needs more is no step to choose."""


class Rounded(NamedTuple):
    """Multiples of the step, the loss that theory expects of them, and the bits of their entropy."""

    codes: Integers
    loss: float
    bits: float


class Feedback:
    """How the errors of a layer's columns are made up for: found once, used at every step and price."""

    def __init__(self, moment: Floats) -> None:
        """`moment` (D, D) is symmetric and not negative: an error E costs the loss trace(E moment E^T) / 2."""
        self._moment = moment
        self._order = np.argsort(-np.diag(moment), kind="stable")

    @cached_property
    def _factor(self) -> Floats | None:
        return _inverse_factor(self._moment[np.ix_(self._order, self._order)])

    def round(self, weights: Floats, step: float, price: float) -> Rounded:
        """See `round_with_feedback`."""
        reach = min(int(_MARGIN * np.abs(weights).max(initial=0.0) / step) + 2, MOST_STEPS)
        codes = np.clip(np.rint(weights / step), -reach, reach).astype(np.int64)
        order, factor = self._order, self._factor
        if factor is not None:
            for _ in range(_PASSES):
                prices = price * code_bits(codes, reach)
                codes[:, order] = _round_columns(weights[:, order], factor, step, prices, reach)
        return Rounded(codes, expected_loss(codes * step - weights, self._moment), entropy_bits(codes))


def round_with_feedback(weights: Floats, moment: Floats, step: float, price: float) -> Rounded:
    """Multiples (O, D) of `step` for weights (O, D); an error E is expected to cost the loss trace(E moment E^T) / 2.

    `moment` (D, D) is symmetric and not negative; `price` is loss a bit. Each pass prices codes by how often the one
    before used them.
    """
    return Feedback(moment).round(weights, step, price)


def expected_loss(error: Floats, moment: Floats) -> float:
    """trace(E moment E^T) / 2 of an error E (O, D)."""
    return float(np.sum((error @ moment) * error)) / 2


def _inverse_factor(moment: Floats) -> Floats | None:
    """The upper triangle U with inverse(moment) = U^T U, or None where the input is always zero."""
    mean = float(np.trace(moment)) / len(moment)
    if not mean > 0:
        return None
    damped = moment / mean + DAMPING * np.eye(
        len(moment)
    )  # of size one: no sensitivity is too small to invert
    factor: Floats = np.linalg.cholesky(np.linalg.inv(damped)).T / np.sqrt(mean)
    return factor


def _round_columns(weights: Floats, factor: Floats, step: float, prices: Floats, reach: int) -> Integers:
    """Round column by column; the columns of a block are made up for at once, the others after the block."""
    if not np.triu(factor, 1).any():  # inputs that do not move together: no error can be made up for
        return _best(weights / step, 0.5 * np.square(step / np.diag(factor)), prices, reach)
    rest = weights.copy()
    codes = np.empty(weights.shape, np.int64)
    columns = weights.shape[1]
    for start in range(0, columns, _BLOCK):
        stop = min(start + _BLOCK, columns)
        errors = np.empty((len(weights), stop - start))
        for column in range(start, stop):
            own = factor[column, column]
            codes[:, column] = _best(rest[:, column] / step, 0.5 * (step / own) ** 2, prices, reach)
            errors[:, column - start] = (rest[:, column] - codes[:, column] * step) / own
            rest[:, column + 1 : stop] -= np.outer(
                errors[:, column - start], factor[column, column + 1 : stop]
            )
        rest[:, stop:] -= errors @ factor[start:stop, stop:]
    return codes


def _best(scaled: Floats, loss: float | Floats, prices: Floats, reach: int) -> Integers:
    """Of the nearest multiple, the one next to it towards zero and zero, that of least loss plus price; (O, ...)."""
    near = np.clip(np.rint(scaled), -reach, reach)
    tries = np.stack([near, near - np.sign(near), np.zeros_like(near)])
    costs = loss * np.square(scaled - tries) + prices[tries.astype(np.int64) + reach]
    found: Integers = np.take_along_axis(tries, costs.argmin(0)[None], 0)[0].astype(np.int64)
    return found


def code_bits(codes: Integers, reach: int) -> Floats:
    """Bits of each multiple -reach ... reach by how often it occurs; rare ones by how often their neighbours do."""
    counts = np.bincount(codes.ravel() + reach, minlength=2 * reach + 1).astype(np.float64)
    zeros, counts[reach] = counts[reach], 0.0
    smooth = np.convolve(counts, _SMOOTHING, "same") + 0.05
    smooth *= (counts.sum() + 1) / smooth.sum()
    smooth[reach] = zeros + 0.5
    bits: Floats = -np.log2(smooth / smooth.sum())
    return bits


def entropy_bits(codes: Integers) -> float:
    """The bits of these numbers under their own frequencies."""
    counts = np.unique(codes, return_counts=True)[1]
    return float(-(counts * np.log2(counts / counts.sum())).sum())
