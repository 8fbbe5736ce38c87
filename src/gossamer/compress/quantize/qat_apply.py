"""A network of few bits from a plan: steps that round the weights least, inputs calibrated on pictures.

At 8 bits the result needs no training. The step of uniform weights is, channel by channel, the share of the largest
magnitude with the least squared error, or LSQ's start where that is better; ranges of inputs are those with the least
squared error (`ranges`). A binary input starts with the mean of each channel as its shift (a ReLU before it would leave
one sign only) and the mean distance from it as its size. Where there are binary inputs little is left of what the float
network computes: every input is then calibrated in the order that layers run in, behind those that round already, and
norms take the statistics of these pictures on the way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.compress.prune.scores import Batches
from gossamer.compress.quantize.pictures import check_network, check_pictures, run_on
from gossamer.compress.quantize.qat_order import Hook, calibrate_in_order, hooked
from gossamer.compress.quantize.qat_plan import BitPlan
from gossamer.compress.quantize.ranges import find_range
from gossamer.compress.quantize.simulate import asymmetric_grid
from gossamer.errors import DataError, ModelError
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.edits.quantize import quantize_layers, quantized_layers
from gossamer.nn.layer_bits import LayerBits
from gossamer.nn.quantized import QuantizedLayer, code_values
from gossamer.nn.quantizers import apot_codes, spread

__all__ = ["apply_bits", "best_step"]

_SHARES = 40
_VALUES = 100_000
"""Inputs of a layer that are looked at."""
_PIXELS, _FEWEST = 2**20, 16
"""Of pictures that pass through a network at once: 1024 of 32 x 32, 20 of 224 x 224."""


def apply_bits(network: nn.Module, plan: BitPlan, batches: Batches = ()) -> nn.Module:
    """The network with the plan's layers of few bits, in eval mode; the one given is left as it is.

    `batches` are normalised pictures to calibrate on, a few hundred; labels are not looked at. Only a plan that leaves
    every input in float does without. The `spec`, where there is one, tells the edit, so that `build` makes it again.

    Raises:
        DataError: pictures are needed and there are none, or they are not finite.
        ModelError: the plan is of another network, weights are not finite, or the network does not take the pictures.
    """
    check_network(network)
    pictures = [each for each, _ in batches]
    inputs = [name for name, bits in plan.layers.items() if bits.activation_bits is not None]
    if inputs and not pictures:
        raise DataError(
            f"inputs of {len(inputs)} layers are to be rounded, whose ranges come from pictures, got none; "
            "give a few hundred (--data, in Python batches=), or leave activations in float (activation_bits=32, in Python None)"
        )
    for each in pictures:
        check_pictures(each)
    network = fuse(network) if plan.folded else network
    changed = quantize_layers(network, plan.layers).eval()
    layers = quantized_layers(changed)
    for layer in layers.values():
        if layer.bits.learns_scale:
            layer.set_weight_step(best_step(layer.weight.detach(), layer.bits))
    if any(bits.activation_bits == 1 for bits in plan.layers.values()):
        batch = _one_batch(pictures)
        for name in calibrate_in_order(changed, inputs, batch, partial(_calibrate_on, layers)):
            _calibrate(name, layers[name], [])
    else:
        for name, values in _inputs(network, inputs, pictures).items():
            _calibrate(name, layers[name], values)
    if pictures and not bool(torch.isfinite(run_on(changed, pictures[0][:1])).all()):
        raise ModelError("the quantized network gives NaN; check the pictures and the weights")
    spec: Any = getattr(network, "spec", None)
    if spec is not None:
        changed.spec = spec.with_edit(plan.to_json())
    return changed


def best_step(weight: Tensor, bits: LayerBits) -> Tensor:
    """The step of uniform weights, the top of apot, (out,) or (), with the least squared error.

    Tried are shares of what the largest magnitude asks for, and LSQ's 2 mean |w| / sqrt(Qp). 0 where all weights are 0.
    """
    rows = weight.flatten(1) if bits.per_channel else weight.reshape(1, -1)
    high = 2 ** (bits.bits - 1) - 1
    unit = high if bits.weights == "uniform" else 1
    largest, mean = rows.abs().amax(1), rows.abs().mean(1)
    candidates = [largest / unit * (1 - i / _SHARES) for i in range(_SHARES)]
    candidates.append(2 * mean / math.sqrt(high) * (high / unit))
    best: Tensor = candidates[0]
    least = torch.full_like(largest, math.inf)
    for step in candidates:
        size = torch.where(step > 0, step, 1.0)
        if bits.weights == "uniform":
            codes = (rows / spread(size, rows)).round().clamp(-high - 1, high)
        else:
            codes = apot_codes(rows, size, bits.bits)
        error = (code_values(bits, codes, size) - rows).square().sum(1)
        best, least = torch.where(error < least, step, best), torch.minimum(error, least)
    return best if bits.per_channel else best[0]


def _inputs(network: nn.Module, names: Sequence[str], pictures: Sequence[Tensor]) -> dict[str, list[Tensor]]:
    """Layer -> what came in, picture by picture thinned to some values a channel: (values, channels) each."""
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    places = max(1, _VALUES // max(1, sum(len(each) for each in pictures)))

    def watch(name: str) -> Hook:
        return lambda module, args: found[name].append(_thinned(module, args[0].detach(), places))

    with hooked(network, {name: watch(name) for name in names}):
        for each in pictures:
            run_on(network, each)
    return found


def _thinned(module: nn.Module, x: Tensor, places: int) -> Tensor:
    """(values, channels) of what comes into a layer, about so many numbers of each picture."""
    linear = isinstance(module, nn.Linear)
    rows = x.reshape(len(x), -1, x.shape[-1]) if linear else x.flatten(2).transpose(1, 2)
    step = max(1, rows.shape[1] * rows.shape[2] // places)
    return rows[:, ::step].flatten(0, 1)


def _one_batch(pictures: Sequence[Tensor]) -> Tensor:
    """As many of the pictures as norms take their statistics from, in one batch: those of the first one's size."""
    first = pictures[0]
    count = max(_FEWEST, _PIXELS // (first.shape[2] * first.shape[3]))
    return torch.cat([each for each in pictures if each.shape[1:] == first.shape[1:]])[:count]


def _calibrate_on(layers: Mapping[str, QuantizedLayer], name: str, x: Tensor) -> None:
    _calibrate(name, layers[name], [_thinned(layers[name], x, max(1, _VALUES // len(x)))])


@torch.no_grad()
def _calibrate(name: str, layer: QuantizedLayer, seen: Sequence[Tensor]) -> None:
    """Set a layer's input step, and zero point or shift: in place."""
    if not seen:
        raise ModelError(f"no picture reached {name!r}; leave it out of the plan")
    values, bits = torch.cat(list(seen)), layer.bits.activation_bits or 8
    if bits == 1:
        shift = values.mean(0)
        size = (values - shift).abs().mean()
        layer.input_shift.copy_(shift)
        layer.input_log_step.copy_(torch.where(size > 0, size, 1.0).log())
        return
    grid = asymmetric_grid(*find_range(values, "mse", bits=bits), bits=bits)
    layer.input_log_step.copy_(grid.scale.log())
    layer.input_zero.copy_(grid.zero_point)
