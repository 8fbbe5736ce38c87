"""Boxes, objectness and classes of every anchor from one layer (YOLOv3, 1804.02767)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from gossamer.tasks.detect.parts.detector import LevelMaps
from gossamer.tasks.detect.parts.heads.head import Head, Layout, split_maps

__all__ = ["CoupledHead"]

_BOX = 4


class CoupledHead(Head):
    """Per level a tower and a 1x1 to P * (4 + 1 + K): boxes (B, P * 4, h, w), objectness (B, P, h, w), scores (B, P * K, h, w).

    `towers` are made for levels, finest first, and give `widths` channels. Layers lie coarsest first, as in darknet.
    """

    def __init__(
        self, towers: Sequence[nn.Module], widths: Sequence[int], num_classes: int, *, priors: int = 3
    ) -> None:
        super().__init__()
        self.num_classes, self.priors = num_classes, priors
        out = priors * (_BOX + 1 + num_classes)
        self.levels = nn.ModuleList(
            nn.Sequential(tower, nn.Conv2d(width, out, 1))
            for tower, width in zip(towers[::-1], widths[::-1], strict=True)
        )
        self.start_classes()
        for level in self.levels:
            bias = level[1].bias.data.view(priors, -1)  # type: ignore[index]
            bias[:, _BOX] = self._first_bias()

    def class_layers(self) -> Mapping[str, Layout]:
        """The last layer of every level."""
        return {f"levels.{i}.1": Layout(self.priors, before=_BOX + 1) for i in range(len(self.levels))}

    def forward(self, levels: list[Tensor]) -> list[LevelMaps]:
        maps = []
        for predict, level in zip(list(self.levels)[::-1], levels, strict=True):
            parts = split_maps(predict(level), self.priors, [_BOX, 1, self.num_classes])
            maps.append(LevelMaps(parts[0], parts[2], parts[1]))
        return maps
