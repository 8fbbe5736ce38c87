"""Half the maps by convolution, the other half made cheaply of the first."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.nn.layers import Act, ConvNormAct, Excite, Norm

__all__ = ["GhostBottleneck", "GhostModule", "LongRangeGate"]


class GhostModule(nn.Module):
    """1x1 convolution to half the channels, a depthwise 3x3 of those for the rest (GhostNet, 1911.11907, figure 1b).

    (B, in, H, W) -> (B, out, H, W).
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, norm: Norm = nn.BatchNorm2d, act: Act | None = nn.ReLU
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        intrinsic = -(-out_channels // 2)
        self.primary = ConvNormAct(in_channels, intrinsic, norm=norm, act=act)
        self.cheap = ConvNormAct(intrinsic, intrinsic, 3, groups=intrinsic, norm=norm, act=act)

    def forward(self, x: Tensor) -> Tensor:
        first = self.primary(x)
        return torch.cat([first, self.cheap(first)], 1)[:, : self.out_channels]


class LongRangeGate(nn.Module):
    """Decoupled fully connected attention (GhostNetV2, 2211.12905, section 3.2): a gate (B, out, H, W) in 0 to 1.

    1x1 convolution of the halved map, then depthwise 1x5 and 5x1, sigmoid, nearest upsampling.
    """

    def __init__(self, in_channels: int, out_channels: int, *, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2)
        self.mix = ConvNormAct(in_channels, out_channels, norm=norm, act=None)
        self.along = nn.Sequential(
            nn.Conv2d(out_channels, out_channels, (1, 5), padding=(0, 2), groups=out_channels, bias=False),
            norm(out_channels),
        )
        self.across = nn.Sequential(
            nn.Conv2d(out_channels, out_channels, (5, 1), padding=(2, 0), groups=out_channels, bias=False),
            norm(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        gate = self.across(self.along(self.mix(self.pool(x)))).sigmoid()
        return F.interpolate(gate, size=(int(x.shape[2]), int(x.shape[3])))


class GhostBottleneck(nn.Module):
    """Ghost module, [depthwise at stride 2], [squeeze-excite], linear ghost module, shortcut (GhostNet, figure 3).

    (B, in, H, W) -> (B, out, H / stride, W / stride). Where the shape changes the shortcut is depthwise k x k and
    1x1. With `long_range` the first ghost module is gated by `LongRangeGate` (GhostNetV2, figure 4).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden_channels: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        excite: Excite | None = None,
        long_range: bool = False,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        self.expand = GhostModule(in_channels, hidden_channels, norm=norm, act=act)
        self.gate = LongRangeGate(in_channels, hidden_channels, norm=norm) if long_range else None
        self.depthwise: nn.Module = nn.Identity()
        if stride > 1:
            self.depthwise = ConvNormAct(
                hidden_channels,
                hidden_channels,
                kernel,
                stride,
                groups=hidden_channels,
                norm=norm,
                act=None,
            )
        self.excite = nn.Identity() if excite is None else excite(hidden_channels)
        self.project = GhostModule(hidden_channels, out_channels, norm=norm, act=None)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                ConvNormAct(
                    in_channels, in_channels, kernel, stride, groups=in_channels, norm=norm, act=None
                ),
                ConvNormAct(in_channels, out_channels, norm=norm, act=None),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.expand(x)
        if self.gate is not None:
            y = y * self.gate(x)
        y = self.project(self.excite(self.depthwise(y)))
        result: Tensor = self.shortcut(x) + y
        return result
