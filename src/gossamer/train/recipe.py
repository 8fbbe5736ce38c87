"""Every number of a training run in one value."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from gossamer.data.augment import Augmentation, View

__all__ = ["Recipe", "recipe_for"]


@dataclass(frozen=True)
class Recipe:
    """AdamW, linear warm-up, a constant stretch, cosine to zero; moving average of the weights is what is kept."""

    name: str
    learning_rate: float
    body_rate: float
    """Learning rate of pretrained layers as a share of `learning_rate`; the new last layer takes the whole."""
    weight_decay: float = 0.05
    """Not on norms and biases."""
    batch: int = 32
    warmup: float = 0.05
    """Share of the whole run."""
    norm_momentum: float = 0.1
    """Of batch norm's running statistics while training: TensorFlow-born networks keep theirs for hundreds of steps
    (0.01), longer than a short run is."""
    label_smoothing: float = 0.1
    ema_decay: float = 0.998
    clip_norm: float = 5.0
    patience: int = 15
    """Validations without a better accuracy after which the schedule skips to its last fifth."""
    start_resolution: float = 0.67
    """Share of the full resolution at which training begins: early passes are cheap (EfficientNetV2, 2104.00298)."""
    temperature: float = 2.0
    """Of distillation, where there is a teacher."""
    teacher_weight: float = 0.7
    """Share of the loss that follows the teacher (Hinton et al., 1503.02531)."""
    augmentation: Augmentation = field(default_factory=Augmentation)

    def rate(self, progress: float, *, decay_from: float) -> float:
        """Learning rate as a share of the full one at a progress of 0 to 1; cosine to zero after `decay_from`."""
        if progress < self.warmup:
            return (progress + 0.1 * self.warmup) / (1.1 * self.warmup)
        if progress <= decay_from:
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - decay_from) / (1 - decay_from))))

    def resolution(self, progress: float, full: int) -> int:
        """Side in pixels to train at: the start's up to a progress of 0.3, the full side from 0.75 on, 16s between."""
        share = self.start_resolution + (1 - self.start_resolution) * min(
            1.0, max(0.0, (progress - 0.3) / 0.45)
        )
        return full if share >= 1 else min(full, max(32, round(full * share / 16) * 16))

    def to_json(self) -> dict[str, Any]:
        """The recipe as a JSON object."""
        return asdict(self)


def recipe_for(*, pretrained: bool, view: View, pictures: int) -> Recipe:
    """The recipe for a training split of so many pictures, from pretrained weights or from nothing."""
    batch = 32 if pictures < 20_000 else 64
    augmentation = Augmentation(view=view)
    if pretrained:
        return Recipe("transfer", learning_rate=1.5e-3, body_rate=0.5, batch=batch, augmentation=augmentation)
    return Recipe("from-scratch", learning_rate=3e-3, body_rate=1.0, batch=batch, augmentation=augmentation)
