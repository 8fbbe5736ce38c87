"""Anchors find the sizes that boxes come in."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.errors import DataError
from gossamer.tasks.detect.anchors import anchors, best_recall
from gossamer.tasks.detect.boxes import Boxes
from gossamer.types import Size

SIZE = Size(200, 400)


def _boxes(rng, centres, count):
    sides = np.repeat(np.asarray(centres, float), count, axis=0)
    sides = sides * rng.uniform(0.9, 1.1, sides.shape)
    corners = rng.uniform(0, 1, sides.shape) * np.maximum([400, 200] - sides, 1)
    return Boxes.of(np.concatenate([corners, corners + sides], 1), np.zeros(len(sides)))


def test_three_sizes_are_found_in_pixels_of_the_input():
    boxes = _boxes(np.random.default_rng(0), [(10, 20), (60, 30), (150, 140)], 50)
    result = anchors([boxes], [SIZE], 3, Size(200, 200))
    np.testing.assert_allclose(result.sides, [(5, 10), (30, 15), (75, 70)], rtol=0.1)
    assert result.iou > 0.88
    assert result.recall == 1.0
    again = anchors([boxes], [SIZE], 3, Size(200, 200))
    np.testing.assert_array_equal(result.sides, again.sides)


def test_more_anchors_fit_better():
    rng = np.random.default_rng(1)
    boxes = _boxes(rng, rng.uniform(5, 150, (40, 2)), 10)
    fits = [anchors([boxes], [SIZE], count, Size(416, 416)).iou for count in (1, 3, 9)]
    assert fits[0] + 0.1 < fits[1] < fits[2]


def test_recall_is_the_share_within_four_times_the_sides():
    sides = np.array([[10.0, 10.0], [39.0, 10.0], [41.0, 10.0], [10.0, 2.4]])
    assert best_recall(sides, np.array([[10.0, 10.0]])) == 0.5
    assert best_recall(np.zeros((0, 2)), np.array([[10.0, 10.0]])) == 0.0


def test_too_few_boxes():
    with pytest.raises(DataError, match=r"got 1 for count=3; use fewer anchors or add boxes"):
        anchors([Boxes.of([(0, 0, 5, 5)] * 4, [0] * 4)], [SIZE], 3, SIZE)
