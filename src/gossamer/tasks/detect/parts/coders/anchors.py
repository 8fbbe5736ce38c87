"""Numbers relative to an anchor of a cell: YOLOv3's and those of the v5 style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.tasks.detect.parts.coders.cells import Anchor, cell_priors, corners, grown, middles
from gossamer.tasks.detect.parts.detector import Priors

__all__ = ["LooseAnchorCoder", "TightAnchorCoder"]

_EDGE = 1e-4
"""Shares that an inverse sigmoid takes end so far before 0 and 1."""


@dataclass(frozen=True)
class TightAnchorCoder:
    """YOLOv3 (1804.02767, section 2.1): centre (sigmoid(t) + g) * stride for a cell's corner g, sides exp(t) * anchor."""

    anchors: tuple[tuple[Anchor, ...], ...]
    """Of each level, in pixels of the input."""
    strides: tuple[int, ...]
    numbers: int = 4

    @property
    def priors_a_cell(self) -> int:
        """Anchors of a level."""
        return len(self.anchors[0])

    def priors(self, shapes: Sequence[tuple[int, int]], size: tuple[int, int], like: Tensor) -> Priors:
        """Anchors in the middle of every cell."""
        return cell_priors(shapes, self.strides, size, like, anchors=self.anchors)

    def decode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """(B, A, 4) raw -> (B, A, 4) xyxy in pixels."""
        middle = (boxes[..., :2].sigmoid() - 0.5) * priors.strides[:, None] + priors.boxes_cxcywh[:, :2]
        return corners(middle, grown(boxes[..., 2:]) * priors.boxes_cxcywh[:, 2:])

    def encode(self, boxes_xyxy: Tensor, priors: Priors) -> Tensor:
        """(A, 4) xyxy -> (A, 4), what `decode` takes; a centre outside the cell is brought to its border."""
        middle, sides = middles(boxes_xyxy)
        share = (middle - priors.boxes_cxcywh[:, :2]) / priors.strides[:, None] + 0.5
        return torch.cat([share.logit(_EDGE), (sides / priors.boxes_cxcywh[:, 2:]).log()], -1)


@dataclass(frozen=True)
class LooseAnchorCoder:
    """The v5 style: centre (2 sigmoid(t) - 0.5 + g) * stride, which reaches half a cell beyond the cell; sides
    (2 sigmoid(t))^2 * anchor, at most four times the anchor."""

    anchors: tuple[tuple[Anchor, ...], ...]
    """Of each level, in pixels of the input."""
    strides: tuple[int, ...] = (8, 16, 32)
    numbers: int = 4

    @property
    def priors_a_cell(self) -> int:
        """Anchors of a level."""
        return len(self.anchors[0])

    def priors(self, shapes: Sequence[tuple[int, int]], size: tuple[int, int], like: Tensor) -> Priors:
        """Anchors in the middle of every cell."""
        return cell_priors(shapes, self.strides, size, like, anchors=self.anchors)

    def decode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """(B, A, 4) raw -> (B, A, 4) xyxy in pixels."""
        shares = boxes.sigmoid() * 2
        middle = (shares[..., :2] - 1) * priors.strides[:, None] + priors.boxes_cxcywh[:, :2]
        return corners(middle, shares[..., 2:].square() * priors.boxes_cxcywh[:, 2:])

    def encode(self, boxes_xyxy: Tensor, priors: Priors) -> Tensor:
        """(A, 4) xyxy -> (A, 4), what `decode` takes; what lies beyond its reach is brought to the border of it."""
        middle, sides = middles(boxes_xyxy)
        place = (middle - priors.boxes_cxcywh[:, :2]) / priors.strides[:, None] + 1
        span = (sides / priors.boxes_cxcywh[:, 2:]).sqrt()
        return (torch.cat([place, span], -1) / 2).logit(_EDGE)
