"""How sure a classifier may say it is: one temperature for its scores, and how far shares are from being right (numpy).

Chuan Guo, Geoff Pleiss, Yu Sun, Kilian Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
arXiv 1706.04599: temperature scaling is section 4.2, the expected calibration error equation 3, here with its 15 bins.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gossamer.tasks.classify.confusion import softmax

__all__ = ["BINS", "expected_calibration_error", "fit_temperature", "negative_log_likelihood"]

BINS = 15
_LEAST, _MOST = 0.05, 20.0
_GOLDEN = (math.sqrt(5) - 1) / 2
_STEPS = 40
"""Each takes 0.618 of what is left: the temperature is known to a ten-thousandth long before."""


def negative_log_likelihood(
    scores: NDArray[np.float32], targets: NDArray[np.integer], *, smoothing: float = 0.0
) -> float:
    """Mean over N of -log of the share that scores (N, K) give the true class; `smoothing` of it is of all classes alike."""
    wide = scores.astype(np.float64)
    wide -= wide.max(1, keepdims=True)
    logs = wide - np.log(np.exp(wide).sum(1, keepdims=True))
    true = logs[np.arange(len(targets)), targets].mean()
    return -float((1 - smoothing) * true + smoothing * logs.mean())


def fit_temperature(scores: NDArray[np.float32], targets: NDArray[np.integer]) -> float:
    """What scores (N, K) are divided by so that their shares are the likeliest for targets (N,); 1 for no pictures.

    Targets are smoothed by 1 / (N + 2), as Platt did (1999, "Probabilistic outputs for support vector machines"): where
    every picture is right, no finite temperature would be the likeliest, and N pictures show no more than that.
    """
    if not len(targets):
        return 1.0
    smoothing = 1 / (len(targets) + 2)

    def cost(log: float) -> float:
        return negative_log_likelihood(scores / np.float32(math.exp(log)), targets, smoothing=smoothing)

    low, high = math.log(_LEAST), math.log(_MOST)
    near, far = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    costs = cost(near), cost(far)
    for _ in range(_STEPS):  # one valley: the cost is convex in 1 / temperature
        if costs[0] <= costs[1]:
            high, far = far, near
            near = high - _GOLDEN * (high - low)
            costs = cost(near), costs[0]
        else:
            low, near = near, far
            far = low + _GOLDEN * (high - low)
            costs = costs[1], cost(far)
    return round(math.exp((low + high) / 2), 4)


def expected_calibration_error(
    scores: NDArray[np.float32], targets: NDArray[np.integer], *, bins: int = BINS
) -> float:
    """Mean distance of how sure from how often right, over equally wide bins of how sure, weighed by pictures."""
    shares = softmax(scores)
    sure, right = shares.max(1), shares.argmax(1) == targets
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(place, weights=sure.astype(np.float64) - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(targets)) if len(targets) else 0.0
