"""Classes and distributions of distances from one layer (GFL, 2006.04388; NanoDet), and the head that guides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from gossamer.nn.blocks import DepthwiseSeparable
from gossamer.nn.layers import Act, ConvNormAct, Norm
from gossamer.tasks.detect.parts.detector import LevelMaps
from gossamer.tasks.detect.parts.heads.head import Head, Layout

__all__ = ["GFLHead", "Guidance"]


class GFLHead(Head):
    """Per level a tower of depthwise separable convolutions for classes and boxes alike, then one 1x1.

    Levels [(B, C_i, h_i, w_i)] -> scores (B, K, h, w) and boxes (B, 4 * (most + 1), h, w).
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        *,
        most: int = 7,
        depth: int = 2,
        kernel: int = 3,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        self.num_classes, self.numbers = num_classes, 4 * (most + 1)
        self.levels = nn.ModuleList(
            nn.Sequential(
                *(
                    DepthwiseSeparable(channels, channels, kernel=kernel, norm=norm, act=act)
                    for _ in range(depth)
                ),
                nn.Conv2d(channels, num_classes + self.numbers, 1),
            )
            for channels in in_channels
        )
        _start(self)

    def class_layers(self) -> Mapping[str, Layout]:
        """The last layer of every level: classes, then numbers."""
        return {
            f"levels.{index}.{len(level) - 1}": Layout(after=self.numbers)  # type: ignore[arg-type]
            for index, level in enumerate(self.levels)
        }

    def forward(self, levels: list[Tensor]) -> list[LevelMaps]:
        maps = []
        for predict, level in zip(self.levels, levels, strict=True):
            scores, boxes = predict(level).split([self.num_classes, self.numbers], 1)
            maps.append(LevelMaps(boxes, scores))
        return maps


class Guidance(Head):
    """NanoDet-Plus' assign guidance module: a neck of its own, and four 3x3 convolutions shared by all levels on its levels
    and the neck's together. It is trained beside the head, whose targets its answers choose, and does not ship.

    (pyramid, levels) -> `LevelMaps` as the head gives. With `detached` it does not move what it looks at.
    """

    def __init__(
        self,
        neck: nn.Module,
        in_channels: int,
        num_classes: int,
        *,
        levels: int,
        most: int = 7,
        depth: int = 4,
        groups: int = 32,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        self.num_classes, self.detached = num_classes, False
        self.neck = neck
        norm = partial(nn.GroupNorm, groups)
        self.tower = nn.Sequential(
            *(ConvNormAct(in_channels, in_channels, 3, norm=norm, act=act) for _ in range(depth))
        )
        self.classes = nn.Conv2d(in_channels, num_classes, 3, padding=1)
        self.boxes = nn.Conv2d(in_channels, 4 * (most + 1), 3, padding=1)
        self.scales = nn.Parameter(torch.ones(levels))
        _start(self)

    def class_layers(self) -> Mapping[str, Layout]:
        """One layer for all levels."""
        return {"classes": Layout()}

    def forward(self, pyramid: list[Tensor], levels: list[Tensor]) -> list[LevelMaps]:  # type: ignore[override]
        if self.detached:
            pyramid, levels = [each.detach() for each in pyramid], [each.detach() for each in levels]
        maps = []
        for index, (own, theirs) in enumerate(zip(self.neck(pyramid), levels, strict=True)):
            x = self.tower(torch.cat([theirs, own], 1))
            maps.append(LevelMaps(self.boxes(x) * self.scales[index], self.classes(x)))
        return maps


def _start(head: Head) -> None:
    """Convolutions as N(0, 0.01), classes unlikely: in place."""
    for module in head.modules():
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.normal_(module.weight, 0.0, 0.01)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    head.start_classes()
