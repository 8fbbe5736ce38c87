"""PicoDet's CSP-PAN: equal channels, merges of cross-stage-partial layers with large depthwise kernels (2111.00902)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from gossamer.nn.blocks import CSPLayer
from gossamer.nn.layers import Act, Norm
from gossamer.tasks.detect.parts.necks.reduced_pan import ReducedPAN

__all__ = ["PicoPAN"]


class PicoPAN(ReducedPAN):
    """Three maps of reductions 8, 16, 32 -> levels of `channels` each, of 64 too with `extra`."""

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        channels: int = 96,
        kernel: int = 5,
        extra: bool = True,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.Hardswish,
    ) -> None:
        def merge() -> nn.Module:
            return CSPLayer(
                2 * channels, channels, kernel=kernel, shortcut=False, depthwise=True, norm=norm, act=act
            )

        super().__init__(
            in_channels, merge, channels=channels, kernel=kernel, extra=extra, norm=norm, act=act
        )
