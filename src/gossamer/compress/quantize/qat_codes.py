"""What comes of a quantized network: a plain one with the very same weights, and the codes for a file."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.edits.quantize import quantized_layers
from gossamer.nn.layer_bits import LayerBits
from gossamer.nn.layers import SamePadConv2d
from gossamer.nn.quantized import QuantizedConv2d, QuantizedLayer, code_values

__all__ = ["bake", "codes", "decode"]


def codes(layer: QuantizedLayer) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(whole numbers of the weight's shape, scale (out,) or ()): within `layer.bits.bits` bits, binary -1 and 1.

    `decode` gives the weights again. Codes of pot are 0 and +-k for the scale times 2^(k - 15), at 5 bits;
    those of apot count `nn.quantizers.apot_levels`.
    """
    numbers, scale = layer.weight_codes()
    return numbers.cpu().numpy().astype(np.int8), scale.cpu().numpy().astype(np.float32)


def decode(numbers: NDArray[np.int8], scale: NDArray[np.float32], bits: LayerBits) -> Tensor:
    """The weights, float32, that codes stand for: exactly those that the layer works with in eval mode."""
    values, sizes = torch.from_numpy(numbers).float(), torch.from_numpy(np.asarray(scale))
    return code_values(bits, values, sizes)


@torch.no_grad()
def bake(network: nn.Module) -> nn.Module:
    """A float network of the architecture before quantizing, in eval mode: rounded weights, unrounded activations.

    Raises:
        ModelError: nothing is quantized, or inputs are binary: without their signs the network would be another.
    """
    baked = copy.deepcopy(network).eval()
    layers = quantized_layers(baked)
    if not layers:
        raise ModelError(
            f"{type(network).__name__} has no quantized layer to bake; apply a plan of bits first"
        )
    binary = [name for name, layer in layers.items() if layer.bits.activation_bits == 1]
    if binary:
        raise ModelError(
            f"inputs are binary ({binary[0]!r} is the first of {len(binary)}), which a float network has no place for; "
            "take `codes` of its layers, or export the network as it is"
        )
    for name, layer in layers.items():
        parent, _, leaf = name.rpartition(".")
        setattr(baked.get_submodule(parent), leaf, _plain(layer))
    spec: Any = getattr(network, "spec", None)
    if spec is not None:
        edits = tuple(edit for edit in spec.edits if edit.get("edit") != "quantize")
        baked.spec = replace(spec, edits=edits)
    return baked


def _plain(layer: QuantizedLayer) -> nn.Module:
    weight = nn.Parameter(layer.rounded_weight().detach(), requires_grad=layer.weight.requires_grad)
    if isinstance(layer, QuantizedConv2d):
        made: nn.Conv2d | nn.Linear = (SamePadConv2d if layer.pads_same else nn.Conv2d)(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            layer.groups,
            bias=layer.bias is not None,
            padding_mode=layer.padding_mode,
            device="meta",
        )
    else:
        out, into = weight.shape
        made = nn.Linear(into, out, bias=layer.bias is not None, device="meta")
    made.weight, made.bias = weight, layer.bias  # type: ignore[assignment]
    return made.eval()
