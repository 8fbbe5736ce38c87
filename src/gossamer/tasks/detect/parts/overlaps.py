"""How far boxes overlap (torch): pairwise, and the family of losses of matched pairs.

GIoU: Rezatofighi et al., CVPR 2019, 1902.09630, algorithm 1. DIoU and CIoU: Zheng et al., AAAI 2020, 1911.08287,
equations 7 and 10. SIoU: Gevorgyan 2022, 2205.12740, equations 5 to 16.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["IOUS", "ciou", "giou", "iou", "pairwise_iou", "siou"]

_SMALL = 1e-7
_LARGEST = 1e5
"""Pixels: exp of a wild number is no place; squares of it must stay finite."""


def tamed(boxes_xyxy: Tensor) -> Tensor:
    """Boxes as float32 that squares of stay finite."""
    return torch.nan_to_num(boxes_xyxy.float(), 0.0, _LARGEST, -_LARGEST).clamp(-_LARGEST, _LARGEST)


def areas(boxes_xyxy: Tensor) -> Tensor:
    """(..., 4) -> (...), 0 where a side is none."""
    sides = (boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).clamp_min(0)
    return sides[..., 0] * sides[..., 1]


def pairwise_iou(ours: Tensor, theirs: Tensor) -> Tensor:
    """(N, 4) and (M, 4) -> (N, M), 0 to 1."""
    a, b = tamed(ours), tamed(theirs)
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = (high - low).clamp_min(0)
    inner = sides[..., 0] * sides[..., 1]
    return inner / (areas(a)[:, None] + areas(b)[None] - inner).clamp_min(_SMALL)


def iou(ours: Tensor, theirs: Tensor) -> Tensor:
    """Of pairs (N, 4): (N,), 0 to 1."""
    a, b = tamed(ours), tamed(theirs)
    sides = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp_min(0)
    inner = sides[:, 0] * sides[:, 1]
    return inner / (areas(a) + areas(b) - inner).clamp_min(_SMALL)


def giou(ours: Tensor, theirs: Tensor) -> Tensor:
    """IoU less the share of the enclosing box that neither covers: (N,), -1 to 1."""
    a, b = tamed(ours), tamed(theirs)
    sides = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp_min(0)
    inner = sides[:, 0] * sides[:, 1]
    union = (areas(a) + areas(b) - inner).clamp_min(_SMALL)
    around = _hull(a, b)
    hull = (around[:, 0] * around[:, 1]).clamp_min(_SMALL)
    return inner / union - (hull - union).clamp_min(0) / hull


def ciou(ours: Tensor, theirs: Tensor) -> Tensor:
    """IoU less the distance of the centres and the difference of the shapes: (N,), above -3."""
    a, b = tamed(ours), tamed(theirs)
    overlap = iou(a, b)
    around = _hull(a, b)
    diagonal = around.square().sum(1).clamp_min(_SMALL)
    apart = (_centres(a) - _centres(b)).square().sum(1)
    ours_wh, theirs_wh = (_sides(each).clamp_min(1e-4) for each in (a, b))
    angle = torch.atan(theirs_wh[:, 0] / theirs_wh[:, 1]) - torch.atan(ours_wh[:, 0] / ours_wh[:, 1])
    shape = (4 / math.pi**2) * angle.square()
    weight = (shape / (1 - overlap + shape).clamp_min(_SMALL)).detach()
    return overlap - apart / diagonal - weight * shape


def siou(ours: Tensor, theirs: Tensor) -> Tensor:
    """IoU less half of a distance that counts less along the axes and of the difference of the sides: (N,), above -2."""
    a, b = tamed(ours), tamed(theirs)
    between = _centres(b) - _centres(a)
    length = between.square().sum(1).add(_SMALL).sqrt()
    sine = (between[:, 1].abs() / length).clamp(0, 1)
    angle = 1 - 2 * torch.sin(torch.asin(sine.clamp(max=1 - 1e-6)) - math.pi / 4).square()
    around = _hull(a, b).clamp_min(1e-4)
    distance = (1 - torch.exp((angle - 2)[:, None] * (between / around).square())).sum(1)
    ours_wh, theirs_wh = (_sides(each).clamp_min(1e-4) for each in (a, b))
    difference = (ours_wh - theirs_wh).abs() / torch.maximum(ours_wh, theirs_wh)
    shape = (1 - torch.exp(-difference)).pow(4).sum(1)
    return iou(a, b) - (distance + shape) / 2


def _centres(boxes: Tensor) -> Tensor:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _sides(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp_min(0)


def _hull(a: Tensor, b: Tensor) -> Tensor:
    """Width and height of the smallest box around both, (N, 2)."""
    return (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).clamp_min(0)


IOUS = {"iou": iou, "giou": giou, "ciou": ciou, "siou": siou}
"""Name -> likeness of matched pairs, 1 where they are equal."""
