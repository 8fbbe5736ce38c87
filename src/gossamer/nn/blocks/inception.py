"""Several kernel sizes side by side, each after a cheap 1x1 reduction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gossamer.nn.layers import Act, ConvNormAct, Norm

__all__ = ["Inception"]


class Inception(nn.Module):
    """1x1, reduced 3x3, reduced 5x5 and pooled 1x1 side by side (GoogLeNet, 1409.4842, figure 2b).

    (B, in, H, W) -> (B, c1 + c3 + c5 + pool, H, W).
    """

    def __init__(
        self,
        in_channels: int,
        *,
        c1: int,
        reduce3: int,
        c3: int,
        reduce5: int,
        c5: int,
        pool: int,
        kernel5: int = 5,
        norm: Norm | None = None,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        self.branch1 = ConvNormAct(in_channels, c1, norm=norm, act=act)
        self.branch3 = nn.Sequential(
            ConvNormAct(in_channels, reduce3, norm=norm, act=act),
            ConvNormAct(reduce3, c3, 3, norm=norm, act=act),
        )
        self.branch5 = nn.Sequential(
            ConvNormAct(in_channels, reduce5, norm=norm, act=act),
            ConvNormAct(reduce5, c5, kernel5, norm=norm, act=act),
        )
        self.branch_pool = nn.Sequential(
            nn.MaxPool2d(3, 1, 1), ConvNormAct(in_channels, pool, norm=norm, act=act)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch3(x), self.branch5(x), self.branch_pool(x)], 1)
