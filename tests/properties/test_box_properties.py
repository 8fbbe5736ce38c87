"""Boxes whatever they are: likeness is symmetric and bounded, transforms come back, nothing is no number."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gossamer.data.geometry import transform_of
from gossamer.tasks.detect.boxes import clipped, pairwise_iou, usable
from gossamer.tasks.detect.parts import overlaps
from gossamer.tasks.detect.parts.assigners import ASSIGNERS, Scene
from gossamer.tasks.detect.parts.detector import Priors
from gossamer.tasks.detect.suppress import Suppression, detections, suppressed
from gossamer.types import Size

COORDINATE = st.floats(-1e4, 1e4, allow_nan=False, width=32)
BOXES = arrays(np.float64, st.tuples(st.integers(0, 8), st.just(4)), elements=COORDINATE)
ANY = arrays(np.float32, st.tuples(st.integers(0, 20), st.just(7)), elements=st.floats(width=32))
SIZES = st.builds(Size, st.integers(1, 900), st.integers(1, 900))


@given(BOXES, BOXES)
def test_overlap_is_symmetric_bounded_and_the_same_with_and_without_torch(a, b):
    ours = pairwise_iou(a, b)
    assert ours.shape == (len(a), len(b))
    assert ((ours >= 0) & (ours <= 1 + 1e-9)).all()
    np.testing.assert_allclose(ours, pairwise_iou(b, a).T, atol=1e-12)
    theirs = overlaps.pairwise_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    big = (usable(a, least=1e-2)[:, None]) & usable(b, least=1e-2)[None]
    np.testing.assert_allclose(ours[big], theirs[big], atol=2e-3)


@given(BOXES)
def test_a_box_is_itself(a):
    kept = a[usable(a)]
    np.testing.assert_allclose(np.diag(pairwise_iou(kept, kept)), 1.0, atol=1e-9)


@given(BOXES, SIZES, SIZES, st.sampled_from(["letterbox", "squash", "short-side-centre-crop"]))
def test_boxes_come_back_from_an_input(boxes, picture, size, rule):
    transform = transform_of(rule, picture, size)
    there = transform.boxes_to_input(boxes)
    np.testing.assert_allclose(
        transform.boxes_to_picture(there), boxes, atol=1e-5 * (1 + np.abs(boxes).max(initial=0))
    )


@given(BOXES, SIZES)
def test_what_is_cut_lies_inside(boxes, size):
    cut = clipped(boxes, size)
    assert (cut >= 0).all()
    assert (cut <= [size.width, size.height] * 2).all()


@given(ANY, st.booleans())
def test_nothing_that_is_no_number_is_said(answers, agnostic):
    said = detections(answers, Suppression(threshold=0.1, agnostic=agnostic))
    assert np.isfinite(said[:, :4]).all()
    assert (said[:, 4] > 0.1).all()
    assert (np.diff(said[:, 4]) <= 0).all()


@given(BOXES, st.randoms())
def test_suppression_keeps_the_best_and_nothing_that_lies_on_a_better_one(boxes, random):
    boxes = boxes[usable(boxes)]
    scores = sorted((random.random() for _ in boxes), reverse=True)
    pairs = np.column_stack([boxes, scores, np.zeros(len(boxes))])
    kept = suppressed(pairs, Suppression(overlap=0.5))
    if len(pairs):
        assert kept[0] == 0
    chosen = pairwise_iou(boxes[kept], boxes[kept])
    assert (chosen[~np.eye(len(kept), dtype=bool)] <= 0.5 + 1e-9).all()
    for place in set(range(len(pairs))) - set(kept.tolist()):
        better = [k for k in kept if k < place]
        assert pairwise_iou(boxes[place : place + 1], boxes[better]).max() > 0.5 - 1e-9


@settings(deadline=None)
@given(st.data(), st.sampled_from(sorted(ASSIGNERS)), st.integers(1, 5), st.integers(1, 3))
def test_assigners_take_any_scene(data, name, boxes, classes):
    seed = data.draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)
    count = 16 + 4
    centres = torch.rand(count, 2, generator=generator) * 64
    strides = torch.tensor([8.0] * 16 + [16.0] * 4)
    priors = Priors(torch.cat([centres, strides[:, None].expand(-1, 2)], 1), strides, (64, 64))
    wild = data.draw(st.sampled_from([1.0, 1e-6, 1e12]))
    said = torch.randn(count, 4, generator=generator) * wild
    low = torch.rand(boxes, 2, generator=generator) * 60
    truth = torch.cat([low, low + torch.rand(boxes, 2, generator=generator) * 30 + 1e-3], 1)
    scores = torch.rand(count, classes, generator=generator)
    labels = torch.randint(classes, (boxes,), generator=generator)
    assignment = ASSIGNERS[name](Scene(said, scores, priors, truth, labels))
    assert assignment.truth.min() >= -2
    assert assignment.truth.max() < boxes
    assert torch.isfinite(assignment.quality).all()
    assert ((assignment.quality >= 0) & (assignment.quality <= 1)).all()
