"""ESNet, the backbone of PicoDet: PP-PicoDet, A Better Real-Time Object Detector on Mobile Devices.

Yu et al., 2021, arXiv 2111.00902, section 3.1 and figure 3; ratios of hidden channels as in PaddleDetection's
configuration (Apache-2.0): the paper's search found them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gossamer.nn.blocks import DepthwiseSeparable
from gossamer.nn.layers import (
    Act,
    ConvNormAct,
    SqueezeExcite,
    channel_shuffle,
    init_convolutional,
    make_divisible,
)
from gossamer.nn.network import Network, StageList

__all__ = ["RATIOS_S", "esnet"]

CHANNELS = (128, 256, 512)
REPEATS = (3, 7, 3)
RATIOS_S = (0.875, 0.5, 0.5, 0.5, 0.625, 0.5, 0.625, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
"""Hidden over output channels of each block of PicoDet-S."""


def _excite(channels: int) -> nn.Module:
    return SqueezeExcite(channels, channels // 4)


class _Unit(nn.Module):
    """Stride 1: half the channels through 1x1, a ghost of depthwise 3x3 beside it, squeeze-excite, 1x1; shuffle."""

    def __init__(self, channels: int, hidden: int, *, act: Act) -> None:
        super().__init__()
        self.kept_channels, inner = channels // 2, hidden // 2
        self.reduce = ConvNormAct(self.kept_channels, inner, act=act)
        self.ghost = ConvNormAct(inner, inner, 3, groups=inner, act=None)
        self.excite = _excite(2 * inner)
        self.project = ConvNormAct(2 * inner, channels - self.kept_channels, act=act)

    def forward(self, x: Tensor) -> Tensor:
        kept, worked = x.split([self.kept_channels, x.shape[1] - self.kept_channels], 1)
        y = self.reduce(worked)
        y = self.project(self.excite(torch.cat([y, self.ghost(y)], 1)))
        return channel_shuffle(torch.cat([kept, y], 1), 2)


class _Down(nn.Module):
    """Stride 2: depthwise and 1x1 beside 1x1, depthwise, squeeze-excite, 1x1; both mixed by a separable convolution."""

    def __init__(self, in_channels: int, out_channels: int, hidden: int, *, act: Act) -> None:
        super().__init__()
        half, inner = out_channels // 2, hidden // 2
        self.shortcut = nn.Sequential(
            ConvNormAct(in_channels, in_channels, 3, 2, groups=in_channels, act=None),
            ConvNormAct(in_channels, half, act=act),
        )
        self.branch = nn.Sequential(
            ConvNormAct(in_channels, inner, act=act),
            ConvNormAct(inner, inner, 3, 2, groups=inner, act=None),
            _excite(inner),
            ConvNormAct(inner, half, act=act),
        )
        self.mix = DepthwiseSeparable(out_channels, out_channels, act=nn.Hardswish)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mix(torch.cat([self.shortcut(x), self.branch(x)], 1))
        return y


def esnet(*, in_channels: int = 3, width: float = 1.0, ratios: Sequence[float] = RATIOS_S) -> Network:
    """Stem and stages without a classifier: maps of reductions 8, 16, 32."""
    act = nn.Hardswish
    stem = nn.Sequential(ConvNormAct(in_channels, 24, 3, 2, act=act), nn.MaxPool2d(3, 2, 1))
    stages, left = StageList(24, reduction=4), list(ratios)
    for channels, repeats in zip(CHANNELS, REPEATS, strict=True):
        out = make_divisible(channels * width, 16)
        hidden = [make_divisible(int(out * left.pop(0))) for _ in range(repeats)]
        stages.add(_Down(stages.channels, out, hidden[0], act=act), channels=out, stride=2)
        for inner in hidden[1:]:
            stages.add(_Unit(out, inner, act=act))
        stages.end_stage()
    network = Network(stem, stages.stages(), nn.Identity())
    init_convolutional(network)
    return network
