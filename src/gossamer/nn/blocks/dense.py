"""Blocks whose every layer sees all maps before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gossamer.nn.layers import Act, ConvNormAct, Norm

__all__ = ["DenseLayer", "DenseTransition"]


class DenseLayer(nn.Module):
    """Norm, activation, 1x1 to 4 x growth, norm, activation, 3x3 to growth, put behind the input.

    (B, in, H, W) -> (B, in + growth, H, W). DenseNet (1608.06993), section 3, the bottleneck form (B).
    """

    def __init__(
        self, in_channels: int, growth: int, *, norm: Norm = nn.BatchNorm2d, act: Act = nn.ReLU
    ) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            norm(in_channels),
            act(),
            ConvNormAct(in_channels, 4 * growth, norm=norm, act=act),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.branch(x)], 1)


class DenseTransition(nn.Sequential):
    """Norm, activation, 1x1, 2x2 mean: (B, in, H, W) -> (B, out, H / 2, W / 2). DenseNet (1608.06993), section 3."""

    def __init__(
        self, in_channels: int, out_channels: int, *, norm: Norm = nn.BatchNorm2d, act: Act = nn.ReLU
    ) -> None:
        super().__init__(
            norm(in_channels),
            act(),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.AvgPool2d(2),
        )
