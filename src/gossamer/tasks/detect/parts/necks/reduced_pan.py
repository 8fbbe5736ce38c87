"""A path down and up over maps brought to equal channels, whatever the merges are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gossamer.nn.blocks import DepthwiseSeparable
from gossamer.nn.layers import Act, ConvNormAct, Norm
from gossamer.tasks.detect.parts.necks.neck import Neck, fitted, upsampled

__all__ = ["ReducedPAN"]


class ReducedPAN(Neck):
    """Three maps of reductions 8, 16, 32 -> levels of `channels` each, of 64 too with `extra`.

    1x1 to `channels`; down, x2 by `mode` and the next map side by side through a module of `merge`; up, a depthwise
    separable convolution of stride 2 and the next level side by side through another. The coarsest level is the sum of
    two such convolutions, of the coarsest map and of the level before.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        merge: Callable[[], nn.Module],
        *,
        channels: int,
        kernel: int = 5,
        extra: bool = True,
        mode: str = "nearest",
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        count, self.mode = len(in_channels), mode
        self.strides = tuple(8 << index for index in range(count + extra))
        self.channels = (channels,) * len(self.strides)

        def down() -> nn.Module:
            return DepthwiseSeparable(channels, channels, kernel=kernel, stride=2, norm=norm, act=act)

        self.reduce = nn.ModuleList(ConvNormAct(each, channels, norm=norm, act=act) for each in in_channels)
        self.top_down = nn.ModuleList(merge() for _ in range(count - 1))
        self.bottom_up = nn.ModuleList(
            nn.ModuleDict({"down": down(), "merge": merge()}) for _ in range(count - 1)
        )
        self.extra = nn.ModuleList(down() for _ in range(2 * extra))

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        maps = [reduce(each) for reduce, each in zip(self.reduce, pyramid, strict=True)]
        levels = [maps[-1]]
        for merge, finer in zip(self.top_down, maps[-2::-1], strict=True):
            up = upsampled(levels[0], finer, mode=self.mode)
            levels.insert(0, merge(torch.cat([up, finer], 1)))
        outputs = [levels[0]]
        for step, coarser in zip(self.bottom_up, levels[1:], strict=True):
            assert isinstance(step, nn.ModuleDict)
            finer = fitted(step["down"](outputs[-1]), coarser)
            outputs.append(step["merge"](torch.cat([finer, coarser], 1)))
        if len(self.extra):
            outputs.append(self.extra[0](maps[-1]) + self.extra[1](outputs[-1]))
        return outputs
