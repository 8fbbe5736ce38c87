"""Multiply-accumulates of one operator as a pure function of shapes (no torch).

One multiply-accumulate is one mac. Norms, activations, pooling and additions count none: they are seen in the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

__all__ = ["convolution_macs", "matmul_macs"]


def convolution_macs(weight: Sequence[int], output: Sequence[int]) -> int:
    """Convolution with weight (out, in / groups, kh, kw) and output (B, out, H', W'): B H' W' x out x in/groups kh kw."""
    return output[0] * prod(output[2:]) * prod(weight)


def matmul_macs(left: Sequence[int], right: Sequence[int]) -> int:
    """Matrices (..., n, m) times (..., m, p), batch sizes of the left: batch x n m p."""
    return prod(left) * right[-1]
