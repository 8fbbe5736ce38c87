"""Ghost-PAN: NanoDet-Plus' neck, whose merges are ghost bottlenecks (1911.11907)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from gossamer.nn.blocks import GhostBottleneck
from gossamer.nn.layers import Act, Norm
from gossamer.tasks.detect.parts.necks.reduced_pan import ReducedPAN

__all__ = ["GhostPAN"]


class GhostPAN(ReducedPAN):
    """Three maps of reductions 8, 16, 32 -> levels of `channels` each, of 64 too with `extra`; bilinear on the way down."""

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        channels: int = 96,
        kernel: int = 5,
        extra: bool = True,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU,
    ) -> None:
        def merge() -> nn.Module:
            return GhostBottleneck(2 * channels, channels, channels, kernel=kernel, norm=norm, act=act)

        super().__init__(
            in_channels,
            merge,
            channels=channels,
            kernel=kernel,
            extra=extra,
            mode="bilinear",
            norm=norm,
            act=act,
        )
