"""Boxes of a picture, as readers give them, and what is done with boxes without torch: it ships."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gossamer.types import Size

__all__ = ["Boxes", "clipped", "pairwise_iou", "usable"]

Places = NDArray[np.float64]


class Boxes(NamedTuple):
    """The boxes of one picture as its annotations have them, faulty ones among them; a picture may have none."""

    xyxy: Places
    """(N, 4) left, top, right, bottom in pixels of the picture as it is shown, the corner of the first pixel at 0, 0; shares
    of the sides with `norm`."""
    labels: NDArray[np.int64]
    """(N,) places among the data set's labels; -1 for a name or number that is none of them."""
    crowd: NDArray[np.bool_]
    """(N,) regions of many, or hard ones: neither trained on nor scored."""
    norm: bool = False
    size: Size | None = None
    """Of the picture, where the annotations tell it."""

    @classmethod
    def of(
        cls,
        xyxy: Any = (),
        labels: Any = (),
        crowd: Any = None,
        *,
        norm: bool = False,
        size: Size | None = None,
    ) -> Boxes:
        """Boxes of anything that is as an array."""
        places = np.asarray(xyxy, np.float64).reshape(-1, 4)
        hard = np.zeros(len(places), np.bool_) if crowd is None else np.asarray(crowd, np.bool_)
        return cls(places, np.asarray(labels, np.int64).reshape(-1), hard, norm, size)

    def in_pixels(self, picture: Size) -> Places:
        """(N, 4) in pixels of the picture."""
        if not self.norm:
            return self.xyxy
        return self.xyxy * np.array([picture.width, picture.height] * 2, np.float64)

    def only(self, kept: NDArray[Any]) -> Boxes:
        """Those that are chosen."""
        return self._replace(xyxy=self.xyxy[kept], labels=self.labels[kept], crowd=self.crowd[kept])


def clipped(xyxy: NDArray[Any], size: Size) -> Places:
    """Boxes (N, 4) cut at the borders of a picture."""
    limits = np.array([size.width, size.height] * 2, np.float64)
    return np.clip(np.asarray(xyxy, np.float64), 0.0, limits)


def usable(xyxy: NDArray[Any], *, least: float = 1e-6) -> NDArray[np.bool_]:
    """Which boxes (N, 4) are finite, of sides above `least`: (N,)."""
    places = np.asarray(xyxy, np.float64).reshape(-1, 4)
    with np.errstate(all="ignore"):
        sides = places[:, 2:] - places[:, :2]
    return np.asarray(np.isfinite(places).all(1) & (sides > least).all(1))


def pairwise_iou(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.float64]:
    """Intersection over union of boxes (N, 4) and (M, 4): (N, M), 0 where both are empty."""
    a, b = (np.asarray(each, np.float64).reshape(-1, 4) for each in (ours, theirs))
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inner = np.clip(high - low, 0, None).prod(2)
    area_a, area_b = (np.clip(each[:, 2:] - each[:, :2], 0, None).prod(1) for each in (a, b))
    union = area_a[:, None] + area_b[None] - inner
    return np.where(union > 0, inner / np.where(union > 0, union, 1.0), 0.0)
