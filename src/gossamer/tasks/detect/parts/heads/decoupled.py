"""Towers of their own for classes and boxes on every level (YOLOX, 2107.08430, figure 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from gossamer.nn.blocks import DepthwiseSeparable
from gossamer.nn.layers import Act, ConvNormAct, Norm
from gossamer.tasks.detect.parts.detector import LevelMaps
from gossamer.tasks.detect.parts.heads.head import Head, Layout

__all__ = ["DecoupledHead"]


class _Level(nn.Module):
    """Stem, class tower, class layer, box tower, box layer, objectness: (B, C, h, w) -> `LevelMaps`."""

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        num_classes: int,
        *,
        depth: int,
        kernel: int,
        depthwise: bool,
        norm: Norm,
        act: Act,
    ) -> None:
        super().__init__()

        def tower() -> nn.Sequential:
            kinds: list[nn.Module] = [
                DepthwiseSeparable(hidden, hidden, kernel=kernel, norm=norm, act=act)
                if depthwise
                else ConvNormAct(hidden, hidden, kernel, norm=norm, act=act)
                for _ in range(depth)
            ]
            return nn.Sequential(*kinds)

        self.stem = ConvNormAct(in_channels, hidden, norm=norm, act=act)
        self.class_tower = tower()
        self.classes = nn.Conv2d(hidden, num_classes, 1)
        self.box_tower = tower()
        self.boxes = nn.Conv2d(hidden, 4, 1)
        self.objectness = nn.Conv2d(hidden, 1, 1)

    def forward(self, x: Tensor) -> LevelMaps:
        x = self.stem(x)
        scores = self.classes(self.class_tower(x))
        x = self.box_tower(x)
        return LevelMaps(self.boxes(x), scores, self.objectness(x))


class DecoupledHead(Head):
    """Per level a 1x1 to `hidden` channels, then `depth` convolutions for classes and as many for boxes and objectness.

    Levels [(B, C_i, h_i, w_i)] -> scores (B, K, h, w), boxes (B, 4, h, w), objectness (B, 1, h, w).
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        *,
        hidden: int,
        depth: int = 2,
        kernel: int = 3,
        depthwise: bool = False,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.SiLU,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.levels = nn.ModuleList(
            _Level(
                channels,
                hidden,
                num_classes,
                depth=depth,
                kernel=kernel,
                depthwise=depthwise,
                norm=norm,
                act=act,
            )
            for channels in in_channels
        )
        self.start_classes()
        for level in self.levels:
            nn.init.constant_(level.objectness.bias, self._first_bias())  # type: ignore[arg-type, union-attr]

    def class_layers(self) -> Mapping[str, Layout]:
        """One layer a level."""
        return {f"levels.{index}.classes": Layout() for index in range(len(self.levels))}

    def forward(self, levels: list[Tensor]) -> list[LevelMaps]:
        return [predict(level) for predict, level in zip(self.levels, levels, strict=True)]
