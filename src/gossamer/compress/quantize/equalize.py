"""Cross-layer equalization: the scale of each channel is moved between layers until their ranges meet.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, 1906.04721, section
4.1: where f(s x) = s f(x), W2 f(W1 x + b1) = (W2 S) f(S^-1 (W1 x + b1)), and s_i = sqrt(r1_i / r2_i) gives channel i the
range sqrt(r1_i r2_i) in both (equation 11). Deviations: one layer may be read by several (their ranges are taken
together) and through a concatenation, as in SqueezeNet; depthwise triples come from going over pairs until nothing
moves, which has the same fixed point as the three-way formula. Never across hard-swish, SiLU or a clip that is reached.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gossamer.compress.quantize.flow import Flow, Reader, follow, heavy_layers
from gossamer.compress.quantize.pictures import check_network, check_pictures, run_on
from gossamer.errors import ModelError
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.modes import taken_off
from gossamer.nn.objective import CLASS_SCORES, Objective

__all__ = ["equalize", "relax_relu6"]

_ROUNDS = 40
_SETTLED = 1e-3
"""Largest |s - 1| at which a round has changed nothing that matters."""
_SMALLEST = 1e-8
"""Relative to the layer: channels that are as good as dead have no range to equalize."""
_TOLERANCE = 1e-3


def equalize(network: nn.Module, shape: Sequence[int]) -> nn.Module:
    """A new network, norms folded, with equalized channels; its outputs are the same up to rounding.

    `shape` is (B, bands, H, W). Layers between which a scale cannot pass are left as they are.

    Raises:
        ModelError: weights that are not finite, a network that does not run at that shape, or outputs that moved.
    """
    check_network(network)
    ours = fuse(network)
    flow = follow(ours, shape)
    _settle(ours, flow)
    _check_same(network, ours, shape)
    return ours


def _settle(network: nn.Module, flow: Flow) -> None:
    """Go over all layers until their channels' scales stand still: in place."""
    layers = heavy_layers(network)
    with torch.no_grad():
        for _ in range(_ROUNDS):
            moved = 0.0
            for name, readers in flow.readers.items():
                scale = _scale(layers[name].weight, [(layers[r.layer], r) for r in readers])
                moved = max(moved, float((scale - 1).abs().max()))
                _apply(layers[name], [(layers[r.layer], r) for r in readers], scale)
            if moved < _SETTLED:
                return


def _scale(weight: Tensor, readers: Sequence[tuple[nn.Conv2d | nn.Linear, Reader]]) -> Tensor:
    """s of each channel of the layer with this weight, 1 where a side has no range."""
    written: Tensor = weight.detach().abs().flatten(1).amax(1)
    read = torch.stack(
        [_columns(layer, reader, len(written)).abs().amax((0, 2)) for layer, reader in readers]
    )
    ours = read.amax(0)
    alive = (written > _SMALLEST * written.max()) & (ours > _SMALLEST * ours.max())
    ratios: Tensor = (written / ours.clamp(min=1e-30)).sqrt()
    return torch.where(alive, ratios, torch.ones_like(ratios))


def _columns(layer: nn.Conv2d | nn.Linear, reader: Reader, channels: int) -> Tensor:
    """A view of the reader's weight as (outputs, these channels, numbers a channel)."""
    start, stop = reader.start, reader.start + channels * reader.places
    if isinstance(layer, nn.Linear):
        found: Tensor = layer.weight[:, start:stop].unflatten(1, (channels, reader.places))
        return found
    out, within = layer.weight.shape[:2]
    by_input = layer.weight.reshape(layer.groups, out // layer.groups, within, -1).transpose(0, 1)
    return by_input.flatten(1, 2)[:, start:stop]


def _apply(
    layer: nn.Conv2d | nn.Linear, readers: Sequence[tuple[nn.Conv2d | nn.Linear, Reader]], scale: Tensor
) -> None:
    layer.weight /= scale.reshape(-1, *[1] * (layer.weight.dim() - 1))
    if layer.bias is not None:
        layer.bias /= scale
    for target, reader in readers:
        inputs = target.in_features if isinstance(target, nn.Linear) else target.in_channels
        whole = torch.ones(inputs, dtype=scale.dtype, device=scale.device)
        whole[reader.start : reader.start + len(scale) * reader.places] = scale.repeat_interleave(
            reader.places
        )
        if isinstance(target, nn.Linear):
            target.weight *= whole
            continue
        rows = whole.reshape(target.groups, -1).repeat_interleave(target.out_channels // target.groups, 0)
        target.weight *= rows[:, :, None, None]


def _check_same(network: nn.Module, edited: nn.Module, shape: Sequence[int]) -> None:
    """An edit that should change nothing is not trusted but tried."""
    example = torch.randn((2, *shape[1:]), generator=torch.Generator().manual_seed(0))
    before, after = run_on(network, example), run_on(edited, example)
    far = float((before - after).abs().max())
    if not far <= _TOLERANCE * max(1.0, float(before.abs().max())):
        raise ModelError(
            f"equalizing keeps the outputs, those of {type(network).__name__} moved by {far:.2g}; quantize it as it is"
        )


def relax_relu6(
    network: nn.Module,
    pictures: Tensor,
    *,
    min_agreement: float = 0.99,
    objective: Objective = CLASS_SCORES,
) -> nn.Module:
    """A new network with ReLU in the place of ReLU6, so that scales pass: where the clip is not reached, or all.

    All of them where its answers are then the same by at least `min_agreement`, as `objective` says (Nagel et
    al. replace them unasked); otherwise those whose clip no calibration picture reaches. `pictures` (N, C, H, W).

    Raises:
        DataError, ModelError: unusable pictures or a network that does not take them.
    """
    check_pictures(pictures)
    check_network(network)
    ours = copy.deepcopy(network)
    clips = {name: m for name, m in ours.named_modules() if isinstance(m, nn.ReLU6)}
    if not clips:
        return ours
    highest = dict.fromkeys(clips, 0.0)

    def note(name: str, value: Tensor) -> None:
        highest[name] = max(highest[name], float(value.max()))

    handles = [
        module.register_forward_pre_hook(lambda _, args, name=name: note(name, args[0]))
        for name, module in clips.items()
    ]
    with taken_off(handles):
        before = run_on(ours, pictures)
    free = _with_relu(ours, clips)
    agreement = objective.agreement(before, run_on(free, pictures))
    return free if agreement >= min_agreement else _with_relu(ours, [n for n in clips if highest[n] <= 6])


def _with_relu(network: nn.Module, names: Sequence[str] | dict[str, nn.ReLU6]) -> nn.Module:
    ours = copy.deepcopy(network)
    for name in names:
        parent, _, leaf = name.rpartition(".")
        setattr(ours.get_submodule(parent), leaf, nn.ReLU())
    return ours
