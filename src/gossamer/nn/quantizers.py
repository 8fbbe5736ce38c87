"""Numbers of few bits as functions on tensors, each with the gradient that training takes through the rounding.

uniform   even steps whose size is learned (LSQ, Esser et al., 1902.08153, equations 1 to 3)
pot       powers of two and 0 (INQ, Zhou et al., 1702.03044, equations 1 to 4)
apot      sums of a few powers of two (APoT, Li et al., 1909.13144, equations 5 and 7), clipped where it is learned
ternary   -a, 0, a (TWN, Li et al., 1605.04711, equations 3 and 6)
binary    -a, a (XNOR-Net, Rastegari et al., 1603.05279, equation 6); activations by ApproxSign (Bi-Real net, 1808.00278)

Scales are held per channel as (out,) or for the whole tensor as (), and `spread` puts them over a weight. INQ spends
2^(b-2) exponents on b bits, here it is 2^(b-1) - 1: as many as b bits tell apart beside the sign and 0. APoT's terms
have two bits each; where the bits beside the sign are odd its last term has one. Its weights are not normalised first.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "apot_codes",
    "apot_levels",
    "apot_terms",
    "apot_values",
    "binary_input",
    "binary_weight",
    "pot_codes",
    "pot_count",
    "pot_top",
    "pot_values",
    "round_apot",
    "round_uniform",
    "spread",
    "ternary_codes",
    "through",
]

_SMALLEST = float(torch.finfo(torch.float32).tiny)
_TERNARY_THRESHOLD = 0.7


def spread(scale: Tensor, weight: Tensor) -> Tensor:
    """(out,) as (out, 1, ...) beside a weight; () as it is."""
    return scale.reshape(-1, *[1] * (weight.dim() - 1)) if scale.dim() else scale


def through(rounded: Tensor, values: Tensor) -> Tensor:
    """The rounded numbers, exactly, with the gradient of the values: a straight-through estimator."""
    return rounded.detach() + (values - values.detach())


# uniform


def round_uniform(values: Tensor, step: Tensor, zero: Tensor, low: int, high: int) -> Tensor:
    """(clamp(round(values / step) + zero, low, high) - zero) step.

    The gradient of the step is LSQ's, scaled by 1 / sqrt(N high), N the numbers that share a step; numbers that were
    clipped have none of their own.
    """
    rounded: Tensor = _RoundUniform.apply(values, step, zero, low, high)
    return rounded


class _RoundUniform(torch.autograd.Function):
    """LSQ, equations 1 to 3, with a zero point."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, step: Tensor, zero: Tensor, low: int, high: int) -> Tensor:
        scaled = values / step
        codes = torch.clamp(scaled.round() + zero, low, high) - zero
        ctx.save_for_backward(scaled, codes, zero)
        ctx.step, ctx.high, ctx.low = step, high, low
        return codes * step

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        scaled, codes, zero = ctx.saved_tensors
        gradient = gradients[0]
        inside = (scaled >= ctx.low - zero) & (scaled <= ctx.high - zero)
        passed = gradient * inside
        shared = scaled.numel() / ctx.step.numel()
        of_step = (gradient * codes - passed * scaled).sum_to_size(ctx.step.shape)
        return passed, of_step / math.sqrt(shared * max(1, ctx.high)), None, None, None


# powers of two


def pot_count(bits: int) -> int:
    """How many exponents there are: 15 at 5 bits."""
    return int(2 ** (bits - 1)) - 1


def pot_top(weight: Tensor, *, per_channel: bool) -> Tensor:
    """The largest power of two: 2^floor(log2(4 max / 3)), (out,) or (); 1 where all weights are 0."""
    largest = weight.detach().abs()
    largest = largest.flatten(1).amax(1) if per_channel else largest.amax()
    exponent = (largest.clamp(min=_SMALLEST) * (4 / 3)).log2().floor()
    return torch.where(largest > 0, torch.ldexp(torch.ones_like(largest), exponent), 1.0)


def pot_codes(weight: Tensor, top: Tensor, bits: int) -> Tensor:
    """Signed codes: 0 for 0, k for top 2^(k - count); the nearest, the largest for whatever is above."""
    count = pot_count(bits)
    share = weight.detach().abs() / spread(top, weight)
    places = ((share * (4 / 3)).log() / math.log(2)).floor() + count
    least = share >= 0.5 * 2.0 ** (1 - count)  # half way between 0 and the smallest power
    return torch.sign(weight.detach()) * torch.maximum(places.clamp(0, count), least.to(places.dtype))


def pot_values(codes: Tensor, top: Tensor, bits: int) -> Tensor:
    """What signed codes stand for: exact powers of two, and 0."""
    count = pot_count(bits)
    powers = [0.0, *(2.0 ** (k - count) for k in range(1, count + 1))]
    table = torch.tensor(powers, dtype=top.dtype, device=top.device)
    return torch.sign(codes) * table[codes.abs().long()] * spread(top, codes)


