"""Layers of few bits in place of others: the structural edit of quantization-aware training.

Convolutions and linear layers become `nn.quantized` ones, each as its entry says. Behind a convolution of binary
inputs the ReLU of the same row becomes RPReLU (ReActNet, 2003.03488, equation 5), and with `shortcut` the convolution
takes in its norm, so that what comes in can be added behind it (`nn.shortcut`). Steps start from the weights;
`compress.quantize.qat_apply` sets them from pictures.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.edits.edit import Edit
from gossamer.nn.layer_bits import LayerBits
from gossamer.nn.quantized import QuantizedConv2d, QuantizedLayer, QuantizedLinear, QuantizedScores
from gossamer.nn.shortcut import ShortcutConv2d, norm_behind, why_no_shortcut

__all__ = ["EDIT", "RPReLU", "quantize_layers", "quantized_layers", "read_bits", "written_bits"]


class RPReLU(nn.Module):
    """PReLU that may be moved along both axes, by channel (ReActNet, 2003.03488, equation 5); starts as ReLU."""

    def __init__(self, channels: int, *, like: Tensor) -> None:
        super().__init__()
        self.shift, self.slope, self.offset = (nn.Parameter(like.new_zeros(channels)) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) keeps its shape."""
        return F.prelu(x - self.shift[:, None, None], self.slope) + self.offset[:, None, None]


def quantized_layers(network: nn.Module) -> dict[str, QuantizedLayer]:
    """The quantized layers of a network by name."""
    return {name: m for name, m in network.named_modules() if isinstance(m, QuantizedLayer)}


def quantize_layers(network: nn.Module, layers: Mapping[str, LayerBits]) -> nn.Module:
    """A copy with these layers of few bits.

    Raises:
        ModelError: a layer is not there, is quantized already, is no convolution and no linear layer, or cannot have
            the shortcut that it is to have.
    """
    changed, end = copy.deepcopy(network), _end(network)
    for name, bits in layers.items():
        try:
            old = changed.get_submodule(name)
        except AttributeError as error:
            raise ModelError(
                f"{name!r} is to be quantized, which {type(network).__name__} does not have; apply a plan to the network "
                "that it was made for"
            ) from error
        if isinstance(old, QuantizedLayer):
            raise ModelError(
                f"{name!r} is quantized already, to {old.bits.weights} of {old.bits.bits} bits; quantize the network before that"
            )
        if not name or not isinstance(old, nn.Conv2d | nn.Linear):
            raise ModelError(
                f"convolutions and linear layers are quantized, {name!r} is a {type(old).__name__}; plan anew"
            )
        if bits.shortcut:
            _check_shortcut(network, name, last=name == end)
        _replace(changed, name, bits, last=name == end)
    return changed


def _check_shortcut(network: nn.Module, name: str, *, last: bool) -> None:
    if why := "it gives the scores" if last else why_no_shortcut(network, name):
        raise ModelError(f"{name!r} is to have a shortcut around it: {why}; plan anew")


def _replace(changed: nn.Module, name: str, bits: LayerBits, *, last: bool) -> None:
    """Put the layer of few bits in place of the float one, what is behind it made to fit: in place."""
    parent, _, leaf = name.rpartition(".")
    old: Any = changed.get_submodule(name)
    row = changed.get_submodule(parent)
    if bits.activation_bits == 1 and isinstance(row, nn.Sequential) and isinstance(old, nn.Conv2d):
        _soften_behind(row, leaf, old)
    if not bits.shortcut:
        setattr(row, leaf, _made(old, bits, last=last))
        return
    norm = norm_behind(row, leaf)
    setattr(row, leaf, ShortcutConv2d(old, bits, row._modules[norm] if norm else None))
    if norm:
        setattr(row, norm, nn.Identity())


def _end(network: nn.Module) -> str:
    """The last convolution, linear layer or norm."""
    kinds = (nn.Conv2d, nn.Linear, nn.modules.batchnorm._BatchNorm)
    return next((n for n, m in reversed(list(network.named_modules())) if isinstance(m, kinds)), "")


def _made(layer: nn.Conv2d | nn.Linear, bits: LayerBits, *, last: bool) -> QuantizedLayer:
    if isinstance(layer, nn.Linear):
        return QuantizedLinear(layer, bits)
    return (QuantizedScores if last else QuantizedConv2d)(layer, bits)


def _soften_behind(row: nn.Sequential, leaf: str, layer: nn.Conv2d) -> None:
    """RPReLU in place of the ReLU that follows a layer, a norm between them or not: in place."""
    names = list(row._modules)
    at = names.index(norm_behind(row, leaf) or leaf) + 1
    if at < len(names) and type(row[at]) is nn.ReLU:
        setattr(row, names[at], RPReLU(layer.out_channels, like=layer.weight.detach()))


def written_bits(layers: Mapping[str, LayerBits]) -> dict[str, dict[str, Any]]:
    """As JSON."""
    return {name: asdict(bits) for name, bits in layers.items()}


def read_bits(document: Mapping[str, Any]) -> dict[str, LayerBits]:
    """The layers of a quantize edit.

    Raises:
        ModelError: a key is missing or of the wrong kind, or bits that a kind does not have.
    """
    try:
        return {
            str(name): LayerBits(
                entry["weights"],
                int(entry["bits"]),
                bool(entry["per_channel"]),
                None if entry["activation_bits"] is None else int(entry["activation_bits"]),
                bool(entry.get("shortcut", False)),
            )
            for name, entry in document["layers"].items()
        }
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"a quantize edit tells layers with weights, bits, per_channel and activation_bits, got {document!r:.80}; "
            "write it with BitPlan.to_json"
        ) from error


EDIT = Edit(read_bits, quantize_layers)
