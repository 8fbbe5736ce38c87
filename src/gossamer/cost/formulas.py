"""Multiply-accumulates of one operator as a pure function of shapes (no torch).

One multiply-accumulate is one mac. Norms, activations, pooling and additions count none: they are seen in the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

__all__ = ["convolution_kind", "convolution_macs", "matmul_macs", "words"]


def convolution_macs(weight: Sequence[int], output: Sequence[int]) -> int:
    """Convolution with weight (out, in / groups, kh, kw) and output (B, out, H', W'): B H' W' x out x in/groups kh kw."""
    return output[0] * prod(output[2:]) * prod(weight)


def convolution_kind(weight: Sequence[int], input: Sequence[int], *, transposed: bool = False) -> str:
    """The sort of a convolution with weight (out, in / groups, kh, kw) and input (B, in, H, W): `Conv 1x1`, `Conv k x k` ..."""
    if transposed:
        return "ConvTranspose"
    if weight[1] == 1 and weight[0] > 1 and input[1] == weight[0]:
        return "Conv depthwise"
    if input[1] > weight[1]:
        return "Conv grouped"
    return "Conv 1x1" if set(weight[2:]) == {1} else "Conv k x k"


def matmul_macs(left: Sequence[int], right: Sequence[int]) -> int:
    """Matrices (..., n, m) times (..., m, p), batch sizes of the left: batch x n m p."""
    return prod(left) * right[-1]


def words(text: str) -> frozenset[str]:
    """Operator names, written as a line of text so that a table of eighty stays readable."""
    return frozenset(text.split())
