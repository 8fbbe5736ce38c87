"""The compiled part of binary convolutions: patches of bits, then a product of bit matrices.

Slices of a fixed length with plain loops over them are what LLVM turns into vectors: 4 pixels by 3 words by BLOCK
output channels are in flight, so that each load of weights serves 4 times.
"""

from __future__ import annotations

from typing import Any

from numba import njit
from numpy.typing import NDArray

from gossamer.deploy.kernels._popcount import popcount

__all__ = ["BLOCK", "PIXELS", "WORDS", "bit_patches", "bit_product", "take_padding_back"]

BLOCK, PIXELS, WORDS = 64, 4, 3
"""Output channels, pixels and words of one pass."""

Array = NDArray[Any]


@njit(cache=True)
def bit_patches(
    words: Array, patches: Array, out_h: int, out_w: int, kernel: tuple[int, int], stride: int, padding: int
) -> None:
    """Words (H, W, n) -> patches (P, kh * kw * n and more), row by row; what lies in the padding stays 0."""
    height, width, depth = words.shape
    for y in range(out_h):
        for x in range(out_w):
            row = patches[y * out_w + x]
            for ky in range(kernel[0]):
                for kx in range(kernel[1]):
                    at_y, at_x = y * stride + ky - padding, x * stride + kx - padding
                    if 0 <= at_y < height and 0 <= at_x < width:
                        start = (ky * kernel[1] + kx) * depth
                        for i in range(depth):
                            row[start + i] = words[at_y, at_x, i]


@njit(cache=True)
def bit_product(patches: Array, weights: Array, counts: Array, bits: int, out: Array) -> None:
    """out (P, O) = bits - 2 * popcount(patch ^ weight), of patches (P * n,) and weights (O / BLOCK * n * BLOCK,).

    P, n and O are multiples of PIXELS, WORDS and BLOCK; `counts` (PIXELS * BLOCK,) int64 is scratch.
    """
    pixels, channels = out.shape
    n = len(patches) // pixels
    count_a, count_b = counts[0:BLOCK], counts[BLOCK : 2 * BLOCK]
    count_c, count_d = counts[2 * BLOCK : 3 * BLOCK], counts[3 * BLOCK : 4 * BLOCK]
    for block in range(channels // BLOCK):
        for p in range(0, pixels, PIXELS):
            counts[:] = 0
            a, b = patches[p * n : (p + 1) * n], patches[(p + 1) * n : (p + 2) * n]
            c, d = patches[(p + 2) * n : (p + 3) * n], patches[(p + 3) * n : (p + 4) * n]
            for t in range(0, n, WORDS):
                start = (block * n + t) * BLOCK
                first = weights[start : start + BLOCK]
                second = weights[start + BLOCK : start + 2 * BLOCK]
                third = weights[start + 2 * BLOCK : start + 3 * BLOCK]
                a0, a1, a2 = a[t], a[t + 1], a[t + 2]
                b0, b1, b2 = b[t], b[t + 1], b[t + 2]
                c0, c1, c2 = c[t], c[t + 1], c[t + 2]
                d0, d1, d2 = d[t], d[t + 1], d[t + 2]
                for j in range(BLOCK):
                    w0, w1, w2 = first[j], second[j], third[j]
                    count_a[j] += popcount(a0 ^ w0) + popcount(a1 ^ w1) + popcount(a2 ^ w2)
                    count_b[j] += popcount(b0 ^ w0) + popcount(b1 ^ w1) + popcount(b2 ^ w2)
                    count_c[j] += popcount(c0 ^ w0) + popcount(c1 ^ w1) + popcount(c2 ^ w2)
                    count_d[j] += popcount(d0 ^ w0) + popcount(d1 ^ w1) + popcount(d2 ^ w2)
            for i in range(PIXELS):
                row, found = (
                    out[p + i, block * BLOCK : (block + 1) * BLOCK],
                    counts[i * BLOCK : (i + 1) * BLOCK],
                )
                for j in range(BLOCK):
                    row[j] = bits - 2 * found[j]


@njit(cache=True)
def take_padding_back(
    out: Array,
    places: Array,
    height: int,
    width: int,
    out_w: int,
    kernel: tuple[int, int],
    stride: int,
    padding: int,
) -> None:
    """Places (kh * kw, O) of a filter that lie in the padding counted as if all inputs were -1: in place, to 0."""
    pixels, channels = out.shape
    for p in range(pixels):
        y, x = p // out_w * stride - padding, p % out_w * stride - padding
        if y >= 0 and x >= 0 and y + kernel[0] <= height and x + kernel[1] <= width:
            continue
        row = out[p]
        for ky in range(kernel[0]):
            for kx in range(kernel[1]):
                if not (0 <= y + ky < height and 0 <= x + kx < width):
                    counted = places[ky * kernel[1] + kx]
                    for o in range(channels):
                        row[o] -= counted[o]
