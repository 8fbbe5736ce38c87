"""Anchors that fit a data set: k-means over the sides of its boxes by intersection over union (YOLOv2, arXiv:1612.08242, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gossamer.errors import DataError
from gossamer.tasks.detect.boxes import Boxes
from gossamer.tasks.detect.faults import repaired
from gossamer.types import Size

__all__ = ["Anchors", "anchors", "best_recall"]

_MOST = 20_000
"""Boxes that are clustered; of more, so many by chance."""
_ROUNDS = 100
_RATIO = 4.0
"""A box is within reach of an anchor whose sides are no more than so many times its own, and no less."""


class Anchors(NamedTuple):
    """Sides to begin from, and how well they fit."""

    sides: NDArray[np.float64]
    """(K, 2) width and height in pixels of the input, by area."""
    iou: float
    """Mean over the boxes of the best intersection over union with an anchor on the same centre."""
    recall: float
    """Share of boxes within reach of some anchor: the best recall that there can be."""


def anchors(
    targets: Sequence[Boxes], sizes: Sequence[Size], count: int, size: Size, *, seed: int = 0
) -> Anchors:
    """`count` anchors for inputs of `size`, into which pictures of `sizes` are letterboxed.

    Raises:
        DataError: fewer boxes of different sides than anchors.
    """
    sides = _sides(targets, sizes, size)
    rng = np.random.default_rng(seed)
    if len(np.unique(sides, axis=0)) < max(count, 1):
        raise DataError(
            f"anchors are fitted to at least as many boxes of different sides, got {len(np.unique(sides, axis=0))} for count={count}; "
            "use fewer anchors or add boxes"
        )
    some = sides if len(sides) <= _MOST else sides[rng.choice(len(sides), _MOST, replace=False)]
    centres = _spread(some, count, rng)
    for _ in range(_ROUNDS):
        nearest = _iou(some, centres).argmax(1)
        moved = np.array(
            [
                np.median(some[nearest == k], axis=0) if (nearest == k).any() else centres[k]
                for k in range(count)
            ]
        )
        if np.allclose(moved, centres):
            break
        centres = moved
    centres = centres[np.argsort(centres.prod(1), kind="stable")]
    return Anchors(centres, float(_iou(sides, centres).max(1).mean()), best_recall(sides, centres))


def best_recall(sides: NDArray[np.float64], anchor_sides: NDArray[np.float64]) -> float:
    """The share of boxes (N, 2) that some anchor (K, 2) is within reach of."""
    ratio = sides[:, None] / anchor_sides[None]
    worst = np.maximum(ratio, 1 / ratio).max(2)
    return float((worst.min(1) < _RATIO).mean()) if len(sides) else 0.0


def _sides(targets: Sequence[Boxes], sizes: Sequence[Size], size: Size) -> NDArray[np.float64]:
    """(N, 2) width and height of all boxes in pixels of the input."""
    every = [np.zeros((0, 2))]
    for target, picture in zip(targets, sizes, strict=True):
        places = repaired(target, picture).xyxy
        scale = min(size.height / picture.height, size.width / picture.width)
        every.append((places[:, 2:] - places[:, :2]) * scale)
    return np.concatenate(every)


def _spread(sides: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Places to begin at, each drawn the likelier the farther it is from those before (k-means++)."""
    centres = [sides[rng.integers(len(sides))]]
    while len(centres) < count:
        away = np.square(1 - _iou(sides, np.array(centres)).max(1))
        chances = away / away.sum()
        centres.append(sides[rng.choice(len(sides), p=chances)])
    return np.array(centres, np.float64)


def _iou(sides: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of boxes (N, 2) and (K, 2) on one centre: (N, K)."""
    inner = np.minimum(sides[:, None], centres[None]).prod(2)
    return np.asarray(inner / (sides.prod(1)[:, None] + centres.prod(1)[None] - inner), np.float64)
