"""Convolutions shared by all levels, norms of each level's own (EfficientDet, 1911.09070, section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from gossamer.nn.layers import Act, Norm
from gossamer.tasks.detect.parts.detector import LevelMaps
from gossamer.tasks.detect.parts.heads.head import Head, Layout

__all__ = ["RetinaHead"]


class _Parted(nn.Module):
    """Depthwise 3x3, 1x1: (B, in, H, W) -> (B, out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


class _Tower(nn.Module):
    """`depth` parted 3x3 with a norm of the level and an activation each, then the one that predicts."""

    def __init__(
        self, channels: int, out_channels: int, *, levels: int, depth: int, norm: Norm, act: Act
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_Parted(channels, channels) for _ in range(depth))
        self.norms = nn.ModuleList(nn.ModuleList(norm(channels) for _ in range(depth)) for _ in range(levels))
        self.act = act()
        self.predict = _Parted(channels, out_channels)

    def forward(self, x: Tensor, level: int) -> Tensor:
        norms: Any = self.norms[level]
        for conv, norm in zip(self.convs, norms, strict=True):
            x = self.act(norm(conv(x)))
        y: Tensor = self.predict(x)
        return y


class RetinaHead(Head):
    """Levels [(B, channels, h_i, w_i)] -> scores (B, P * K, h, w) and boxes (B, P * 4, h, w) by the same kernels."""

    def __init__(
        self,
        channels: int,
        num_classes: int,
        *,
        levels: int,
        priors: int = 9,
        depth: int = 3,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.SiLU,
    ) -> None:
        super().__init__()
        self.num_classes, self.priors = num_classes, priors
        self.classes = _Tower(channels, priors * num_classes, levels=levels, depth=depth, norm=norm, act=act)
        self.boxes = _Tower(channels, priors * 4, levels=levels, depth=depth, norm=norm, act=act)
        self.start_classes()

    def class_layers(self) -> Mapping[str, Layout]:
        """One layer for all levels."""
        return {"classes.predict.pointwise": Layout(self.priors)}

    def forward(self, levels: list[Tensor]) -> list[LevelMaps]:
        return [
            LevelMaps(self.boxes(level, index), self.classes(level, index))
            for index, level in enumerate(levels)
        ]
