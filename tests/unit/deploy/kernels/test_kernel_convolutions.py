"""Kernels beside convolutions of reals with zero padding, and what they refuse."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from gossamer.deploy.kernels.binary import BinaryConv2d, PackedInputs, pack_inputs
from gossamer.deploy.kernels.shift import ShiftConv2d
from gossamer.deploy.kernels.weights import pack_shifts, pack_signs
from gossamer.errors import DataError, MissingExtraError, ModelError

RNG = np.random.default_rng(0)


def _torch(inputs, weights, stride, padding):
    """In double precision: whole numbers are exact."""
    found = conv2d(
        torch.from_numpy(inputs.astype(np.float64))[None],
        torch.from_numpy(weights.astype(np.float64)),
        stride=stride,
        padding=padding,
    )
    return found[0].numpy()


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 1), (3, 2)])
def test_binary_is_the_real_convolution_of_signs_with_zero_padding(stride, padding):
    weights = np.where(RNG.random((70, 67, 3, 3)) < 0.5, -0.5, 0.5).astype(np.float32)
    inputs = RNG.standard_normal((67, 9, 8))
    inputs[0, 0, 0] = 0.0
    packed = pack_signs(weights)
    found = BinaryConv2d(packed, stride=stride, padding=padding)(pack_inputs(inputs.transpose(1, 2, 0)))
    signs = np.where(inputs >= 0, 1.0, -1.0)
    assert np.array_equal((found * packed.scale).transpose(2, 0, 1), _torch(signs, weights, stride, padding))


def test_padding_is_neither_sign():
    """One pixel of +1 under a filter of +1: only its own place counts, though eight lie in the padding."""
    packed = pack_signs(np.ones((1, 1, 3, 3)))
    for value in (1.0, -1.0):
        found = BinaryConv2d(packed, padding=1)(pack_inputs(np.full((1, 1, 1), value)))
        assert found.tolist() == [[[int(value)]]]


@pytest.mark.parametrize("kind", [np.int8, np.int16])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 1), (3, 2)])
def test_shift_is_the_real_convolution(stride, padding, kind):
    weights = RNG.integers(-1, 2, (5, 7, 3, 3)) * 2.0 ** RNG.integers(-4, 3, (5, 7, 3, 3))
    inputs = RNG.integers(np.iinfo(kind).min, np.iinfo(kind).max + 1, (7, 9, 8)).astype(kind)
    packed = pack_shifts(weights)
    found = ShiftConv2d(packed, stride=stride, padding=padding)(inputs)
    assert np.array_equal(
        np.ldexp(found.astype(float), packed.base), _torch(inputs, weights, stride, padding)
    )


def test_runs_of_many_equal_terms_do_not_overflow():
    """2,304 terms of one exponent, all at the least value of 8 bits: 16-bit sums must be cut into runs."""
    packed = pack_shifts(np.ones((1, 256, 3, 3)))
    inputs = np.full((256, 3, 3), -128, np.int8)
    assert ShiftConv2d(packed)(inputs).tolist() == [[[-128 * 2304]]]


def test_sums_that_may_not_fit_are_refused():
    packed = pack_shifts(np.array([1.0] + [2.0**-12] * 8).reshape(1, 1, 3, 3))
    conv = ShiftConv2d(packed)
    assert conv(np.full((1, 3, 3), 127, np.int8)).tolist() == [[[127 * (4096 + 8)]]]
    wide = pack_shifts(np.array([1.0] + [2.0**-17] * 8).reshape(1, 1, 3, 3))
    with pytest.raises(ModelError, match="sums have 32 bits, int16 inputs may reach 4,295,229,440"):
        ShiftConv2d(wide)(np.zeros((1, 3, 3), np.int16))


def test_inputs_that_do_not_fit():
    binary, shift = (
        BinaryConv2d(pack_signs(np.ones((1, 2, 3, 3)))),
        ShiftConv2d(pack_shifts(np.ones((1, 2, 3, 3)))),
    )
    with pytest.raises(DataError, match="channels of the weights, got 3 for 2"):
        binary(PackedInputs(np.zeros((5, 5, 1), np.uint64), 3))
    with pytest.raises(DataError, match=r"a filter fits into the padded input, got 3 in 2 \+ 2 \* 0"):
        binary(pack_inputs(np.zeros((2, 5, 2))))
    with pytest.raises(DataError, match=r"int8 or int16 of shape \(2, H, W\), got float64 \(2, 5, 5\)"):
        shift(np.zeros((2, 5, 5)))
    with pytest.raises(DataError, match="stride is at least 1"):
        ShiftConv2d(pack_shifts(np.ones((1, 2, 3, 3))), stride=0)(np.zeros((2, 5, 5), np.int8))


def test_without_numba_the_extra_is_named(monkeypatch):
    for name in ("_binary_jit", "_shift_jit"):
        monkeypatch.delitem(sys.modules, f"gossamer.deploy.kernels.{name}", raising=False)
        monkeypatch.delattr(f"gossamer.deploy.kernels.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setitem(sys.modules, "gossamer.deploy.kernels._popcount", None)
    with pytest.raises(MissingExtraError, match=r"a binary convolution needs numba.*gossamer\[kernels\]"):
        BinaryConv2d(pack_signs(np.ones((1, 2, 3, 3))))
    with pytest.raises(MissingExtraError, match=r"a shift convolution needs numba.*gossamer\[kernels\]"):
        ShiftConv2d(pack_shifts(np.ones((1, 2, 3, 3))))
