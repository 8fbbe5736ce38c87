"""From what a detector gives to the boxes that are said: scores first, then suppression (numpy): it ships.

Greedy suppression is that of Felzenszwalb et al., 2010, section 5.2; soft suppression that of Bodla et al., 1704.04503.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["SAID", "SCORED", "Detections", "Suppression", "detections", "soft_suppressed", "suppressed"]

Detections = NDArray[np.float64]
"""(N, 6): xyxy in pixels, score, place among the labels; best first."""

_LARGEST = 1e6


@dataclass(frozen=True)
class Suppression:
    """Which of many boxes of one thing is said."""

    threshold: float = 0.05
    """Below this score nothing is said."""
    overlap: float = 0.6
    """Above this IoU with a better one a box is the same thing; 1: none is (heads that give one box a thing)."""
    most: int = 100
    """Boxes a picture."""
    candidates: int = 1000
    """That are looked at, the best ones: suppression costs their square."""
    agnostic: bool = False
    """Whether boxes of different classes are the same thing too."""
    form: Literal["greedy", "soft"] = "greedy"


SCORED = Suppression(threshold=0.005)
"""What AP is counted on: nearly everything."""
SAID = Suppression(threshold=0.25)
"""What a person is told where no threshold is asked for, in answers and on pages."""


def detections(answers: NDArray[np.float32], how: Suppression) -> Detections:
    """What is said of one picture of which a detector gave (A, 4 + K): every pair of box and class above the threshold."""
    scores = answers[:, 4:]
    rows = np.flatnonzero(scores.max(1, initial=0.0) > how.threshold)
    if not len(rows):
        return np.zeros((0, 6))
    chosen = scores[rows]
    places, labels = np.nonzero(chosen > how.threshold)
    values = chosen[places, labels].astype(np.float64)
    if len(values) > how.candidates:
        best = np.argpartition(-values, how.candidates)[: how.candidates]
        places, labels, values = places[best], labels[best], values[best]
    order = np.lexsort((labels, places, -values))
    boxes = np.clip(np.nan_to_num(answers[rows[places[order]], :4].astype(np.float64)), -_LARGEST, _LARGEST)
    pairs = np.column_stack([boxes, values[order], labels[order]])
    pairs = pairs[(boxes[:, 2:] > boxes[:, :2]).all(1)]
    if how.form == "soft":
        return soft_suppressed(pairs, how)
    return pairs[suppressed(pairs, how)]


def suppressed(pairs: Detections, how: Suppression) -> NDArray[np.int64]:
    """Places of those that stay, best first, at most `most`; the pairs (N, 6) come best first."""
    if how.overlap >= 1 or len(pairs) < 2:
        return np.arange(min(len(pairs), how.most))
    x1, y1, x2, y2 = pairs[:, :4].T
    areas = np.clip(x2 - x1, 0, None) * np.clip(y2 - y1, 0, None)
    labels = pairs[:, 5]
    kept: list[int] = []
    left = np.arange(len(pairs))
    while len(left) and len(kept) < how.most:
        first, left = left[0], left[1:]
        kept.append(int(first))
        width = np.minimum(x2[first], x2[left]) - np.maximum(x1[first], x1[left])
        height = np.minimum(y2[first], y2[left]) - np.maximum(y1[first], y1[left])
        inner = np.clip(width, 0, None) * np.clip(height, 0, None)
        same = inner > how.overlap * (areas[first] + areas[left] - inner)
        if not how.agnostic:
            same &= labels[left] == labels[first]
        left = left[~same]
    return np.array(kept, np.int64)


def soft_suppressed(pairs: Detections, how: Suppression, *, sigma: float = 0.5) -> Detections:
    """Scores fall by exp(-IoU^2 / sigma) of every better box instead of at once; what falls below the threshold goes."""
    left = pairs.copy()
    kept: list[NDArray[np.float64]] = []
    while len(left) and len(kept) < how.most:
        best = int(left[:, 4].argmax())
        first = left[best].copy()
        left = np.delete(left, best, 0)
        kept.append(first)
        low, high = np.maximum(first[:2], left[:, :2]), np.minimum(first[2:4], left[:, 2:4])
        inner = np.clip(high - low, 0, None).prod(1)
        areas = np.clip(left[:, 2:4] - left[:, :2], 0, None).prod(1)
        union = areas + max(0.0, float((first[2] - first[0]) * (first[3] - first[1]))) - inner
        overlap = np.where(union > 0, inner / np.where(union > 0, union, 1.0), 0.0)
        fall = np.exp(-np.square(overlap) / sigma)
        left[:, 4] *= fall if how.agnostic else np.where(left[:, 5] == first[5], fall, 1.0)
        left = left[left[:, 4] > how.threshold]
    return np.array(kept).reshape(-1, 6)
