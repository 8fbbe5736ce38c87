"""Boxes across tiles: which pairs meet, and which box stays."""

from __future__ import annotations

import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gossamer.geo.merge import Neighbours, TiledBoxes, cut_by, merged


def _boxes(xyxy, scores=None, labels=None, tiles=None, cut=None):
    count = len(xyxy)
    return TiledBoxes(
        np.array(xyxy, np.float64).reshape(-1, 4),
        np.array(np.linspace(0.9, 0.5, count) if scores is None else scores, np.float64),
        np.array([0] * count if labels is None else labels, np.int64),
        np.array(range(count) if tiles is None else tiles, np.int64),
        np.array([False] * count if cut is None else cut, np.bool_),
    )


def test_nothing_merges_to_nothing():
    assert merged(_boxes([])).shape == (0,)


def test_of_twins_the_better_stays():
    assert merged(_boxes([(0, 0, 10, 10), (0, 0, 10, 10.5)], scores=[0.5, 0.8])).tolist() == [1]


def test_twins_of_other_labels_stay():
    assert merged(_boxes([(0, 0, 10, 10), (0, 0, 10, 10)], labels=[0, 1])).tolist() == [0, 1]


def test_a_cut_box_loses_to_the_whole_one_though_its_score_is_better():
    whole, cut = (0, 0, 30, 10), (0, 0, 12, 10)
    assert merged(_boxes([cut, whole], cut=[True, False])).tolist() == [1]


def test_a_small_whole_box_in_a_large_one_stays():
    assert merged(_boxes([(0, 0, 30, 10), (0, 0, 12, 10)])).tolist() == [0, 1]


def test_a_cut_box_in_a_whole_one_of_the_same_tile_is_another_thing():
    assert merged(_boxes([(0, 0, 30, 10), (0, 0, 12, 10)], cut=[False, True], tiles=[3, 3])).tolist() == [
        0,
        1,
    ]


def test_what_a_dropped_box_stood_for_stays():
    chain = [(0, 0, 10, 10), (2, 0, 12, 10), (4, 0, 14, 10)]
    assert merged(_boxes(chain)).tolist() == [0, 2]


def test_only_inner_borders_cut():
    boxes = np.array([(0, 0, 9, 9), (55, 20, 64, 30), (20, 20, 30, 30), (20, 55, 30, 64)], float)
    assert cut_by(boxes, (0, 0, 64, 64), (100, 64)).tolist() == [False, True, False, False]
    assert cut_by(boxes, (0, 0, 64, 64), (64, 100)).tolist() == [False, False, False, True]
    assert cut_by(boxes + 36, (36, 36, 100, 100), (100, 100)).tolist() == [True, False, False, False]


def _touch(a, b):
    return bool((np.minimum(a[2:], b[2:]) > np.maximum(a[:2], b[:2])).all())


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_neighbours_are_every_pair_that_touches_once(seed, count):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-50, 100, (count, 2))
    boxes = np.concatenate([corner, corner + np.exp(rng.uniform(-2, 6, (count, 2)))], 1)
    pairs = [
        pair
        for ours, theirs in Neighbours.of(boxes).pairs(np.arange(count))
        for pair in zip(ours.tolist(), theirs.tolist(), strict=True)
    ]
    touching = {(i, j) for i in range(count) for j in range(count) if i != j and _touch(boxes[i], boxes[j])}
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == touching


@given(st.integers(0, 10_000))
def test_it_is_greedy_suppression(seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (50, 2))
    boxes = _boxes(
        np.concatenate([corner, corner + rng.uniform(5, 40, (50, 2))], 1),
        scores=rng.permutation(50) / 50,
        labels=rng.integers(0, 2, 50),
    )
    kept = []
    for place in np.argsort(-boxes.scores):
        a = boxes.xyxy[place]
        for other in kept:
            b = boxes.xyxy[other]
            inner = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
            union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inner
            if boxes.labels[place] == boxes.labels[other] and inner > 0.6 * union:
                break
        else:
            kept.append(place)
    assert merged(boxes).tolist() == kept


def test_seventy_thousand_boxes_take_seconds():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 8_000, (35_000, 2))
    once = np.concatenate([corner, corner + rng.uniform(10, 60, (35_000, 2))], 1)
    boxes = _boxes(
        np.concatenate([once, once + rng.normal(0, 0.2, once.shape)]),
        scores=rng.random(70_000),
        labels=np.zeros(70_000),
        tiles=np.repeat([0, 1], 35_000),
    )
    start = time.process_time()
    kept = merged(boxes)
    assert time.process_time() - start < 5
    assert 33_000 < len(kept) < 36_000
