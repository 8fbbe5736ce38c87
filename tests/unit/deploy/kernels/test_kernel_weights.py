"""Weights as the kernels want them: bits and exponents hold what the floats said, and other floats are refused."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.deploy.kernels.weights import pack_shifts, pack_signs, sign_words
from gossamer.errors import ModelError


def test_bits_of_signs_by_hand():
    weights = np.array([[[[0.5]], [[-0.5]], [[0.5]]], [[[-2.0]], [[-2.0]], [[2.0]]]])
    packed = pack_signs(weights)
    assert packed.words.tolist() == [[[[0b101]]], [[[0b100]]]]
    assert packed.scale.tolist() == [0.5, 2.0]
    assert packed.nbytes == 2 * 8 + 2 * 4


def test_channel_64_begins_a_word():
    values = -np.ones((1, 130))
    values[0, [0, 63, 64, 129]] = 1
    assert sign_words(values).tolist() == [[1 | 1 << 63, 1, 2]]


def test_a_binary_filter_takes_a_bit_a_weight():
    weights = np.where(np.random.default_rng(0).random((32, 64, 3, 3)) < 0.5, -0.25, 0.25).astype(np.float32)
    assert pack_signs(weights).nbytes == weights.size // 8 + 32 * 4


def test_exponents_and_signs_give_the_weights_back():
    rng = np.random.default_rng(0)
    weights = (rng.integers(-1, 2, (4, 5, 3, 3)) * 2.0 ** rng.integers(-9, 4, (4, 5, 3, 3))).astype(
        np.float32
    )
    packed = pack_shifts(weights)
    again = packed.signs * np.ldexp(1.0, packed.shifts + packed.base)
    assert np.array_equal(again, weights)
    assert packed.shifts.min() == 0
    assert packed.exponents.dtype == packed.signs.dtype == np.int8


def test_weights_of_nothing_but_zeros():
    packed = pack_shifts(np.zeros((2, 3, 1, 1)))
    assert (packed.base, int(packed.signs.any())) == (0, 0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.array([0.5, -0.25]).reshape(1, 2, 1, 1), "filter 0 has magnitudes from 0.25 to 0.5; quantize"),
        (np.zeros((1, 2, 1, 1)), "filter 0 has magnitudes from 0 to 0"),
        (np.full((1, 2, 1, 1), np.nan), "filter 0 has magnitudes"),
        (np.ones((2, 2)), r"floats \(O, C, kh, kw\), got float64 \(2, 2\)"),
        (np.ones((2, 2, 1, 1), np.int8), r"floats \(O, C, kh, kw\), got int8"),
    ],
)
def test_what_is_not_binary(weights, message):
    with pytest.raises(ModelError, match=message):
        pack_signs(weights)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.5, 0.3], r"are \+-2\*\*n or 0, got 0.3 \(1 of 2"),
        ([0.5, np.inf], "got inf"),
        ([1.0, 2.0**-30], "at most 24 apart and fit 8 bits, got -30 to 0"),
    ],
)
def test_what_is_no_power_of_two(weights, message):
    with pytest.raises(ModelError, match=message):
        pack_shifts(np.array(weights).reshape(1, 2, 1, 1))
