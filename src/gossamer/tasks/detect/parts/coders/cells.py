"""Priors of cells, the boxes that a coder tells others from; and the two ways to write a box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gossamer.tasks.detect.parts.detector import Priors

__all__ = ["Anchor", "cell_priors", "corners", "grown", "middles"]

Anchor = tuple[float, float]
"""Width and height in pixels of the input."""
_MOST_GROWTH = 8.0
"""Of the logarithm of a side over that of a prior."""


def cell_priors(
    shapes: Sequence[tuple[int, int]],
    strides: Sequence[int],
    size: tuple[int, int],
    like: Tensor,
    *,
    anchors: Sequence[Sequence[Anchor]] | None = None,
    offset: float = 0.5,
    norm: bool = False,
) -> Priors:
    """Priors of levels of these heights and widths: levels finest first, rows of cells, cells, anchors of a cell.

    `anchors` are those of each level, one square of a cell without; a prior stands `offset` of a cell right of and
    below its cell's corner. With `norm` anchors are shares of the input, over which the cells are spread whatever the
    strides.
    """
    kind: Any = {"dtype": torch.float32, "device": like.device}
    boxes, reductions = [], []
    for level, ((height, width), stride) in enumerate(zip(shapes, strides, strict=True)):
        down, right = (size[0] / height, size[1] / width) if norm else (stride, stride)
        sides = torch.tensor([(stride, stride)] if anchors is None else list(anchors[level]), **kind)
        if norm:
            sides = sides * torch.tensor([size[1], size[0]], **kind)
        grid = (height, width, len(sides))
        ys = (torch.arange(height, **kind) + offset) * down
        xs = (torch.arange(width, **kind) + offset) * right
        parts = [xs.view(1, -1, 1).expand(grid), ys.view(-1, 1, 1).expand(grid)]
        parts += [sides[:, 0].expand(grid), sides[:, 1].expand(grid)]
        boxes.append(torch.stack(parts, 3).reshape(-1, 4))
        reductions.append(torch.full((height * width * len(sides),), float(stride), **kind))
    return Priors(torch.cat(boxes), torch.cat(reductions), size)


def corners(middle: Tensor, sides: Tensor) -> Tensor:
    """Centres (..., 2) and sides (..., 2) -> xyxy (..., 4)."""
    half = sides * 0.5
    return torch.cat([middle - half, middle + half], -1)


def grown(logarithms: Tensor) -> Tensor:
    """Sides from their logarithms, finite whatever an untrained network says."""
    return logarithms.clamp(max=_MOST_GROWTH).exp()


def middles(boxes_xyxy: Tensor, *, least: float = 1e-6) -> tuple[Tensor, Tensor]:
    """xyxy (..., 4) -> centres (..., 2) and sides (..., 2) of at least `least`."""
    low, high = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return (low + high) * 0.5, (high - low).clamp(min=least)
