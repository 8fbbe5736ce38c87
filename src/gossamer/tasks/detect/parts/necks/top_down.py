"""Two levels, the finer with the coarser one beside it: the neck of YOLOv3-tiny and YOLO-Fastest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gossamer.nn.layers import Act, ConvNormAct, Norm
from gossamer.tasks.detect.parts.necks.neck import Neck, upsampled

__all__ = ["TopDown"]


class TopDown(Neck):
    """The two coarsest maps, of reductions 16 and 32 -> two levels.

    Coarse: maxima over windows of `pools` beside the map, 1x1 to `channels`. Fine: that, through a 1x1 to `lateral`
    channels where it is given, nearest x2, side by side with the finer map, and through a 1x1 to `fine` channels where
    that is given.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        channels: int,
        lateral: int | None = None,
        fine: int | None = None,
        pools: Sequence[int] = (),
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        middle, coarse = in_channels[-2:]
        width = (lateral or channels) + middle
        self.strides, self.channels = (16, 32), (fine or width, channels)
        self.pools = nn.ModuleList(nn.MaxPool2d(kernel, 1, kernel // 2) for kernel in pools)
        self.reduce = ConvNormAct(coarse * (1 + len(pools)), channels, norm=norm, act=act)
        self.lateral: nn.Module = nn.Identity()
        if lateral is not None:
            self.lateral = ConvNormAct(channels, lateral, norm=norm, act=act)
        self.merge: nn.Module = nn.Identity()
        if fine is not None:
            self.merge = ConvNormAct(width, fine, norm=norm, act=act)

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        middle, x = pyramid[-2:]
        coarse = self.reduce(torch.cat([*(pool(x) for pool in self.pools), x], 1))
        up = upsampled(self.lateral(coarse), middle)
        return [self.merge(torch.cat([up, middle], 1)), coarse]
