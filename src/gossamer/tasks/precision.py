"""How well scores put the pictures that bear a label before those that do not (numpy)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["average_precision"]


def average_precision(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """The sum over thresholds of precision times the gain in recall, of scores (N,) against truth (N,); NaN without a
    true one. Equal scores are one threshold."""
    positives = int(truth.sum())
    if not positives:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    gains = np.diff(np.concatenate([[0], hits[last]])) / positives
    return float((gains * hits[last] / (last + 1)).sum())
