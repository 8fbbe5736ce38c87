"""Likenesses of boxes by hand, and that nothing wild comes out of wild boxes."""

from __future__ import annotations

import math

import pytest
import torch

from gossamer.tasks.detect.parts.overlaps import IOUS, ciou, giou, iou, pairwise_iou, siou

A = torch.tensor([[0.0, 0, 10, 10]])
HALF = torch.tensor([[5.0, 0, 15, 10]])
APART = torch.tensor([[20.0, 0, 30, 10]])


def test_by_hand():
    assert float(iou(A, HALF)) == pytest.approx(1 / 3)
    assert float(giou(A, HALF)) == pytest.approx(1 / 3)  # the hull holds nothing else
    assert float(giou(A, APART)) == pytest.approx(-1 / 3)
    assert float(ciou(A, APART)) == pytest.approx(-400 / 1000)
    assert float(iou(A, APART)) == 0
    wide = torch.tensor([[0.0, 0, 20, 10]])
    angle = (4 / math.pi**2) * (math.atan(2) - math.atan(1)) ** 2
    expected = 0.5 - 25 / 500 - angle**2 / (1 - 0.5 + angle)
    assert float(ciou(A, wide)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", IOUS)
def test_equal_boxes_are_as_like_as_can_be(name):
    assert float(IOUS[name](A, A)) == pytest.approx(1.0, abs=1e-4)
    assert float(IOUS[name](A, HALF)) < 1


@pytest.mark.parametrize("name", IOUS)
@pytest.mark.parametrize(
    "wild",
    [
        [0.0, 0, 0, 0],
        [5.0, 5, 1, 1],
        [-1e30, -1e30, 1e30, 1e30],
        [float("inf"), 0, float("inf"), 0],
        [float("nan"), 1, 2, 3],
    ],
)
def test_wild_boxes_give_numbers_and_gradients(name, wild):
    boxes = torch.tensor([wild, [1.0, 1, 4, 5]], requires_grad=True)
    likeness = IOUS[name](boxes, torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10]]))
    assert torch.isfinite(likeness).all()
    (gradient,) = torch.autograd.grad(likeness.sum(), boxes)
    assert torch.isfinite(gradient).all()


def test_empty_sets_have_no_pairs():
    assert pairwise_iou(torch.zeros(0, 4), A).shape == (0, 1)
    assert siou(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0,)
