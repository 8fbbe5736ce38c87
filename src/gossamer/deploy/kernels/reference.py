"""What the kernels must give, to the last bit, in plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.kernels.weights import PackedShifts, PackedSigns
from gossamer.errors import DataError

__all__ = ["binary_conv2d_reference", "output_side", "shift_conv2d_reference"]

Integers = NDArray[np.int64]


def output_side(side: int, kernel: int, stride: int, padding: int) -> int:
    """Places of a filter along one axis.

    Raises:
        DataError: the filter is larger than the padded input, or stride or padding make no sense.
    """
    if stride < 1 or padding < 0:
        raise DataError(f"stride is at least 1 and padding at least 0, got {stride} and {padding}")
    if side + 2 * padding < kernel:
        raise DataError(
            f"a filter fits into the padded input, got {kernel} in {side} + 2 * {padding}; pad more"
        )
    return (side + 2 * padding - kernel) // stride + 1


def _conv2d(inputs: Integers, weights: Integers, stride: int, padding: int) -> Integers:
    """Inputs (C, H, W), weights (O, C, kh, kw) -> (O, H', W'); padding is 0."""
    kernel_h, kernel_w = weights.shape[2:]
    out_h = output_side(inputs.shape[1], kernel_h, stride, padding)
    out_w = output_side(inputs.shape[2], kernel_w, stride, padding)
    padded = np.pad(inputs, ((0, 0), (padding, padding), (padding, padding)))
    found = np.zeros((len(weights), out_h, out_w), np.int64)
    for y in range(kernel_h):
        for x in range(kernel_w):
            seen = padded[:, y : y + stride * out_h : stride, x : x + stride * out_w : stride][
                :, :out_h, :out_w
            ]
            found += np.tensordot(weights[:, :, y, x], seen, 1)
    return found


def binary_conv2d_reference(
    inputs: NDArray[Any], weights: PackedSigns, *, stride: int = 1, padding: int = 0
) -> NDArray[np.int32]:
    """Signs of inputs (H, W, C) by signs of weights -> sums (H', W', O); the sign of 0 is +1, padding counts 0."""
    bytes_of = weights.words.astype("<u8").view(np.uint8)
    bits = np.unpackbits(bytes_of, axis=-1, bitorder="little")[..., : weights.channels]
    signs = np.where(bits > 0, 1, -1).astype(np.int64).transpose(0, 3, 1, 2)
    seen = np.where(inputs >= 0, 1, -1).astype(np.int64).transpose(2, 0, 1)
    return _conv2d(seen, signs, stride, padding).transpose(1, 2, 0).astype(np.int32)


def shift_conv2d_reference(
    inputs: NDArray[np.int8] | NDArray[np.int16], weights: PackedShifts, *, stride: int = 1, padding: int = 0
) -> NDArray[np.int32]:
    """Integers (C, H, W) -> sums of sign * (x << n), (O, H', W'), with n = exponent - base."""
    values = weights.signs.astype(np.int64) << weights.shifts
    return _conv2d(inputs.astype(np.int64), values, stride, padding).astype(np.int32)
