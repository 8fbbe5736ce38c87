"""A real-valued way around convolutions of binary inputs: signs lose what an addition keeps.

Bi-Real net (Liu et al., 1808.00278, section 3.1) adds the input of every binary convolution to what its norm gives;
ReActNet (Liu et al., 2003.03488, figure 5) pools it by means where the convolution strides, and repeats its channels
where there are to be more. Theirs are trained from nothing and add it as it is. Here a trained float network is the
start, whose blocks have shortcuts of their own: with two of them the sum would double from block to block, so this one
is multiplied by a learned number for each channel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.nn.layer_bits import LayerBits
from gossamer.nn.layers import SamePadConv2d
from gossamer.nn.quantized import QuantizedConv2d

__all__ = ["ShortcutConv2d", "norm_behind", "why_no_shortcut"]

_GAIN = 0.2
"""Of the shortcut at the start; more of it drowns what a trained float network computes there."""


class ShortcutConv2d(QuantizedConv2d):
    """A convolution of few bits with the norm behind it, and a shortcut around both.

    (B, in, H, W) -> (B, out, ceil(H / stride), ceil(W / stride)), out a multiple of in. `gain` (out,) is learned.
    """

    def __init__(self, layer: nn.Conv2d, bits: LayerBits, norm: nn.Module | None) -> None:
        """Takes over the layer's own weight and bias, and the norm."""
        super().__init__(layer, bits)
        self.norm = nn.Identity() if norm is None else norm
        self.gain = nn.Parameter(layer.weight.detach().new_full((layer.out_channels,), _GAIN))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(super().forward(x))
        return y + self.gain[:, None, None] * self.around(x)

    def around(self, x: Tensor) -> Tensor:
        """What comes in, in the shape of what goes out."""
        stride = self.stride[0]
        if stride > 1:
            x = F.avg_pool2d(x, stride, ceil_mode=True)
        times = self.out_channels // self.in_channels
        return torch.cat([x] * times, 1) if times > 1 else x


def norm_behind(row: nn.Module, leaf: str) -> str:
    """The name within a row of the batch norm that directly follows a part; empty where there is none."""
    if not isinstance(row, nn.Sequential):
        return ""
    names = list(row._modules)
    at = names.index(leaf) + 1
    return names[at] if at < len(names) and isinstance(row[at], nn.BatchNorm2d) else ""


def why_no_shortcut(network: nn.Module, name: str) -> str:
    """Why no shortcut can go around a layer and its norm; empty where one can."""
    parent, _, _ = name.rpartition(".")
    layer, row = network.get_submodule(name), network.get_submodule(parent)
    if not isinstance(layer, nn.Conv2d):
        return "it is no convolution"
    if not isinstance(row, nn.Sequential):
        return "it does not stand in one row with its norm"
    if layer.out_channels % layer.in_channels:
        return f"{layer.in_channels} channels cannot be repeated to {layer.out_channels}"
    if layer.stride[0] != layer.stride[1] or not _keeps_grid(layer):
        return "its output does not lie on every pixel of the input, or every stride-th"
    return ""


def _keeps_grid(layer: nn.Conv2d) -> bool:
    """Whether sides of H become ceil(H / stride)."""
    if isinstance(layer, SamePadConv2d) or layer.padding == "same":
        return True
    return all(
        kernel % 2 == 1 and pad == dilation * (kernel - 1) // 2
        for kernel, pad, dilation in zip(layer.kernel_size, layer.padding, layer.dilation, strict=True)
    )
