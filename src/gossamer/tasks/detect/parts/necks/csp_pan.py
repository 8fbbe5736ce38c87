"""CSP-PAN: YOLOX' neck, a path down and up whose merges are cross-stage-partial layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gossamer.nn.blocks import CSPLayer, DepthwiseSeparable
from gossamer.nn.layers import Act, ConvNormAct, Norm
from gossamer.tasks.detect.parts.necks.neck import Neck, fitted, upsampled

__all__ = ["CSPPAN"]


class CSPPAN(Neck):
    """Three maps of reductions 8, 16, 32 -> three levels of `channels`.

    Down: 1x1 to the channels of the next level, nearest x2, side by side with the next map, CSP layer; up: a 3x3 of
    stride 2, side by side with what went down, CSP layer. `depthwise` parts every 3x3.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        channels: Sequence[int],
        depth: int = 1,
        depthwise: bool = False,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.SiLU,
    ) -> None:
        super().__init__()
        self.strides, self.channels = (8, 16, 32), tuple(channels)
        fine, middle, coarse = self.channels

        def merge(into: int, out: int) -> nn.Module:
            return CSPLayer(into, out, depth=depth, shortcut=False, depthwise=depthwise, norm=norm, act=act)

        def down(width: int) -> nn.Module:
            if depthwise:
                return DepthwiseSeparable(width, width, stride=2, norm=norm, act=act)
            return ConvNormAct(width, width, 3, 2, norm=norm, act=act)

        self.lateral_coarse = ConvNormAct(in_channels[2], middle, norm=norm, act=act)
        self.merge_middle = merge(middle + in_channels[1], middle)
        self.lateral_middle = ConvNormAct(middle, fine, norm=norm, act=act)
        self.merge_fine = merge(fine + in_channels[0], fine)
        self.down_fine = down(fine)
        self.give_middle = merge(2 * fine, middle)
        self.down_middle = down(middle)
        self.give_coarse = merge(2 * middle, coarse)

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        c3, c4, c5 = pyramid
        coarse = self.lateral_coarse(c5)
        middle = self.lateral_middle(self.merge_middle(torch.cat([upsampled(coarse, c4), c4], 1)))
        fine = self.merge_fine(torch.cat([upsampled(middle, c3), c3], 1))
        bottom = self.give_middle(torch.cat([fitted(self.down_fine(fine), middle), middle], 1))
        last = self.give_coarse(torch.cat([fitted(self.down_middle(bottom), coarse), coarse], 1))
        return [fine, bottom, last]
