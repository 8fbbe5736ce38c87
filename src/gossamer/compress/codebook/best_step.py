"""The step of one tensor that loses least at a price, out of all from the finest that has a code to none at all.

What a step costs is its expected loss plus the price times the bits that its codes take in a file, table included. A
tensor of zeros is always among the choices, so every tensor gets to its fewest bits if only the price is high enough.
Nothing is kept from one price to the next: the same price gives the same step.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gossamer.compress.codebook.feedback import MOST_STEPS, Feedback, Rounded, expected_loss
from gossamer.deploy.runtimes.packed.integers import run_bits

__all__ = ["BestStep"]

Floats = NDArray[np.float64]
_NOTCH = math.log(2) / 4
"""Between two steps that are tried, in logarithms."""
_STRIDE = 2
"""Notches between the tries of a scan; the best one's neighbours are tried last."""
_PATIENCE = 2
"""Tries in a row that may be worse before a scan ends: a bump is no end."""
_PRICED = 12 / math.log(2)
"""Fine steps are best where the square of the step is this times the price, for a sensitivity of 1."""
_LEAST, _MOST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
_FINE = 2**-16
"""The finest step, of the median weight: float32 itself hardly tells a network of such steps from the exact one."""
_MARGIN = 2.0
"""How many codes past the largest weight's a step leaves to feedback."""


class BestStep:
    """Steps for weights (O, D) whose error E is expected to cost the loss trace(E second E^T) / 2."""

    def __init__(self, weights: Floats, second: Floats) -> None:
        """`second` (D, D) is symmetric and not negative."""
        self._weights, self._feedback = weights, Feedback(second)
        sizes = np.abs(weights[weights != 0])
        most, middle = (float(sizes.max()), float(np.median(sizes))) if len(sizes) else (0.0, 0.0)
        self._finest = max(_LEAST, _MARGIN * most / MOST_STEPS, _FINE * middle)
        self._coarsest = min(_MOST, 2 * most)
        self._sensitivity = float(np.trace(second)) / len(second)
        self.count = max(1, len(sizes))
        """Weights that are not zero, at least 1."""
        self.worth = math.log(2) * self._sensitivity * float(np.square(weights).sum()) / self.count
        """The price (loss a bit) at which theory gives the weights up."""
        self.finest_price = self._sensitivity * self._finest**2 / _PRICED
        """The price below which the finest step is best."""
        codes = np.zeros(weights.shape, np.int64)
        gone = min(_MOST, 2.001 * most) or 1.0
        self.zeros = gone, Rounded(codes, expected_loss(weights, second), run_bits(codes.ravel()))
        """(a step at which all weights are nearest to zero, those zeros)."""

    def at(self, price: float) -> tuple[float, Rounded]:
        """(step, codes) of least loss plus price (loss a bit) times bits."""
        if self._finest > self._coarsest:  # the weights are as good as zero
            return self.zeros
        first = self._expected(price)
        low = math.ceil(math.log(self._finest / first) / _NOTCH)
        high = math.floor(math.log(self._coarsest / first) / _NOTCH)
        tries: dict[int, tuple[float, Rounded]] = {}

        def cost(notch: int) -> float:
            if notch not in tries:
                step = float(np.float32(first * math.exp(notch * _NOTCH)))
                rounded = self._feedback.round(self._weights, step, price)
                tries[notch] = step, rounded._replace(bits=run_bits(rounded.codes.ravel()))
            return _cost(tries[notch], price)

        for stride in (_STRIDE, -_STRIDE):
            notch = worse = 0
            least = cost(notch)
            while worse < _PATIENCE and low <= notch + stride <= high:
                notch += stride
                worse = worse + 1 if cost(notch) >= least else 0
                least = min(least, cost(notch))
        centre = min(tries, key=cost)
        for notch in range(max(low, centre + 1 - _STRIDE), min(high, centre - 1 + _STRIDE) + 1):
            cost(notch)
        return min(self.zeros, *tries.values(), key=lambda choice: _cost(choice, price))

    def _expected(self, price: float) -> float:
        """The step at which a finer one pays as much for its bits as it saves of the loss, step**2 / 12 a weight."""
        free = self._coarsest if price > 0 else self._finest
        step = math.sqrt(_PRICED * price / self._sensitivity) if self._sensitivity > 0 else free
        return min(max(step, self._finest), self._coarsest)


def _cost(choice: tuple[float, Rounded], price: float) -> float:
    return choice[1].loss + price * choice[1].bits
