"""What trains the levels while a one-to-one head learns to do without suppression."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from gossamer.tasks.detect.parts.detector import LevelMaps
from gossamer.tasks.detect.parts.heads.head import Head, Layout

__all__ = ["OneToMany"]


class OneToMany(Head):
    """The one-to-many head of consistent dual assignment (YOLOv10, 2405.14458, section 3.1): the same as the head that
    ships, with weights of its own, for training alone. (pyramid, levels) -> `LevelMaps` as the head gives."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.num_classes, self.softmax = head.num_classes, head.softmax
        self.head = head

    def class_layers(self) -> Mapping[str, Layout]:
        """Those of the head."""
        return {f"head.{name}": layout for name, layout in self.head.class_layers().items()}

    def replace_classes(self, num_classes: int) -> None:
        """Give the head so many class logits: in place."""
        self.head.replace_classes(num_classes)
        self.num_classes = num_classes

    def forward(self, pyramid: list[Tensor], levels: list[Tensor]) -> list[LevelMaps]:  # type: ignore[override]
        maps: list[LevelMaps] = self.head(levels)
        return maps
