"""Figures of a confusion matrix, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.tasks.classify.confusion import accuracy, class_figures, confusion, softmax
from gossamer.tasks.intervals import wilson_interval

TRUTH = np.array([0, 0, 0, 1, 1, 2])
SAID = np.array([0, 0, 1, 1, 0, 0])
MATRIX = np.array([[2, 1, 0], [1, 1, 0], [1, 0, 0]])


def test_rows_are_true_and_columns_predicted():
    matrix = confusion(TRUTH, SAID, 3)
    assert np.array_equal(matrix, MATRIX)
    assert matrix.dtype == np.int64


def test_classes_nobody_has_are_there():
    assert confusion(TRUTH, SAID, 5).shape == (5, 5)
    assert confusion(np.array([], np.int64), np.array([], np.int64), 2).tolist() == [[0, 0], [0, 0]]


def test_small_integer_types_do_not_wrap():
    truth = np.full(3, 199, np.uint8)
    assert confusion(truth, truth, 200)[199, 199] == 3


def test_accuracy():
    assert accuracy(MATRIX) == pytest.approx(3 / 6)
    assert accuracy(np.zeros((2, 2), np.int64)) == 0.0


def test_figures_of_each_class():
    first, second, third = class_figures(MATRIX)
    assert (first.pictures, first.precision, first.recall) == (3, pytest.approx(2 / 4), pytest.approx(2 / 3))
    assert first.f1 == pytest.approx(2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3))
    assert (second.pictures, second.precision, second.recall, second.f1) == (2, 0.5, 0.5, 0.5)
    assert (third.pictures, third.precision, third.recall, third.f1) == (1, 0.0, 0.0, 0.0)


def test_an_empty_class_has_zeros():
    empty = class_figures(np.array([[1, 0], [0, 0]]))[1]
    assert (empty.pictures, empty.precision, empty.recall, empty.f1) == (0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("share", "count", "low", "high"),
    [(0.5, 100, 0.4038, 0.5962), (1.0, 10, 0.7225, 1.0), (0.0, 10, 0.0, 0.2775), (0.9, 560, 0.8724, 0.9222)],
)
def test_wilsons_interval(share, count, low, high):
    assert wilson_interval(share, count) == pytest.approx((low, high), abs=1e-4)


def test_no_pictures_no_knowledge():
    assert wilson_interval(0.0, 0) == (0.0, 1.0)


def test_softmax():
    shares = softmax(np.array([[0.0, np.log(3.0)], [5.0, 5.0]], np.float32))
    assert shares.dtype == np.float32
    assert shares == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5]]))


def test_softmax_of_large_scores_is_finite():
    shares = softmax(np.array([[1e4, 0.0, -1e4]], np.float32))
    assert shares.tolist() == [[1.0, 0.0, 0.0]]
