"""The blocks that lightweight networks repeat. Each takes its norm and activation; none knows a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gossamer.nn.layers import Act, ConvNormAct, Norm, SqueezeExcite, channel_shuffle

__all__ = ["Fire", "InvertedResidual", "ShuffleUnitV2"]


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise k x k, [squeeze-excite], project 1x1 linear (MobileNetV2, 1801.04381, table 1).

    (B, in, H, W) -> (B, out, H / stride, W / stride). The expansion is left out where hidden == in; the input is
    added where stride is 1 and in == out. With `squeeze_channels` the gate sits after the depthwise activation
    (MobileNetV3, 1905.02244, figure 4).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden_channels: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        squeeze_channels: int | None = None,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU6,
        same: bool = False,
    ) -> None:
        super().__init__()
        self.residual = stride == 1 and in_channels == out_channels
        self.expand: nn.Module = nn.Identity()
        if hidden_channels != in_channels:
            self.expand = ConvNormAct(in_channels, hidden_channels, norm=norm, act=act)
        self.depthwise = ConvNormAct(
            hidden_channels,
            hidden_channels,
            kernel,
            stride,
            groups=hidden_channels,
            norm=norm,
            act=act,
            same=same,
        )
        self.excite: nn.Module = nn.Identity()
        if squeeze_channels is not None:
            self.excite = SqueezeExcite(hidden_channels, squeeze_channels)
        self.project = ConvNormAct(hidden_channels, out_channels, norm=norm, act=None)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.excite(self.depthwise(self.expand(x))))
        return x + y if self.residual else y


class Fire(nn.Module):
    """Squeeze 1x1, then expand 1x1 and 3x3 side by side, concatenated (SqueezeNet, 1602.07360, section 3.2).

    (B, in, H, W) -> (B, expand1 + expand3, H, W). With `bypass` the input is added to the output (section 6).
    """

    def __init__(
        self,
        in_channels: int,
        squeeze_channels: int,
        expand1_channels: int,
        expand3_channels: int,
        *,
        bypass: bool = False,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        self.bypass = bypass
        self.squeeze = ConvNormAct(in_channels, squeeze_channels, norm=None, act=act)
        self.expand1 = ConvNormAct(squeeze_channels, expand1_channels, norm=None, act=act)
        self.expand3 = ConvNormAct(squeeze_channels, expand3_channels, 3, norm=None, act=act)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(x)
        y = torch.cat([self.expand1(squeezed), self.expand3(squeezed)], 1)
        return x + y if self.bypass else y


class ShuffleUnitV2(nn.Module):
    """Channel split, three convolutions on one half, concatenate, shuffle (ShuffleNetV2, 1807.11164, figure 3).

    (B, in, H, W) -> (B, out, H / stride, W / stride). At stride 2 nothing is split: a projection branch of
    `shortcut_channels` (the paper's code keeps `in`, torchvision takes half of `out`) joins the main branch.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        kernel: int = 3,
        shortcut_channels: int | None = None,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        self.stride = stride
        half = out_channels // 2
        kept = half if stride == 1 or shortcut_channels is None else shortcut_channels
        branch_in = in_channels if stride > 1 else in_channels - half
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(
                ConvNormAct(
                    in_channels, in_channels, kernel, stride, groups=in_channels, norm=norm, act=None
                ),
                ConvNormAct(in_channels, kept, norm=norm, act=act),
            )
        self.branch = nn.Sequential(
            ConvNormAct(branch_in, half, norm=norm, act=act),
            ConvNormAct(half, half, kernel, stride, groups=half, norm=norm, act=None),
            ConvNormAct(half, out_channels - kept, norm=norm, act=act),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            kept, worked = self.shortcut(x), x
        else:
            kept, worked = x.chunk(2, 1)
        return channel_shuffle(torch.cat([kept, self.branch(worked)], 1), 2)
