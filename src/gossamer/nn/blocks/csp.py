"""Cross-stage-partial layers and spatial pyramid pooling, the blocks of CSPDarknet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gossamer.nn.blocks.separable import DepthwiseSeparable
from gossamer.nn.layers import Act, ConvNormAct, Norm

__all__ = ["CSPLayer", "PyramidPooling"]


class _Bottleneck(nn.Module):
    """1x1, 3x3 (parted with `depthwise`), the input added with `shortcut`: the shape is kept."""

    def __init__(
        self, channels: int, *, kernel: int, shortcut: bool, depthwise: bool, norm: Norm, act: Act
    ) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.reduce = ConvNormAct(channels, channels, norm=norm, act=act)
        self.conv: nn.Module = (
            DepthwiseSeparable(channels, channels, kernel=kernel, norm=norm, act=act)
            if depthwise
            else ConvNormAct(channels, channels, kernel, norm=norm, act=act)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(self.reduce(x))
        return x + y if self.shortcut else y


class CSPLayer(nn.Module):
    """Two 1x1 to half the channels, one followed by bottlenecks, side by side through a 1x1 (CSPNet, 1911.11929).

    (B, in, H, W) -> (B, out, H, W).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        depth: int = 1,
        kernel: int = 3,
        shortcut: bool = True,
        depthwise: bool = False,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.SiLU,
    ) -> None:
        super().__init__()
        hidden = out_channels // 2
        self.enter = ConvNormAct(in_channels, hidden, norm=norm, act=act)
        self.bypass = ConvNormAct(in_channels, hidden, norm=norm, act=act)
        self.blocks = nn.Sequential(
            *(
                _Bottleneck(hidden, kernel=kernel, shortcut=shortcut, depthwise=depthwise, norm=norm, act=act)
                for _ in range(depth)
            )
        )
        self.merge = ConvNormAct(2 * hidden, out_channels, norm=norm, act=act)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.merge(torch.cat([self.blocks(self.enter(x)), self.bypass(x)], 1))
        return y


class PyramidPooling(nn.Module):
    """1x1 to half the channels, maxima over windows of these sides beside it, 1x1 (SPP, 1406.4729; YOLOv4's form).

    (B, in, H, W) -> (B, out, H, W). With `chained` windows follow each other (SPPF): three of 5 are 5, 9 and 13.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernels: Sequence[int] = (5, 9, 13),
        *,
        chained: bool = False,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.SiLU,
    ) -> None:
        super().__init__()
        hidden, self.chained = in_channels // 2, chained
        self.reduce = ConvNormAct(in_channels, hidden, norm=norm, act=act)
        self.pools = nn.ModuleList(nn.MaxPool2d(kernel, 1, kernel // 2) for kernel in kernels)
        self.merge = ConvNormAct(hidden * (len(kernels) + 1), out_channels, norm=norm, act=act)

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.reduce(x)]
        for pool in self.pools:
            maps.append(pool(maps[-1] if self.chained else maps[0]))
        y: Tensor = self.merge(torch.cat(maps, 1))
        return y
