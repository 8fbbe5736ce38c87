"""Which priors learn which box (torch): one function a rule, a picture at a time, all in one table.

Max IoU: Ren et al., 1506.01497, section 3.1.2. ATSS: Zhang et al., 1912.02424, algorithm 1. SimOTA: Ge et al., 2107.08430,
section 2.1. DSLA is NanoDet-Plus's form of it. TAL: Feng et al., 2108.07755, equation 2. One to one: the first of TAL's
order, the consistent dual assignment of Wang et al., 2405.14458, section 3.1. Where two boxes want one prior, the rule
says which gets it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gossamer.tasks.detect.parts.detector import Priors
from gossamer.tasks.detect.parts.overlaps import pairwise_iou, siou

__all__ = ["ASSIGNERS", "Assignment", "Scene"]

_FAR = 1e6
"""A cost that no prior within reach has."""


class Scene(NamedTuple):
    """One picture, without gradients."""

    boxes: Tensor
    """(A, 4) xyxy that the priors give now."""
    scores: Tensor
    """(A, K) of 0 to 1."""
    priors: Priors
    truth: Tensor
    """(M, 4) xyxy, M at least 1."""
    labels: Tensor
    """(M,) int64."""


class Assignment(NamedTuple):
    """What each prior learns."""

    truth: Tensor
    """(A,) int64, the place of a box; -1 for none, -2 where nothing is learned."""
    quality: Tensor
    """(A,) of 0 to 1, how well the prior's box fits it; what soft labels say."""


def max_iou(
    scene: Scene, *, positive: float = 0.5, negative: float = 0.4, best_anchor: bool = True
) -> Assignment:
    """Anchors above `positive` learn their nearest box, those below `negative` none; with `best_anchor` every box also has
    the anchor that fits it best."""
    overlaps = pairwise_iou(_corners(scene.priors.boxes_cxcywh), scene.truth)
    best, truth = overlaps.max(1)
    chosen = torch.where(best >= positive, truth, torch.where(best < negative, -1, -2))
    if best_anchor:
        anchors = overlaps.argmax(0)
        chosen[anchors] = torch.arange(len(scene.truth), device=anchors.device)
    return _with_quality(scene, chosen)


def ratio(scene: Scene, *, threshold: float = 4.0) -> Assignment:
    """Anchors whose sides are within `threshold` times the box's, in the cell of its centre and the two nearest ones."""
    anchors, strides = scene.priors.boxes_cxcywh, scene.priors.strides[:, None]
    centres, sides = _centres(scene.truth), _sides(scene.truth).clamp_min(1e-3)
    shares = sides[None] / anchors[:, None, 2:]
    fits = torch.maximum(shares, 1 / shares).amax(2)
    away = (centres[None] - anchors[:, None, :2]) / strides[:, None]
    inside = (away.abs() <= 0.5).all(2)
    beside = ((away.abs() <= 1.0).all(2)) & ((away.abs() <= 0.5).sum(2) == 1)
    cost = torch.where((inside | beside) & (fits < threshold), fits + away.square().sum(2), _FAR)
    return _with_quality(scene, _cheapest(cost))


def simota(scene: Scene, *, radius: float = 1.5, topk: int = 10, iou_weight: float = 3.0) -> Assignment:
    """Cells near a box's centre at the least cost of class and place; as many as the box's best overlaps add up to."""
    overlaps = pairwise_iou(scene.boxes, scene.truth)
    centres = scene.priors.boxes_cxcywh[:, None, :2]
    away = (centres - _centres(scene.truth)[None]).abs().amax(2)
    near = away < radius * scene.priors.strides[:, None]
    wanted = F.one_hot(scene.labels, scene.scores.shape[1]).float()
    said = scene.scores.sqrt().clamp(1e-6, 1 - 1e-6)
    classes = -((said.log() @ wanted.T) + ((1 - said).log() @ (1 - wanted).T))
    cost = classes + iou_weight * -(overlaps + 1e-8).log() + _FAR * ~near
    candidates = near.any(1)
    return _dynamic(scene, cost, overlaps * near, candidates, topk)


