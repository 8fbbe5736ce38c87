"""Distances from a point to the four sides, plain or as distributions (GFL, 2006.04388, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.tasks.detect.parts.coders.cells import cell_priors
from gossamer.tasks.detect.parts.detector import Priors

__all__ = ["DistanceCoder"]

_SHORT_OF_LAST = 0.1
"""Distances that a distribution is trained towards end so far before its last bin."""


@dataclass(frozen=True)
class DistanceCoder:
    """Left, top, right, bottom in strides from the prior's centre: each the mean of a distribution over 0 to `most`,
    `most` + 1 numbers a side. Priors stand `offset` of a cell from the cell's corner: 0.5 in the middle."""

    strides: tuple[int, ...] = (8, 16, 32)
    most: int = 7
    offset: float = 0.5
    priors_a_cell: int = 1

    @property
    def numbers(self) -> int:
        """4 * (most + 1)."""
        return 4 * (self.most + 1)

    def priors(self, shapes: Sequence[tuple[int, int]], size: tuple[int, int], like: Tensor) -> Priors:
        """Squares of one cell."""
        return cell_priors(shapes, self.strides, size, like, offset=self.offset)

    def decode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """(B, A, 4 * (most + 1)) logits -> (B, A, 4) xyxy in pixels."""
        shares = boxes.reshape(*boxes.shape[:2], 4, self.most + 1).softmax(3)
        bins = torch.arange(self.most + 1, dtype=boxes.dtype, device=boxes.device)
        distances = (shares * bins).sum(3) * priors.strides[:, None]
        middle = priors.boxes_cxcywh[:, :2]
        return torch.cat([middle - distances[..., :2], middle + distances[..., 2:]], 2)

    def encode(self, boxes_xyxy: Tensor, priors: Priors) -> Tensor:
        """(A, 4) xyxy -> (A, 4) distances in strides, of 0 to a little below `most`: what distributions have for a mean."""
        middle = priors.boxes_cxcywh[:, :2]
        distances = torch.cat([middle - boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - middle], 1)
        return (distances / priors.strides[:, None]).clamp(0, self.most - _SHORT_OF_LAST)
