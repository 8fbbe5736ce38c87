"""Which layers can be trained with few bits, what each costs, and why the others cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from torch.nn.utils import parametrize

from gossamer.cost.meter import measure
from gossamer.errors import ModelError
from gossamer.nn.blocks.reparameterised import RepConv
from gossamer.nn.edits.quantize import quantized_layers
from gossamer.nn.layers import MixedConv2d, SamePadConv2d
from gossamer.nn.network import Architecture

__all__ = ["Layer", "LayerSize", "Layers", "find_quantizable"]

Layer = nn.Conv2d | nn.Linear


@dataclass(frozen=True)
class LayerSize:
    """What a layer's weight is and does."""

    weights: int
    out_channels: int
    macs: int
    """For one picture."""

    @property
    def fan_in(self) -> int:
        """Products in one sum."""
        return self.weights // self.out_channels

    @property
    def outputs(self) -> int:
        """Numbers that come out, of one picture."""
        return self.macs // self.fan_in


@dataclass(frozen=True)
class Layers:
    """Every convolution and linear layer; `why_not` names those that cannot be quantized."""

    sizes: dict[str, LayerSize]
    why_not: dict[str, str]
    depthwise: frozenset[str]
    ends: frozenset[str]
    """Layers that take the picture, and the one that gives the scores."""


def find_quantizable(network: nn.Module, shape: Sequence[int]) -> Layers:
    """The layers of a network that takes (1, bands, H, W).

    Raises:
        ModelError: it does not run at that shape, has no such layer, or is quantized already.
    """
    if done := quantized_layers(network):
        name, layer = next(iter(done.items()))
        raise ModelError(
            f"a float network is quantized, {name!r} and {len(done) - 1} others of this one have few bits already "
            f"({layer.bits.weights} {layer.bits.bits}); start from the network before that, or bake this one"
        )
    macs = {layer.name: layer.macs for layer in measure(network, shape).layers}
    found = {n: m for n, m in network.named_modules() if isinstance(m, Layer) and n}
    if not found:
        raise ModelError(
            f"convolutions and linear layers inside a network are quantized, {type(network).__name__} has none; "
            "put a single layer into nn.Sequential"
        )
    sizes = {n: LayerSize(m.weight.numel(), m.weight.shape[0], macs.get(n, 0)) for n, m in found.items()}
    reasons = _reasons(network, found)
    reasons |= {n: "it is not called as a module" for n in found if n not in macs and n not in reasons}
    depthwise = frozenset(
        n for n, m in found.items() if isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1
    )
    first = network.image_layers() if isinstance(network, Architecture) else [next(iter(found))]
    return Layers(sizes, reasons, depthwise, frozenset([*first, list(found)[-1]]))


def _reasons(network: nn.Module, found: dict[str, Layer]) -> dict[str, str]:
    """Name -> why a layer cannot be replaced by one that rounds."""
    places = Counter(id(m) for _, m in network.named_modules(remove_duplicate=False))
    owners = Counter(id(p) for _, p in network.named_parameters(remove_duplicate=False))
    inside = {
        kind: tuple(f"{n}." for n, m in network.named_modules() if isinstance(m, kind))
        for kind in (RepConv, MixedConv2d, nn.TransformerEncoderLayer)
    }
    reasons: dict[str, str] = {}
    for name, layer in found.items():
        if places[id(layer)] > 1 or any(owners[id(p)] > 1 for p in layer.parameters()):
            reasons[name] = "it stands in several places, or shares its weight"
        elif name.startswith((*inside[RepConv], *inside[MixedConv2d])):
            reasons[name] = "it is a branch that `fuse` folds a norm into; fuse the network first"
        elif name.startswith(inside[nn.TransformerEncoderLayer]):
            reasons[name] = "nn.TransformerEncoderLayer reads its weights itself in eval mode"
        elif parametrize.is_parametrized(layer) or layer._forward_pre_hooks or layer._forward_hooks:
            reasons[name] = "its weight is parametrized, or it has hooks"
        elif type(layer) not in (nn.Conv2d, nn.Linear, SamePadConv2d):
            reasons[name] = f"{type(layer).__name__} may compute something of its own"
    return reasons
