"""Units of the ShuffleNets: grouped or split channels, mixed by a shuffle."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.layers import Act, ConvNormAct, Norm, channel_shuffle

__all__ = ["ShuffleUnitV1", "ShuffleUnitV2"]


class ShuffleUnitV1(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1 (ShuffleNet, 1707.01083, figure 2 b and c).

    (B, in, H, W) -> (B, out, H / stride, W / stride). The bottleneck is out / 4 wide. At stride 1 the input is
    added before the last activation; at stride 2 its 3x3 mean is put in front of the activated branch, which
    makes the out - in channels that are missing. Nothing is activated after the depthwise convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        groups: int,
        stride: int = 1,
        first_groups: int | None = None,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        if stride == 1 and in_channels != out_channels:
            raise ModelError(f"a unit of stride 1 keeps its channels, got {in_channels} to {out_channels}")
        self.stride, self.groups = stride, groups
        hidden = out_channels // 4
        made = out_channels - in_channels if stride > 1 else out_channels
        reduce_groups = groups if first_groups is None else first_groups
        self.reduce = ConvNormAct(in_channels, hidden, groups=reduce_groups, norm=norm, act=act)
        self.depthwise = ConvNormAct(hidden, hidden, 3, stride, groups=hidden, norm=norm, act=None)
        self.expand = ConvNormAct(hidden, made, groups=groups, norm=norm, act=None)
        self.pool = nn.AvgPool2d(3, stride, 1) if stride > 1 else nn.Identity()
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        y = self.reduce(x)
        if self.groups > 1:
            y = channel_shuffle(y, self.groups)
        y = self.expand(self.depthwise(y))
        if self.stride == 1:
            result: Tensor = self.act(x + y)
            return result
        return torch.cat([self.pool(x), self.act(y)], 1)


class ShuffleUnitV2(nn.Module):
    """Channel split, three convolutions on one half, concatenate, shuffle (ShuffleNetV2, 1807.11164, figure 3).

    (B, in, H, W) -> (B, out, H / stride, W / stride). At stride 2 nothing is split: a projection branch of
    `shortcut_channels` (the paper's code keeps `in`, torchvision takes half of `out`) joins the main branch. With `dealt`
    channels are dealt out to the two halves one by one, and nothing is shuffled behind (the paper's code).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        kernel: int = 3,
        shortcut_channels: int | None = None,
        dealt: bool = False,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        if out_channels % 2 or (stride == 1 and in_channels != out_channels):
            raise ModelError(
                f"a unit has an even number of channels and keeps it at stride 1, got {in_channels} to {out_channels}"
            )
        self.stride, self.dealt = stride, dealt
        self.kept_channels = half = out_channels // 2
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
            x = channel_shuffle(x, self.kept_channels) if self.dealt else x
            kept, worked = x.split(self.kept_channels, 1)
        y = torch.cat([kept, self.branch(worked)], 1)
        return y if self.dealt else channel_shuffle(y, 2)
