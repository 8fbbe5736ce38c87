"""Anchors' boxes and classes with one for none, each from one parted 3x3 (SSDLite, 1801.04381, section 6.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from gossamer.nn.layers import Act, ConvNormAct, Norm
from gossamer.tasks.detect.parts.detector import LevelMaps
from gossamer.tasks.detect.parts.heads.head import Head, Layout

__all__ = ["SSDLiteHead"]


class SSDLiteHead(Head):
    """Levels [(B, C_i, h_i, w_i)] -> boxes (B, P * 4, h, w) and scores (B, P * C, h, w), the last of the C for no class."""

    softmax = True

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        *,
        priors: int = 6,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU6,
    ) -> None:
        super().__init__()
        self.num_classes, self.priors = num_classes, priors

        def layer(channels: int, out: int) -> nn.Module:
            conv = ConvNormAct(channels, channels, 3, groups=channels, norm=norm, act=act)
            return nn.Sequential(conv, nn.Conv2d(channels, out, 1))

        self.classes = nn.ModuleList(layer(channels, priors * num_classes) for channels in in_channels)
        self.boxes = nn.ModuleList(layer(channels, priors * 4) for channels in in_channels)
        self.start_classes()

    def class_layers(self) -> Mapping[str, Layout]:
        """One layer a level."""
        return {f"classes.{index}.1": Layout(self.priors) for index in range(len(self.classes))}

    def forward(self, levels: list[Tensor]) -> list[LevelMaps]:
        return [
            LevelMaps(boxes(level), classes(level))
            for boxes, classes, level in zip(self.boxes, self.classes, levels, strict=True)
        ]
