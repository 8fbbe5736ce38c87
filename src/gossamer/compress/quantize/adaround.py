"""AdaRound: each weight is rounded up or down such that the layer's outputs, not its weights, stay near.

Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", ICML 2020, 2004.10568: weight
s clamp(floor(W / s) + h(V)) with the rectified sigmoid h (equation 23), f_reg = sum 1 - |2 h - 1|^beta with beta falling
(equation 24), inputs from the layers that are rounded already (equation 25). Deviations: the loss is before the
activation; it counts relative to that of rounding to nearest, so that one weight of f_reg suits every layer; a layer
whose result is not better than nearest on outputs that were not fitted stays nearest; hundreds of steps, not 10,000.

The weights that come out are multiples of each channel's scale, and the weight that sets the scale keeps its code: a
runtime that takes max |w| / 127 as the scale reproduces them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.compress.quantize.bias import correct_bias
from gossamer.compress.quantize.flow import Layer
from gossamer.compress.quantize.simulate import Grid, dequantize, quantize, symmetric_grid
from gossamer.compress.quantize.sweep import INT8, Exact, Rounding, sweep
from gossamer.errors import ModelError
from gossamer.nn.layers import SamePadConv2d

__all__ = ["USUAL", "AdaRoundSettings", "adaround"]

_ZETA, _GAMMA = 1.1, -0.1
_HELD = 4
"""One sampled output in so many is not fitted but judged on."""


@dataclass(frozen=True)
class AdaRoundSettings:
    """How long and on how much each layer is fitted."""

    steps: int = 300
    samples: int = 2048
    """Outputs (places) of a layer."""
    batch: int = 256
    learning_rate: float = 2e-2
    regulariser: float = 0.5
    """Weight of f_reg's mean beside the relative error."""
    warm_up: float = 0.2
    """Share of the steps without f_reg."""
    beta: tuple[float, float] = (20.0, 2.0)


USUAL = AdaRoundSettings()


def adaround(
    network: nn.Module,
    pictures: Tensor,
    *,
    rounding: Rounding = INT8,
    settings: AdaRoundSettings = USUAL,
    seed: int = 0,
) -> nn.Module:
    """A new network, norms folded, with rounded weights (still floats) and corrected biases.

    `pictures` (N, C, H, W) are one batch: 32 to 64.

    Raises:
        DataError, ModelError: as `sweep`; settings without steps or samples.
    """
    if settings.steps < 1 or settings.samples < 2 * _HELD or settings.batch < 1:
        raise ModelError(
            f"AdaRound takes at least 1 step, {2 * _HELD} samples and a batch of 1, got {settings.steps}, "
            f"{settings.samples} and {settings.batch}; leave the defaults"
        )
    generator = torch.Generator().manual_seed(seed)

    def visit(_: str, layer: Layer, inputs: Tensor, exact: Exact) -> None:
        grid = symmetric_grid(layer.weight, bits=rounding.bits, per_channel=rounding.per_channel)
        layer.weight = nn.Parameter(_rounded(layer, inputs, exact, grid, settings, generator))
        correct_bias(layer, inputs, exact, rounding)

    return sweep(network, pictures, visit, rounding=rounding, samples=settings.samples, seed=seed)


def _rounded(
    layer: Layer,
    inputs: Tensor,
    exact: Exact,
    grid: Grid,
    settings: AdaRoundSettings,
    generator: torch.Generator,
) -> Tensor:
    """The layer's weight on its grid, adaptively where that is better."""
    weight = layer.weight.detach()
    nearest = dequantize(quantize(weight, grid), grid)
    if isinstance(layer, nn.Conv2d) and layer.padding_mode != "zeros":
        return nearest
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    patches = _patches(layer, inputs, exact.places).unflatten(1, (groups, -1))
    wanted = exact.outputs if layer.bias is None else exact.outputs - layer.bias.detach()
    held = torch.arange(len(patches)) % _HELD == 0
    fitted = _fit(weight, grid, patches[~held], wanted[~held], settings, generator)
    errors = [float(_error(w, patches[held], wanted[held])) for w in (fitted, nearest)]
    return fitted if errors[0] < errors[1] else nearest


@torch.enable_grad()
def _fit(
    weight: Tensor,
    grid: Grid,
    patches: Tensor,
    wanted: Tensor,
    settings: AdaRoundSettings,
    generator: torch.Generator,
) -> Tensor:
    scaled = weight / grid.scale
    pinned = scaled.abs() > grid.high - 1e-3
    floor = torch.where(pinned, scaled.round(), scaled.floor())
    rest = torch.where(pinned, torch.zeros_like(scaled), scaled - floor)
    start = -torch.log((_ZETA - _GAMMA) / (rest - _GAMMA) - 1)
    variable = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([variable], lr=settings.learning_rate)
    unit = float(_error(dequantize(quantize(weight, grid), grid), patches, wanted)) or 1.0
    for step in range(settings.steps):
        chosen = torch.randint(len(patches), (min(settings.batch, len(patches)),), generator=generator)
        share = torch.where(pinned, torch.zeros_like(scaled), _rectified(variable))
        loss = _error((floor + share) * grid.scale, patches[chosen], wanted[chosen]) / unit
        beta = _beta(step / settings.steps, settings)
        if beta is not None:
            loss = loss + settings.regulariser * (1 - (2 * share - 1).abs().pow(beta)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    up = (_rectified(variable.detach()) >= 0.5) & ~pinned
    return dequantize((floor + up.float()).clamp(grid.low, grid.high), grid)


def _rectified(variable: Tensor) -> Tensor:
    return (torch.sigmoid(variable) * (_ZETA - _GAMMA) + _GAMMA).clamp(0, 1)


def _beta(done: float, settings: AdaRoundSettings) -> float | None:
    """beta along a cosine from its start to its end; None while warming up."""
    if done < settings.warm_up:
        return None
    high, low = settings.beta
    along = (done - settings.warm_up) / (1 - settings.warm_up)
    return low + 0.5 * (high - low) * (1 + math.cos(math.pi * along))


def _error(weight: Tensor, patches: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error of outputs; patches (n, groups, inputs), the mean shift left out: the bias takes it."""
    groups = patches.shape[1]
    by_group = weight.reshape(groups, len(weight) // groups, -1)
    off = torch.einsum("ngi,goi->ngo", patches, by_group).flatten(1) - wanted
    return (off - off.mean(0)).square().mean()


def _patches(layer: Layer, inputs: Tensor, places: Tensor) -> Tensor:
    """What the layer meets at these places (of N H W, sorted): (places, inputs x kernel)."""
    if isinstance(layer, nn.Linear):
        return inputs.flatten(0, -2)[places]
    found, before = [], 0
    for picture in inputs.split(1):
        columns = F.unfold(_padded(layer, picture), layer.kernel_size, layer.dilation, 0, layer.stride)[0]
        count = columns.shape[1]
        here = places[(places >= before) & (places < before + count)] - before
        found.append(columns[:, here].T)
        before += count
    return torch.cat(found)


def _padded(layer: nn.Conv2d, inputs: Tensor) -> Tensor:
    if not isinstance(layer, SamePadConv2d):
        return F.pad(inputs, layer._reversed_padding_repeated_twice)
    pads: list[int] = []
    for size, kernel, stride in zip(
        inputs.shape[:1:-1], layer.kernel_size[::-1], layer.stride[::-1], strict=True
    ):
        total = max((-(-int(size) // stride) - 1) * stride + kernel - int(size), 0)
        pads += [total // 2, total - total // 2]
    return F.pad(inputs, pads)
