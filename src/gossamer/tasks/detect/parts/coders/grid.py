"""A point beside the cell's corner and the logarithm of sides, in strides (YOLOX, 2107.08430, section 2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.tasks.detect.parts.coders.cells import cell_priors, corners, grown, middles
from gossamer.tasks.detect.parts.detector import Priors

__all__ = ["GridCoder"]


@dataclass(frozen=True)
class GridCoder:
    """Four numbers dx, dy, dw, dh: centre (d + g) * stride for a cell's corner g, sides exp(d) * stride. One prior a cell,
    a square of one stride in the cell's middle."""

    strides: tuple[int, ...] = (8, 16, 32)
    priors_a_cell: int = 1
    numbers: int = 4

    def priors(self, shapes: Sequence[tuple[int, int]], size: tuple[int, int], like: Tensor) -> Priors:
        """Squares of one cell."""
        return cell_priors(shapes, self.strides, size, like)

    def decode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """(B, A, 4) raw -> (B, A, 4) xyxy in pixels."""
        stride = priors.strides[:, None]
        middle = (boxes[..., :2] - 0.5) * stride + priors.boxes_cxcywh[:, :2]
        return corners(middle, grown(boxes[..., 2:]) * stride)

    def encode(self, boxes_xyxy: Tensor, priors: Priors) -> Tensor:
        """(A, 4) xyxy -> (A, 4), what `decode` takes."""
        stride = priors.strides[:, None]
        middle, sides = middles(boxes_xyxy)
        return torch.cat([(middle - priors.boxes_cxcywh[:, :2]) / stride + 0.5, (sides / stride).log()], -1)
