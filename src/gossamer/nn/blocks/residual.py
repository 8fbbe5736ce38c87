"""Residual blocks with dense or grouped 3x3 convolutions: ResNet's two, and RegNet's X and Y."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.nn.layers import Act, ConvNormAct, Excite, Norm

__all__ = ["BasicBlock", "Bottleneck", "PaddedShortcut"]


class PaddedShortcut(nn.Module):
    """Option A of ResNet (1512.03385, section 4.2): every second pixel, zeros for the new channels; no parameters.

    (B, in, H, W) -> (B, out, ceil(H / stride), ceil(W / stride)); the zeros are put evenly before and after.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        before = (out_channels - in_channels) // 2
        self.pads = (before, out_channels - in_channels - before)

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *self.pads))


def _shortcut(
    in_channels: int, out_channels: int, stride: int, kind: Literal["projection", "pad"], norm: Norm
) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if kind == "pad":
        return PaddedShortcut(in_channels, out_channels, stride)
    return ConvNormAct(in_channels, out_channels, 1, stride, norm=norm, act=None)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (ResNet, 1512.03385, figure 5 left).

    (B, in, H, W) -> (B, out, H / stride, W / stride). Where the shape changes the shortcut is a 1x1 convolution
    ("projection", option B) or strided with zero channels ("pad", option A).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        shortcut: Literal["projection", "pad"] = "projection",
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        self.first = ConvNormAct(in_channels, out_channels, 3, stride, norm=norm, act=act)
        self.second = ConvNormAct(out_channels, out_channels, 3, norm=norm, act=None)
        self.shortcut = _shortcut(in_channels, out_channels, stride, shortcut, norm)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.shortcut(x) + self.second(self.first(x)))
        return y


class Bottleneck(nn.Module):
    """1x1, 3x3 in groups, [squeeze-excite], 1x1, and a projection shortcut (ResNet, 1512.03385, figure 5 right).

    (B, in, H, W) -> (B, out, H / stride, W / stride). The X block of RegNet (2003.13678, figure 4) has groups and
    hidden == out, its Y block squeeze-excite too. ResNet's paper strides in the first 1x1 (`stride_first`),
    everyone since in the 3x3.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden_channels: int,
        *,
        stride: int = 1,
        groups: int = 1,
        excite: Excite | None = None,
        stride_first: bool = False,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        strides = (stride, 1) if stride_first else (1, stride)
        self.reduce = ConvNormAct(in_channels, hidden_channels, 1, strides[0], norm=norm, act=act)
        self.spatial = ConvNormAct(
            hidden_channels, hidden_channels, 3, strides[1], groups=groups, norm=norm, act=act
        )
        self.excite = nn.Identity() if excite is None else excite(hidden_channels)
        self.expand = ConvNormAct(hidden_channels, out_channels, norm=norm, act=None)
        self.shortcut = _shortcut(in_channels, out_channels, stride, "projection", norm)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        y = self.expand(self.excite(self.spatial(self.reduce(x))))
        result: Tensor = self.act(self.shortcut(x) + y)
        return result
