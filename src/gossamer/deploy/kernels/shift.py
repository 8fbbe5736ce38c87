"""Shift convolution: integers by powers of two, with additions and shifts alone.

DeepShift (Elhoushi et al., 2021, arXiv 1905.13298) sums sign * (x << n). All weights of a filter with one exponent
share the shift, so their inputs are added first, as 16-bit numbers where the inputs have 8 bits, and shifted once:
sum sign (x << n) = sum over n of (sum sign x) << n. Weights that are 0 cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.kernels.reference import output_side
from gossamer.deploy.kernels.weights import PackedShifts
from gossamer.errors import DataError, MissingExtraError, ModelError

__all__ = ["ShiftConv2d"]

LONGEST_RUN = 255
"""Terms of 8 bits whose sum fits 16 bits."""
_LARGEST = {"int8": 128, "int16": 32_768}
_ROWS: dict[str, Any] = {"int8": np.int16, "int16": np.int32}
"""Type of the inputs -> type in which the terms of a run are added."""


class ShiftConv2d:
    """A convolution of powers of two without groups, its terms sorted once; on one thread."""

    def __init__(self, weights: PackedShifts, *, stride: int = 1, padding: int = 0) -> None:
        """Raises: MissingExtraError: numba is not installed."""
        try:
            from gossamer.deploy.kernels import _shift_jit
        except ImportError as error:
            raise MissingExtraError("a shift convolution", "numba", "kernels") from error
        self._jit, self._stride, self._padding = _shift_jit, stride, padding
        self._out, self._channels, *self._kernel = weights.signs.shape
        self._most = int(
            (np.abs(weights.signs.astype(np.int64)) << weights.shifts).reshape(self._out, -1).sum(1).max()
        )
        terms: list[NDArray[np.int64]] = []
        runs: list[tuple[int, int, int, int]] = []
        first = [0]
        for signs, shifts in zip(
            weights.signs.reshape(self._out, -1), weights.shifts.reshape(self._out, -1), strict=True
        ):
            for shift, sign, places in _runs_of(signs, shifts):
                start = runs[-1][1] if runs else 0
                runs.append((start, start + len(places), shift, sign))
                terms.append(places)
            first.append(len(runs))
        self._terms = np.concatenate([*terms, np.zeros(0, np.int64)]).astype(np.int32)
        self._runs = np.array(runs, np.int64).reshape(-1, 4)
        self._first = np.array(first, np.int64)

    def __call__(self, inputs: NDArray[np.int8] | NDArray[np.int16]) -> NDArray[np.int32]:
        """Inputs (C, H, W) -> sums (O, H', W'); times 2**`PackedShifts.base` they are the convolution.

        Raises:
            DataError: inputs of another type or other channels, or smaller than the filter.
            ModelError: a sum may not fit 32 bits.
        """
        kind = str(inputs.dtype)
        if kind not in _ROWS or inputs.ndim != 3 or inputs.shape[0] != self._channels:
            raise DataError(
                f"inputs are int8 or int16 of shape ({self._channels}, H, W), got {kind} {inputs.shape}; quantize them first"
            )
        if self._most * _LARGEST[kind] >= 2**31:
            raise ModelError(
                f"sums have 32 bits, {kind} inputs may reach {self._most * _LARGEST[kind]:,}; use fewer bits or exponents "
                "nearer to each other"
            )
        stride = self._stride
        out_h = output_side(inputs.shape[1], self._kernel[0], stride, self._padding)
        out_w = output_side(inputs.shape[2], self._kernel[1], stride, self._padding)
        wide = out_w + (self._kernel[1] - 1) // stride
        places = -(-out_h * wide // self._jit.TILE) * self._jit.TILE
        rows, offsets = self._rows(inputs, wide, places)
        sums = np.zeros(self._out * places, np.int32)
        self._jit.add_shifted(rows, offsets, self._terms, self._runs, self._first, sums, places)
        found = sums.reshape(self._out, places)[:, : out_h * wide].reshape(self._out, out_h, wide)
        return np.ascontiguousarray(found[:, :, :out_w])

    def _rows(self, inputs: NDArray[Any], wide: int, places: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """(padded inputs as one row, where each place of a filter begins in it).

        With a stride, every phase of the input is a plane of its own: each filter's place then reads a plane in order.
        """
        stride, (kernel_h, kernel_w) = self._stride, self._kernel
        channels, height, width = inputs.shape
        rest_h, rest_w = -(height + 2 * self._padding) % stride, -(width + 2 * self._padding) % stride
        over = max(0, stride * wide - (width + 2 * self._padding + rest_w))
        sides = (
            (0, 0),
            (self._padding, self._padding + rest_h),
            (self._padding, self._padding + rest_w + over),
        )
        padded = np.pad(inputs, sides)[:, :, : stride * wide].astype(_ROWS[str(inputs.dtype)])
        phases = padded.reshape(channels, -1, stride, wide, stride).transpose(2, 4, 0, 1, 3)
        tall = phases.shape[3]
        channel, y, x = np.meshgrid(
            np.arange(channels), np.arange(kernel_h), np.arange(kernel_w), indexing="ij"
        )
        plane = (y % stride * stride + x % stride) * channels + channel
        starts = (plane * tall + y // stride) * wide + x // stride
        behind = np.zeros(places + kernel_h * wide, phases.dtype)
        return np.concatenate([phases.ravel(), behind]), starts.ravel().astype(np.int64)


def _runs_of(signs: NDArray[Any], shifts: NDArray[Any]) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """(shift, sign, places of the filter) of weights that share both, at most LONGEST_RUN at a time."""
    for shift in np.unique(shifts[signs != 0]).tolist():
        for sign in (1, -1):
            places = np.flatnonzero((signs == sign) & (shifts == shift))
            for start in range(0, len(places), LONGEST_RUN):
                yield shift, sign, places[start : start + LONGEST_RUN]
