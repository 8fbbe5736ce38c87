"""The pyramid goes on: SSD's extra layers (1512.02325, section 2.1), parted as in SSDLite (1801.04381, section 6.2)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gossamer.nn.layers import Act, ConvNormAct, Norm
from gossamer.tasks.detect.parts.necks.neck import Neck

__all__ = ["ExtraLayers"]


class ExtraLayers(Neck):
    """Two maps of reductions 16 and 32 -> these and one of half the size for each of `extra`: channels in_channels + extra.

    Each extra layer is a 1x1 to half its channels, depthwise 3x3 of stride 2, 1x1.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        extra: Sequence[int] = (512, 256, 256, 128),
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU6,
    ) -> None:
        super().__init__()
        self.channels = (*in_channels[-2:], *extra)
        self.strides = tuple(16 << index for index in range(len(self.channels)))
        self.layers = nn.ModuleList(
            nn.Sequential(
                ConvNormAct(before, out // 2, norm=norm, act=act),
                ConvNormAct(out // 2, out // 2, 3, 2, groups=out // 2, norm=norm, act=act),
                ConvNormAct(out // 2, out, norm=norm, act=act),
            )
            for before, out in zip(self.channels[1:-1], extra, strict=True)
        )

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        levels = list(pyramid[-2:])
        for layer in self.layers:
            levels.append(layer(levels[-1]))
        return levels
