"""A point around the cell's corner and sides as shares of the whole picture: FastestDet's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.tasks.detect.parts.coders.cells import cell_priors, corners, middles
from gossamer.tasks.detect.parts.detector import Priors

__all__ = ["RelativeCoder"]

_EDGE = 1e-4
"""Shares that an inverse takes end so far before their limits."""


@dataclass(frozen=True)
class RelativeCoder:
    """Centre (tanh(t) + g) * stride for a cell's corner g, so up to a cell to any side; sides sigmoid(t) of the input's."""

    strides: tuple[int, ...] = (16,)
    priors_a_cell: int = 1
    numbers: int = 4

    def priors(self, shapes: Sequence[tuple[int, int]], size: tuple[int, int], like: Tensor) -> Priors:
        """Squares of one cell."""
        return cell_priors(shapes, self.strides, size, like)

    def decode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """(B, A, 4) raw -> (B, A, 4) xyxy in pixels."""
        middle = (boxes[..., :2].tanh() - 0.5) * priors.strides[:, None] + priors.boxes_cxcywh[:, :2]
        return corners(middle, boxes[..., 2:].sigmoid() * _sides_of(priors, boxes))

    def encode(self, boxes_xyxy: Tensor, priors: Priors) -> Tensor:
        """(A, 4) xyxy -> (A, 4), what `decode` takes; what lies beyond its reach is brought to the border of it."""
        middle, sides = middles(boxes_xyxy)
        share = (middle - priors.boxes_cxcywh[:, :2]) / priors.strides[:, None] + 0.5
        place = share.clamp(_EDGE - 1, 1 - _EDGE).atanh()
        return torch.cat([place, (sides / _sides_of(priors, sides)).logit(_EDGE)], -1)


def _sides_of(priors: Priors, like: Tensor) -> Tensor:
    height, width = priors.size
    return torch.tensor([width, height], dtype=like.dtype, device=like.device)