def dsla(scene: Scene, *, topk: int = 13, iou_weight: float = 3.0) -> Assignment:
    """SimOTA among the priors inside a box, the class cost soft: by how far a score is from the overlap."""
    overlaps = pairwise_iou(scene.boxes, scene.truth)
    inside = _inside(scene)
    scores = scene.scores[:, scene.labels].clamp(1e-6, 1 - 1e-6)
    others = -((1 - scene.scores.clamp(max=1 - 1e-6)).log() * scene.scores.square()).sum(1, keepdim=True)
    own = -(1 - scores).log() * scores.square()
    soft = (
        F.binary_cross_entropy(scores, overlaps.clamp(0, 1), reduction="none") * (overlaps - scores).square()
    )
    cost = others - own + soft + iou_weight * -(overlaps + 1e-7).log() + _FAR * ~inside
    return _dynamic(scene, cost, overlaps * inside, inside.any(1), topk)


def atss(scene: Scene, *, topk: int = 9, side: float = 5.0) -> Assignment:
    """Of the `topk` nearest priors of each level those whose overlap is above the mean and deviation of all; the prior of a
    cell is a square of `side` strides."""
    priors, strides = scene.priors.boxes_cxcywh, scene.priors.strides
    squares = torch.cat([priors[:, :2], (strides * side)[:, None].expand(-1, 2)], 1)
    overlaps = pairwise_iou(_corners(squares), scene.truth)
    apart = torch.cdist(priors[:, :2], _centres(scene.truth))
    near = torch.zeros_like(overlaps, dtype=torch.bool)
    for stride in strides.unique():
        level = torch.where(strides == stride)[0]
        nearest = apart[level].topk(min(topk, len(level)), dim=0, largest=False).indices
        near.scatter_(0, level[nearest], True)
    counts = near.sum(0).clamp_min(1)
    mean = (overlaps * near).sum(0) / counts
    spread = (((overlaps - mean) * near).square().sum(0) / (counts - 1).clamp_min(1)).sqrt()
    inside = _inside(scene)
    chosen = near & (overlaps >= mean + spread) & inside
    chosen |= inside & _nearest_cell(scene) & ~chosen.any(0)
    return _with_quality(scene, _cheapest(torch.where(chosen, -overlaps, _FAR)))


def neighbour(scene: Scene) -> Assignment:
    """The four cells about a box's centre, those whose box fits no worse than the four do in the mean.

    FastestDet takes the mean over all boxes of the batch: then a class that fits badly at first is never learned (Platelets of
    BCCD, docs/results.md).
    """
    priors, strides = scene.priors.boxes_cxcywh, scene.priors.strides[:, None]
    corner = (priors[:, None, :2] - 0.5 * strides[:, None]) - _centres(scene.truth)[None]
    near = ((corner > -strides[:, None]) & (corner <= strides[:, None])).all(2)
    rows, columns = near.nonzero(as_tuple=True)
    if not len(rows):
        return _with_quality(scene, near.new_full((len(priors),), -1, dtype=torch.int64))
    likeness = siou(scene.boxes[rows], scene.truth[columns])
    sums = likeness.new_zeros(near.shape[1]).index_add(0, columns, likeness)
    better = likeness >= (sums / near.sum(0).clamp_min(1))[columns] - 1e-6
    cost = torch.full_like(near, _FAR, dtype=torch.float32)
    cost[rows[better], columns[better]] = -likeness[better]
    return _with_quality(scene, _cheapest(cost))


