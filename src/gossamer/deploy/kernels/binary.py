"""Binary convolution: signs of inputs by signs of weights, 64 products in one XOR and one population count.

XNOR-Net (Rastegari et al., 2016, arXiv 1603.05279): the sum of n products of signs is n - 2 popcount(a xor b).
Padding counts 0, as in a convolution of reals: there is no third sign, so what its places counted is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.kernels.reference import output_side
from gossamer.deploy.kernels.weights import PackedSigns, sign_words
from gossamer.errors import DataError, MissingExtraError

__all__ = ["BinaryConv2d", "PackedInputs", "pack_inputs"]


@dataclass(frozen=True)
class PackedInputs:
    """Signs of inputs, words (H, W, ceil(C / 64)) of C channels."""

    words: NDArray[np.uint64]
    channels: int


def pack_inputs(inputs: NDArray[Any]) -> PackedInputs:
    """Signs of inputs (H, W, C); that of 0 is +1."""
    return PackedInputs(sign_words(inputs), inputs.shape[-1])


class BinaryConv2d:
    """A binary convolution without groups, its weights laid out once; on one thread."""

    def __init__(self, weights: PackedSigns, *, stride: int = 1, padding: int = 0) -> None:
        """Raises: MissingExtraError: numba is not installed."""
        try:
            from gossamer.deploy.kernels import _binary_jit
        except ImportError as error:
            raise MissingExtraError("a binary convolution", "numba", "kernels") from error
        self._jit, self._stride, self._padding = _binary_jit, stride, padding
        out, kernel_h, kernel_w, depth = weights.words.shape
        self._kernel, self._channels, self._out = (kernel_h, kernel_w), weights.channels, out
        self._n = -(-kernel_h * kernel_w * depth // _binary_jit.WORDS) * _binary_jit.WORDS
        blocks = -(-out // _binary_jit.BLOCK)
        rows = np.zeros((blocks * _binary_jit.BLOCK, self._n), np.uint64)
        rows[:out, : kernel_h * kernel_w * depth] = weights.words.reshape(out, -1)
        self._weights = np.ascontiguousarray(
            rows.reshape(blocks, _binary_jit.BLOCK, self._n).transpose(0, 2, 1)
        ).ravel()
        positive = (
            np.unpackbits(weights.words.view(np.uint8), axis=-1).sum(-1, dtype=np.int64).reshape(out, -1)
        )
        self._places = np.zeros((kernel_h * kernel_w, len(rows)), np.int32)
        self._places[:, :out] = (weights.channels - 2 * positive).T

    def __call__(self, inputs: PackedInputs) -> NDArray[np.int32]:
        """Sums (H', W', O) of products of signs; times `PackedSigns.scale` they are the convolution.

        Raises:
            DataError: inputs of other channels than the weights, or smaller than the filter.
        """
        jit, stride, padding = self._jit, self._stride, self._padding
        if inputs.channels != self._channels:
            raise DataError(
                f"inputs have the channels of the weights, got {inputs.channels} for {self._channels}; pack the right ones"
            )
        height, width = inputs.words.shape[:2]
        out_h = output_side(height, self._kernel[0], stride, padding)
        out_w = output_side(width, self._kernel[1], stride, padding)
        pixels = out_h * out_w
        rows = -(-pixels // jit.PIXELS) * jit.PIXELS
        patches = np.zeros((rows, self._n), np.uint64)
        jit.bit_patches(inputs.words, patches, out_h, out_w, self._kernel, stride, padding)
        sums = np.empty((rows, self._places.shape[1]), np.int32)
        counts = np.empty(jit.PIXELS * jit.BLOCK, np.int64)
        bits = self._channels * self._kernel[0] * self._kernel[1]
        jit.bit_product(patches.ravel(), self._weights, counts, bits, sums)
        if padding:
            jit.take_padding_back(
                sums[:pixels], self._places, height, width, out_w, self._kernel, stride, padding
            )
        return sums[:pixels, : self._out].reshape(out_h, out_w, self._out)
