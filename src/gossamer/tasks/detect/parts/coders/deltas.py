"""Shifts in sides of a prior and the logarithm of its growth (Faster R-CNN, 1506.01497, equation 2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.tasks.detect.parts.coders.cells import Anchor, cell_priors, corners, middles
from gossamer.tasks.detect.parts.detector import Priors

__all__ = ["DeltaCoder", "deltas_of", "moved_by"]

_MOST_GROWTH = math.log(1000 / 16)
"""Of the logarithm of a growth: so that no box becomes infinite."""


def moved_by(deltas: Tensor, boxes_cxcywh: Tensor, weights: Sequence[float]) -> Tensor:
    """Boxes (..., 4) cxcywh moved and grown by weighted deltas (..., 4): xyxy (..., 4)."""
    shift, growth = deltas[..., :2] / weights[0], deltas[..., 2:] / weights[1]
    middle = shift * boxes_cxcywh[..., 2:] + boxes_cxcywh[..., :2]
    return corners(middle, growth.clamp(max=_MOST_GROWTH).exp() * boxes_cxcywh[..., 2:])


def deltas_of(boxes_xyxy: Tensor, boxes_cxcywh: Tensor, weights: Sequence[float]) -> Tensor:
    """What moves boxes (..., 4) cxcywh to boxes (..., 4) xyxy, weighted: (..., 4)."""
    middle, sides = middles(boxes_xyxy)
    shift = (middle - boxes_cxcywh[..., :2]) / boxes_cxcywh[..., 2:]
    return torch.cat([shift * weights[0], (sides / boxes_cxcywh[..., 2:]).log() * weights[1]], -1)


@dataclass(frozen=True)
class DeltaCoder:
    """Centre moved by d / weight of the prior's sides, sides times exp(d / weight). SSD's weights are 10 and 5,
    EfficientDet's and those of region proposals 1."""

    anchors: tuple[tuple[Anchor, ...], ...]
    """Of each level, in pixels of the input, or in shares of it."""
    strides: tuple[int, ...]
    weights: tuple[float, float] = (1.0, 1.0)
    """For centres and for sides."""
    norm: bool = False
    """Whether anchors are shares of the input, with cells spread over it."""
    numbers: int = 4

    @property
    def priors_a_cell(self) -> int:
        """Anchors of a level."""
        return len(self.anchors[0])

    def priors(self, shapes: Sequence[tuple[int, int]], size: tuple[int, int], like: Tensor) -> Priors:
        """Anchors in the middle of every cell."""
        return cell_priors(shapes, self.strides, size, like, anchors=self.anchors, norm=self.norm)

    def decode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """(B, A, 4) raw -> (B, A, 4) xyxy in pixels."""
        return moved_by(boxes, priors.boxes_cxcywh, self.weights)

    def encode(self, boxes_xyxy: Tensor, priors: Priors) -> Tensor:
        """(A, 4) xyxy -> (A, 4), what `decode` takes."""
        return deltas_of(boxes_xyxy, priors.boxes_cxcywh, self.weights)
