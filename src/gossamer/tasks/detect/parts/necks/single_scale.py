"""One level of three maps, and depthwise convolutions of growing reach on it: FastestDet's neck."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gossamer.nn.layers import Act, ConvNormAct, Norm
from gossamer.tasks.detect.parts.necks.neck import Neck, fitted, upsampled

__all__ = ["SingleScale"]


class SingleScale(Neck):
    """Three maps of reductions 8, 16, 32 -> one level (B, channels, h, w) of reduction 16.

    The finest averaged to half, the coarsest at twice its size, side by side through a 1x1; chains of one, two and three
    depthwise convolutions side by side through another, added to it.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        channels: int = 96,
        kernel: int = 5,
        chains: int = 3,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        self.strides, self.channels = (16,), (channels,)

        def chain(length: int) -> nn.Module:
            return nn.Sequential(
                *(
                    ConvNormAct(channels, channels, kernel, groups=channels, norm=norm, act=act)
                    for _ in range(length)
                )
            )

        self.pool = nn.AvgPool2d(3, 2, 1)
        self.reduce = ConvNormAct(sum(in_channels), channels, norm=norm, act=act)
        self.chains = nn.ModuleList(chain(length + 1) for length in range(chains))
        self.merge = ConvNormAct(chains * channels, channels, norm=norm, act=None)
        self.act = act()

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = pyramid
        fine = fitted(self.pool(fine), middle)
        x = self.reduce(torch.cat([fine, middle, upsampled(coarse, middle)], 1))
        y = self.merge(torch.cat([chain(x) for chain in self.chains], 1))
        return [self.act(x + y)]