def tal(scene: Scene, *, topk: int = 13, alpha: float = 1.0, beta: float = 6.0) -> Assignment:
    """The `topk` priors inside a box of the largest score^alpha * IoU^beta; quality is that number, scaled to the box's best
    overlap."""
    overlaps = pairwise_iou(scene.boxes, scene.truth)
    worth = scene.scores[:, scene.labels].pow(alpha) * overlaps.pow(beta) * _inside(scene)
    best = worth.topk(min(topk, len(worth)), dim=0)
    chosen = torch.zeros_like(worth, dtype=torch.bool).scatter_(0, best.indices, best.values > 0)
    chosen |= _nearest_cell(scene) & ~chosen.any(0)  # a box whose every score is 0
    truth = _cheapest(torch.where(chosen, -overlaps, _FAR))
    largest = (overlaps * chosen).amax(0) / worth.amax(0).clamp_min(1e-9)
    quality = (worth * largest).gather(1, truth.clamp_min(0)[:, None])[:, 0]
    return Assignment(truth, torch.where(truth >= 0, quality, 0.0).clamp(0, 1))


def one_to_one(scene: Scene, *, alpha: float = 0.5, beta: float = 6.0) -> Assignment:
    """One prior a box, the best of score^alpha * IoU^beta; a box without any takes the cell of its centre."""
    return tal(scene, topk=1, alpha=alpha, beta=beta)


ASSIGNERS: Mapping[str, Callable[..., Assignment]] = {
    "max_iou": max_iou,
    "ratio": ratio,
    "simota": simota,
    "dsla": dsla,
    "atss": atss,
    "neighbour": neighbour,
    "tal": tal,
    "one_to_one": one_to_one,
}


def _dynamic(scene: Scene, cost: Tensor, overlaps: Tensor, candidates: Tensor, topk: int) -> Assignment:
    """As many priors of the least cost for each box as its `topk` best overlaps add up to, one at least."""
    truth = torch.full((len(cost),), -1, dtype=torch.int64, device=cost.device)
    rows = candidates.nonzero()[:, 0]
    if len(rows):
        counts = overlaps[rows].topk(min(topk, len(rows)), dim=0).values.sum(0).int().clamp_min(1)
        order = cost[rows].argsort(dim=0).argsort(dim=0)
        chosen = (order < counts) & (cost[rows] < _FAR)
        truth[rows] = _cheapest(torch.where(chosen, cost[rows], _FAR))
    return _with_quality(scene, truth)


def _cheapest(cost: Tensor) -> Tensor:
    """(A, M) -> (A,): the box of the least cost, -1 where none is within reach."""
    least, truth = cost.min(1)
    return torch.where(least < _FAR, truth, -1)


def _with_quality(scene: Scene, truth: Tensor) -> Assignment:
    """Quality is the overlap of the prior's box with what it learns."""
    quality = scene.boxes.new_zeros(len(truth), dtype=torch.float32)
    rows = (truth >= 0).nonzero()[:, 0]
    if len(rows):
        overlaps = pairwise_iou(scene.boxes[rows], scene.truth)
        quality[rows] = overlaps.gather(1, truth[rows][:, None])[:, 0]
    return Assignment(truth, quality)


def _inside(scene: Scene) -> Tensor:
    """Whether a prior's centre lies inside a box, (A, M); of a box that holds none the nearest centre."""
    centres = scene.priors.boxes_cxcywh[:, None, :2]
    inside = ((centres > scene.truth[None, :, :2]) & (centres < scene.truth[None, :, 2:])).all(2)
    return inside | (_nearest_cell(scene) & ~inside.any(0))


def _nearest_cell(scene: Scene) -> Tensor:
    """(A, M), true once a box: the prior whose centre is nearest, of the finest level among equals."""
    apart = torch.cdist(scene.priors.boxes_cxcywh[:, :2], _centres(scene.truth))
    return torch.zeros_like(apart, dtype=torch.bool).scatter_(0, apart.argmin(0)[None], True)


def _centres(boxes: Tensor) -> Tensor:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _sides(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp_min(0)


def _corners(boxes_cxcywh: Tensor) -> Tensor:
    centres, half = boxes_cxcywh[:, :2], boxes_cxcywh[:, 2:] / 2
    return torch.cat([centres - half, centres + half], 1)
