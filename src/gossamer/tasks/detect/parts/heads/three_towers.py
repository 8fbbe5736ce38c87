"""One depthwise and one linear 1x1 convolution each for objectness, boxes and classes: FastestDet's head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from gossamer.nn.layers import Act, ConvNormAct, Norm
from gossamer.tasks.detect.parts.detector import LevelMaps
from gossamer.tasks.detect.parts.heads.head import Head, Layout

__all__ = ["ThreeTowersHead"]


class _Level(nn.Module):
    def __init__(self, channels: int, num_classes: int, *, kernel: int, norm: Norm, act: Act) -> None:
        super().__init__()

        def tower(out: int) -> nn.Sequential:
            return nn.Sequential(
                ConvNormAct(channels, channels, kernel, groups=channels, norm=norm, act=act),
                ConvNormAct(channels, out, norm=norm, act=None),
            )

        self.stem = ConvNormAct(channels, channels, norm=norm, act=act)
        self.objectness, self.boxes, self.classes = tower(1), tower(4), tower(num_classes)

    def forward(self, x: Tensor) -> LevelMaps:
        x = self.stem(x)
        objectness = self.objectness(x)
        boxes = self.boxes(x)
        return LevelMaps(boxes, self.classes(x), objectness)


class ThreeTowersHead(Head):
    """Levels [(B, C_i, h_i, w_i)] -> objectness (B, 1, h, w), boxes (B, 4, h, w), scores (B, K, h, w), one choice of K.

    The last convolutions have a norm behind them, also that of the classes.
    """

    softmax = True

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        *,
        kernel: int = 5,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        self.num_classes, self.norm = num_classes, norm
        self.levels = nn.ModuleList(
            _Level(channels, num_classes, kernel=kernel, norm=norm, act=act) for channels in in_channels
        )

    def class_layers(self) -> Mapping[str, Layout]:
        """One convolution a level; its norm goes with it."""
        return {f"levels.{index}.classes.1.0": Layout() for index in range(len(self.levels))}

    def replace_classes(self, num_classes: int) -> None:
        """Give it so many class logits and a norm for them: in place."""
        super().replace_classes(num_classes)
        for level in self.levels:
            assert isinstance(level, _Level)
            last = level.classes[1]
            if isinstance(last, nn.Sequential) and len(last) > 1:
                last[1] = self.norm(num_classes).to(next(last.parameters()).device)

    def forward(self, levels: list[Tensor]) -> list[LevelMaps]:
        return [predict(level) for predict, level in zip(self.levels, levels, strict=True)]
