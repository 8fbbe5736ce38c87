"""Kernels against their references, to the last bit, at every shape."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gossamer.deploy.kernels.binary import BinaryConv2d, pack_inputs
from gossamer.deploy.kernels.reference import binary_conv2d_reference, shift_conv2d_reference
from gossamer.deploy.kernels.shift import ShiftConv2d
from gossamer.deploy.kernels.weights import pack_shifts, pack_signs


@st.composite
def _convolutions(draw):
    """(rng, inputs' shape (C, H, W), weights' shape, stride, padding); the filter fits."""
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    padding = draw(st.integers(0, 3))
    sides = [draw(st.integers(max(1, k - 2 * padding), 14)) for k in kernel]
    channels = draw(st.one_of(st.integers(1, 6), st.sampled_from([63, 64, 65, 130])))
    out = draw(st.one_of(st.integers(1, 5), st.sampled_from([63, 64, 65])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng, (channels, *sides), (out, channels, *kernel), draw(st.integers(1, 4)), padding


@given(_convolutions())
def test_binary(drawn):
    rng, shape, weights_shape, stride, padding = drawn
    scale = 2.0 ** rng.integers(-3, 3, (weights_shape[0], 1, 1, 1))
    weights = pack_signs(np.where(rng.random(weights_shape) < 0.5, -1, 1) * scale)
    inputs = rng.integers(-2, 3, (*shape[1:], shape[0])).astype(np.float32)
    found = BinaryConv2d(weights, stride=stride, padding=padding)(pack_inputs(inputs))
    expected = binary_conv2d_reference(inputs, weights, stride=stride, padding=padding)
    assert found.dtype == expected.dtype == np.int32
    assert np.array_equal(found, expected)


@given(_convolutions(), st.sampled_from([np.int8, np.int16]), st.integers(0, 6))
def test_shift(drawn, kind, levels):
    rng, shape, weights_shape, stride, padding = drawn
    most = levels if kind == np.int8 else min(levels, 2)
    values = 2.0 ** -rng.integers(0, most + 1, weights_shape)
    weights = pack_shifts(values * rng.integers(-1, 2, weights_shape))
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    inputs = rng.integers(low, high + 1, shape).astype(kind)
    found = ShiftConv2d(weights, stride=stride, padding=padding)(inputs)
    expected = shift_conv2d_reference(inputs, weights, stride=stride, padding=padding)
    assert found.dtype == expected.dtype == np.int32
    assert np.array_equal(found, expected)
