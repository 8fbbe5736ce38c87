"""Coders: what is encoded is decoded again, whatever the sizes; priors are as many as cells and anchors."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.tasks.detect.parts.coders import (
    DeltaCoder,
    DistanceCoder,
    GridCoder,
    LooseAnchorCoder,
    RelativeCoder,
    TightAnchorCoder,
)

ANCHORS = (((10.0, 14.0), (37.0, 58.0)), ((81.0, 82.0), (30.0, 119.0)))
SHARES = (((0.2, 0.2), (0.3, 0.1)), ((0.5, 0.6), (0.9, 0.4)))
STRIDES = (8, 16)
CODERS = {
    "grid": GridCoder(STRIDES),
    "distance": DistanceCoder(STRIDES),
    "distance from corners": DistanceCoder(STRIDES, offset=0.0),
    "tight": TightAnchorCoder(ANCHORS, STRIDES),
    "loose": LooseAnchorCoder(ANCHORS, STRIDES),
    "delta": DeltaCoder(ANCHORS, STRIDES),
    "delta, weighed": DeltaCoder(ANCHORS, STRIDES, (10.0, 5.0)),
    "delta, in shares": DeltaCoder(SHARES, STRIDES, norm=True),
    "relative": RelativeCoder(STRIDES),
}

coders = st.sampled_from(sorted(CODERS))
cells = st.tuples(st.integers(1, 6), st.integers(1, 6))
seeds = st.integers(0, 2**31)


def _priors(coder, height, width):
    size = (height * 16, width * 16)
    shapes = [(2 * height, 2 * width), (height, width)]
    return coder.priors(shapes, size, torch.zeros(1)), shapes


def _reachable(name, coder, priors, generator):
    """Boxes that the coder's numbers can say, one a prior: centres within half a cell, sides near the prior's."""
    count = len(priors.strides)
    draw = torch.rand(count, 4, generator=generator)
    stride = priors.strides[:, None]
    if isinstance(coder, DistanceCoder):
        far = draw * (coder.most - 0.5) * stride.repeat(1, 4)
        middle = priors.boxes_cxcywh[:, :2]
        return torch.cat([middle - far[:, :2], middle + far[:, 2:]], 1)
    middle = priors.boxes_cxcywh[:, :2] + (draw[:, :2] - 0.5) * 0.9 * stride
    sides = priors.boxes_cxcywh[:, 2:] * (0.3 + 1.5 * draw[:, 2:])
    if isinstance(coder, RelativeCoder):
        sides = torch.tensor(priors.size[::-1]) * (0.05 + 0.9 * draw[:, 2:])
    return torch.cat([middle - sides / 2, middle + sides / 2], 1)


@given(coders, cells, seeds)
def test_what_is_encoded_is_decoded(name, sides, seed):
    coder = CODERS[name]
    priors, _ = _priors(coder, *sides)
    boxes = _reachable(name, coder, priors, torch.Generator().manual_seed(seed))
    numbers = coder.encode(boxes, priors)
    if isinstance(coder, DistanceCoder):  # all of a distribution on the two bins about the distance
        bins = torch.arange(coder.most + 1.0)
        near = (1 - (numbers[..., None] - bins).abs()).clamp(min=0)
        numbers = near.clamp(min=1e-9).log().flatten(1)
    again = coder.decode(numbers[None], priors)[0]
    assert again.shape == boxes.shape
    assert torch.allclose(again, boxes, atol=0.05, rtol=1e-3)


@given(coders, cells)
def test_a_prior_for_every_anchor_of_every_cell(name, sides):
    coder = CODERS[name]
    priors, shapes = _priors(coder, *sides)
    count = sum(height * width for height, width in shapes) * coder.priors_a_cell
    assert priors.boxes_cxcywh.shape == (count, 4)
    assert priors.strides.shape == (count,)
    height, width = priors.size
    assert (priors.boxes_cxcywh[:, 0] >= 0).all()
    assert (priors.boxes_cxcywh[:, 0] < width).all()
    assert (priors.boxes_cxcywh[:, 1] < height).all()
    first = priors.boxes_cxcywh[: coder.priors_a_cell]
    assert (first[:, :2] == first[0, :2]).all(), "anchors of a cell stand in one place"


@given(coders, cells, seeds, st.floats(1e-3, 30))
def test_any_numbers_give_boxes_in_order_and_finite(name, sides, seed, spread):
    coder = CODERS[name]
    priors, _ = _priors(coder, *sides)
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(2, len(priors.strides), coder.numbers, generator=generator) * spread
    boxes = coder.decode(raw, priors)
    assert boxes.shape == (2, len(priors.strides), 4)
    assert torch.isfinite(boxes).all()
    assert (boxes[..., 2:] >= boxes[..., :2]).all()


@given(coders, cells)
def test_boxes_out_of_reach_and_degenerate_ones_are_encoded_as_numbers(name, sides):
    coder = CODERS[name]
    priors, _ = _priors(coder, *sides)
    count = len(priors.strides)
    for box in ((0.0, 0.0, 0.0, 0.0), (-1e4, -1e4, 1e4, 1e4), (5.0, 5.0, 4.0, 4.0)):
        numbers = coder.encode(torch.tensor([box]).repeat(count, 1), priors)
        assert torch.isfinite(numbers).all()
