"""Which range of an activation's values the codes should cover: min-max, percentile, least squared error, entropy."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from gossamer.compress.quantize.simulate import asymmetric_grid, fake_quantize
from gossamer.errors import ModelError

__all__ = ["RangeMethod", "find_range"]

RangeMethod = Literal["minmax", "percentile", "mse", "entropy"]

_PERCENT = 99.99
_SHRINKS = 40
"""Narrower ranges that are tried, down to a fortieth of min-max."""
_BINS = 2048
_SAMPLE = 200_000
"""Values looked at by all but min-max: more do not move the result."""


def find_range(
    values: Tensor, method: RangeMethod = "minmax", *, bits: int = 8, percent: float = _PERCENT
) -> tuple[float, float]:
    """(low, high) for these values of any shape; 0 always lies inside.

    `percentile` leaves the share (100 - percent) % out, half on each side that has values. `mse` takes the narrowing of
    min-max with the least squared error after rounding; `entropy` the one whose rounded histogram has the least
    Kullback-Leibler divergence from the whole one (Migacz, "8-bit inference with TensorRT", GTC 2017).

    Raises:
        ModelError: no values, values that are not finite, or an unknown method.
    """
    if method not in get_args(RangeMethod):
        raise ModelError(
            f"ranges are set by {', '.join(get_args(RangeMethod))}, got {method!r}; take one of these"
        )
    flat = values.detach().float().flatten()
    if not len(flat) or not bool(torch.isfinite(flat).all()):
        raise ModelError(
            "a range needs finite values to be seen, got none, NaN or infinity; check the pictures"
        )
    low, high = min(0.0, float(flat.min())), max(0.0, float(flat.max()))
    if method == "minmax" or low == high:
        return low, high
    seen = flat[:: max(1, len(flat) // _SAMPLE)]
    if method == "percentile":
        tail = (1 - percent / 100) / (2 if low < 0 < high else 1)
        ends = torch.quantile(seen[:16_000_000], torch.tensor([tail, 1 - tail]))
        return (min(0.0, float(ends[0])) if low < 0 else 0.0), (max(0.0, float(ends[1])) if high > 0 else 0.0)
    shares = [1 - i / _SHRINKS for i in range(_SHRINKS)]
    errors = (
        [_squared_error(seen, share * low, share * high, bits) for share in shares]
        if method == "mse"
        else [_divergence(seen, share * low, share * high, bits) for share in shares]
    )
    best = shares[errors.index(min(errors))]
    return best * low, best * high


def _squared_error(values: Tensor, low: float, high: float, bits: int) -> float:
    return float((values - fake_quantize(values, asymmetric_grid(low, high, bits=bits))).square().mean())


def _divergence(values: Tensor, low: float, high: float, bits: int) -> float:
    """KL(P || Q) in nats: P the clipped histogram of `_BINS` bins, Q the same with one height a code."""
    counts = torch.histc(values.clamp(low, high), _BINS, low, high)
    inner = torch.histc(values[(values >= low) & (values <= high)], _BINS, low, high)
    code = torch.arange(_BINS) * 2**bits // _BINS
    sums = torch.zeros(2**bits).index_add_(0, code, inner)
    filled = torch.zeros(2**bits).index_add_(0, code, (inner > 0).float())
    spread = torch.where(inner > 0, (sums / filled.clamp(min=1))[code], torch.zeros(()))
    p, q = counts / counts.sum(), spread / spread.sum().clamp(min=1e-12)
    where = p > 0
    return float((p[where] * (p[where] / q[where].clamp(min=1e-9)).log()).sum())