# sums of powers of two


def apot_terms(bits: int) -> int:
    """How many powers of two are added: 2 at 4 and 5 bits, 3 at 6 and 7."""
    return bits // 2


@functools.cache
def apot_levels(bits: int) -> tuple[float, ...]:
    """The 2^(b-1) magnitudes from 0 to 1: at 4 bits 0, 1/24, 1/6, 1/3, 3/8, 1/2, 2/3, 1."""
    terms = apot_terms(bits)
    sums = [0.0]
    for i in range(terms):
        places = 1 if i == terms - 1 and bits % 2 == 0 else 3
        powers = [0.0, *(2.0 ** -(i + terms * j) for j in range(places))]
        sums = [each + power for each in sums for power in powers]
    return tuple(each / max(sums) for each in sorted(sums))


def apot_codes(weight: Tensor, top: Tensor, bits: int) -> Tensor:
    """Signed codes: k for the kth of `apot_levels` times top; the nearest, the largest for whatever is above."""
    levels = _levels(bits, weight)
    share = weight.detach().abs() / spread(top, weight)
    places = torch.bucketize(share, (levels[1:] + levels[:-1]) / 2)
    return torch.sign(weight.detach()) * places.to(weight.dtype)


def apot_values(codes: Tensor, top: Tensor, bits: int) -> Tensor:
    """What signed codes stand for."""
    return torch.sign(codes) * _levels(bits, top)[codes.abs().long()] * spread(top, codes)


def round_apot(weight: Tensor, top: Tensor, bits: int) -> Tensor:
    """`apot_values` of `apot_codes`; `top` (out, 1, ...) or () is where weights are clipped.

    Its gradient is that of equation 7, scaled as LSQ scales that of a step; clipped weights have none of their own.
    """
    rounded: Tensor = _RoundApot.apply(weight, top, bits)
    return rounded


class _RoundApot(torch.autograd.Function):
    """APoT's reparameterised clipping."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, top: Tensor, bits: int) -> Tensor:
        values = apot_values(apot_codes(weight, top, bits), top, bits)
        ctx.save_for_backward(weight / top, values / top)
        ctx.shape, ctx.high = top.shape, 2 ** (bits - 1) - 1
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        scaled, shares = ctx.saved_tensors
        gradient = gradients[0]
        passed = gradient * (scaled.abs() <= 1)
        of_top = (gradient * shares - passed * scaled).sum_to_size(ctx.shape)
        return passed, of_top / math.sqrt(scaled.numel() / max(1, of_top.numel()) * ctx.high), None


def _levels(bits: int, like: Tensor) -> Tensor:
    return torch.tensor(apot_levels(bits), dtype=like.dtype, device=like.device)


# three and two values


def ternary_codes(weight: Tensor, *, per_channel: bool) -> tuple[Tensor, Tensor]:
    """Codes -1, 0, 1 by the threshold 0.7 mean |w|, and the scale, the mean of what is above it."""
    size = weight.detach().abs()
    rows = size.flatten(1) if per_channel else size.reshape(1, -1)
    kept = rows > _TERNARY_THRESHOLD * rows.mean(1, keepdim=True)
    scale = (rows * kept).sum(1) / kept.sum(1).clamp(min=1)
    codes = torch.sign(weight.detach()) * kept.reshape(weight.shape)
    return codes, scale if per_channel else scale[0]


def binary_weight(weight: Tensor, *, per_channel: bool) -> tuple[Tensor, Tensor]:
    """Codes -1 and 1 (0 is 1), and the scale, mean |w|."""
    size = weight.detach().abs()
    return _signs(weight.detach()), size.flatten(1).mean(1) if per_channel else size.mean()


def binary_input(values: Tensor, shift: Tensor, step: Tensor) -> Tensor:
    """step sign(values - shift): ReActNet's RSign (2003.03488, equation 4) with a learned size.

    The shift is broadcast over the values, for maps (B, C, H, W) it is (C, 1, 1).

    The gradient is ApproxSign's, 2 - 2 |u| for |u| < 1 of u = (values - shift) / step.
    """
    signs: Tensor = _ApproxSign.apply((values - shift) / step.detach())
    return signs * step


class _ApproxSign(torch.autograd.Function):
    """The sign of each number (1 for 0), with the slope of a piecewise parabola."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return _signs(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        slope: Tensor = values.abs().mul_(-2).add_(2).clamp_(min=0).mul_(gradients[0])
        return slope


def _signs(values: Tensor) -> Tensor:
    return (values >= 0).to(values.dtype).mul_(2).sub_(1)  # a third of the time of torch.where
