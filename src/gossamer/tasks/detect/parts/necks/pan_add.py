"""PAN without convolutions: NanoDet's first neck."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.tasks.detect.parts.necks.neck import Neck, upsampled

__all__ = ["AddPAN"]


class AddPAN(Neck):
    """Three maps of reductions 8, 16, 32 -> three levels of `channels`: 1x1, then bilinear sums down and up."""

    def __init__(self, in_channels: Sequence[int], *, channels: int = 96) -> None:
        super().__init__()
        self.strides, self.channels = (8, 16, 32), (channels,) * 3
        self.reduce = nn.ModuleList(nn.Conv2d(each, channels, 1) for each in in_channels)

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        levels = [reduce(each) for reduce, each in zip(self.reduce, pyramid, strict=True)]
        for index in range(len(levels) - 1, 0, -1):
            finer = levels[index - 1]
            levels[index - 1] = finer + upsampled(levels[index], finer, mode="bilinear")
        for index in range(1, len(levels)):
            side = (int(levels[index].shape[2]), int(levels[index].shape[3]))
            shrunk = F.interpolate(levels[index - 1], size=side, mode="bilinear", align_corners=False)
            levels[index] = levels[index] + shrunk
        return levels
