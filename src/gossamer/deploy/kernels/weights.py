"""Weights as the kernels want them: bits of sign in 64-bit words, or exponents and signs of powers of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.errors import ModelError

__all__ = ["PackedShifts", "PackedSigns", "pack_shifts", "pack_signs", "sign_words"]

WORD_BITS = 64
MOST_SHIFT = 24
"""Between the least and the largest weight, in powers of two."""

Array = NDArray[Any]


@dataclass(frozen=True)
class PackedSigns:
    """Weights +-scale of a convolution: bit c of the words of a filter's place is 1 where the weight is positive."""

    words: NDArray[np.uint64]
    """(O, kh, kw, ceil(C / 64)); bits beyond C are 0."""
    scale: NDArray[np.float32]
    """(O,), above 0."""
    channels: int
    """C."""

    @property
    def nbytes(self) -> int:
        """Bytes of words and scales."""
        return self.words.nbytes + self.scale.nbytes


@dataclass(frozen=True)
class PackedShifts:
    """Weights sign * 2**exponent of a convolution, each (O, C, kh, kw) int8; sign 0 is a weight of 0."""

    exponents: NDArray[np.int8]
    signs: NDArray[np.int8]

    @property
    def base(self) -> int:
        """The least exponent: sums of shifted integers are to be multiplied by 2**base."""
        used = self.exponents[self.signs != 0]
        return int(used.min()) if used.size else 0

    @property
    def shifts(self) -> NDArray[np.int64]:
        """exponent - base, 0 where the weight is 0; (O, C, kh, kw)."""
        return np.where(self.signs != 0, self.exponents.astype(np.int64) - self.base, 0)

    @property
    def nbytes(self) -> int:
        """Bytes of exponents and signs."""
        return self.exponents.nbytes + self.signs.nbytes


def pack_signs(weights: Array) -> PackedSigns:
    """Pack float weights (O, C, kh, kw) that are +-s, one s for each filter.

    Raises:
        ModelError: another shape, or a filter whose weights are not of one magnitude above 0.
    """
    _check_shape(weights)
    flat = np.abs(weights.reshape(len(weights), -1))
    scale = flat[:, 0]
    odd = np.flatnonzero(~((flat == scale[:, None]).all(1) & (scale > 0) & np.isfinite(scale)))
    if len(odd):
        raise ModelError(
            f"binary weights are +-s with one s above 0 for each filter, filter {odd[0]} has magnitudes from "
            f"{flat[odd[0]].min():g} to {flat[odd[0]].max():g}; quantize the network to binary weights first"
        )
    words = sign_words(weights.transpose(0, 2, 3, 1))
    return PackedSigns(words, scale.astype(np.float32), weights.shape[1])


def sign_words(values: Array) -> NDArray[np.uint64]:
    """Bits along the last axis, (..., C) -> (..., ceil(C / 64)): bit c % 64 of word c // 64 is 1 where value c >= 0."""
    bits = np.packbits(values >= 0, axis=-1, bitorder="little")
    missing = -bits.shape[-1] % (WORD_BITS // 8)
    if missing:
        bits = np.concatenate([bits, np.zeros((*bits.shape[:-1], missing), np.uint8)], axis=-1)
    return np.ascontiguousarray(bits).view("<u8").astype(np.uint64, copy=False)


def pack_shifts(weights: Array) -> PackedShifts:
    """Pack float weights (O, C, kh, kw), each +-2**n or 0.

    Raises:
        ModelError: another shape, a weight that is no power of two, or exponents further apart than MOST_SHIFT.
    """
    _check_shape(weights)
    mantissas, exponents = np.frexp(weights.astype(np.float64))
    odd = (weights != 0) & (np.abs(mantissas) != 0.5)
    if odd.any() or not np.isfinite(weights).all():
        value = weights[odd].ravel()[0] if odd.any() else weights[~np.isfinite(weights)][0]
        raise ModelError(
            f"shift weights are +-2**n or 0, got {value:g} ({int(odd.sum())} of {weights.size} are neither); "
            "quantize the network to powers of two first"
        )
    used = exponents[weights != 0] - 1
    if used.size and (used.max() - used.min() > MOST_SHIFT or used.min() < -127 or used.max() > 127):
        raise ModelError(
            f"exponents are at most {MOST_SHIFT} apart and fit 8 bits, got {used.min()} to {used.max()}; prune the least weights"
        )
    kept = np.where(weights != 0, exponents - 1, 0).astype(np.int8)
    return PackedShifts(kept, np.sign(weights).astype(np.int8))


def _check_shape(weights: Array) -> None:
    if weights.ndim != 4 or not weights.size or weights.dtype.kind != "f":
        raise ModelError(
            f"weights of a convolution are floats (O, C, kh, kw), got {weights.dtype} {weights.shape}; give those of one layer"
        )
