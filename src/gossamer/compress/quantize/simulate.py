"""Integer grids and what rounding to them does, as functions on tensors (no module in sight).

q = clamp(round(x / scale) + zero_point, low, high) and x' = (q - zero_point) scale (Jacob et al., 1712.05877, equation
1). Weights take symmetric grids without the lowest code, so that w and -w round alike: int8 is -127..127, as ONNX
Runtime has it. Activations take asymmetric unsigned grids that hold 0 exactly, because padding is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.errors import ModelError

__all__ = ["Grid", "asymmetric_grid", "dequantize", "fake_quantize", "quantize", "sqnr_db", "symmetric_grid"]

_SMALLEST_SCALE = float(torch.finfo(torch.float32).tiny)


@dataclass(frozen=True)
class Grid:
    """Codes `low`..`high`; `scale` and `zero_point` are scalars or broadcast over the tensor's channels."""

    scale: Tensor
    zero_point: Tensor
    low: int
    high: int


def symmetric_grid(weight: Tensor, *, bits: int = 8, per_channel: bool = True, axis: int = 0) -> Grid:
    """The signed grid that holds the largest magnitude, of each channel along `axis` or of the whole tensor.

    int8 of [-0.5, 1.27] has scale 0.01. A channel of zeros has scale 1: it is exact, and nothing divides by 0.

    Raises:
        ModelError: fewer than 2 bits or more than 16, or weights that are not finite.
    """
    _check_bits(bits)
    if not bool(torch.isfinite(weight).all()):
        raise ModelError("weights to be quantized are finite, got NaN or infinity; train or load them again")
    others = [i for i in range(weight.dim()) if i != axis % weight.dim()]
    largest = weight.detach().abs()
    largest = largest.amax(others, keepdim=True) if per_channel and others else largest
    largest = largest if per_channel else largest.amax()
    high = 2 ** (bits - 1) - 1
    scale = _not_dead(largest / high)
    return Grid(scale, torch.zeros_like(scale), -high, high)


def asymmetric_grid(low: float | Tensor, high: float | Tensor, *, bits: int = 8) -> Grid:
    """The unsigned grid over [low, high], widened to hold 0; the zero point is the code of 0.

    uint8 of [-1, 4.1] has scale 0.02 and zero point 50.

    Raises:
        ModelError: fewer than 2 bits or more than 16, or ends that are not finite or change places.
    """
    _check_bits(bits)
    ends = torch.as_tensor(low, dtype=torch.float32), torch.as_tensor(high, dtype=torch.float32)
    if not all(bool(torch.isfinite(end).all()) for end in ends) or bool((ends[0] > ends[1]).any()):
        raise ModelError(f"a range is finite with low <= high, got {low} to {high}; calibrate it again")
    bottom, top = ends[0].clamp(max=0.0), ends[1].clamp(min=0.0)
    codes = 2**bits - 1
    scale = _not_dead((top - bottom) / codes)
    return Grid(scale, torch.round(-bottom / scale).clamp(0, codes), 0, codes)


def quantize(values: Tensor, grid: Grid) -> Tensor:
    """Codes (whole numbers, as floats) of values."""
    return (torch.round(values / grid.scale) + grid.zero_point).clamp(grid.low, grid.high)


def dequantize(codes: Tensor, grid: Grid) -> Tensor:
    """The values that codes stand for."""
    return (codes - grid.zero_point) * grid.scale


def fake_quantize(values: Tensor, grid: Grid) -> Tensor:
    """The nearest values on the grid: off by at most scale / 2 inside its range, clipped outside."""
    return dequantize(quantize(values, grid), grid)


def sqnr_db(exact: Tensor, rounded: Tensor) -> float:
    """10 log10 of the signal's energy over that of the error; infinite where nothing changed."""
    noise = float((exact.double() - rounded.double()).square().sum())
    signal = float(exact.double().square().sum())
    if noise == 0.0:
        return float("inf")
    return float(10 * torch.log10(torch.tensor(signal / noise, dtype=torch.float64)))


def _not_dead(scale: Tensor) -> Tensor:
    """1 where a scale would be 0 or too small to divide by."""
    return torch.where(scale < _SMALLEST_SCALE, torch.ones_like(scale), scale)


def _check_bits(bits: int) -> None:
    if not 2 <= bits <= 16:
        raise ModelError(f"a grid has 2 to 16 bits, got {bits}; give e.g. 8")
