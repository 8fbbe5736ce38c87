"""From logits to what each prior's box is worth as each class: (B, A, K) of 0 to 1; each a `Scoring` of `detector`."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gossamer.errors import ModelError
from gossamer.tasks.detect.parts.detector import Rows

__all__ = ["ObjectnessScoring", "SigmoidScoring", "SoftmaxScoring", "WeightedScoring"]


@dataclass(frozen=True)
class SigmoidScoring:
    """Every class by itself: sigmoid(scores)."""

    background: bool = False

    def __call__(self, rows: Rows) -> Tensor:
        return rows.scores.sigmoid()


@dataclass(frozen=True)
class ObjectnessScoring:
    """Whether there is something, times every class by itself: sigmoid(objectness) * sigmoid(scores)."""

    background: bool = False

    def __call__(self, rows: Rows) -> Tensor:
        return _objectness(rows).sigmoid() * rows.scores.sigmoid()


@dataclass(frozen=True)
class SoftmaxScoring:
    """One of the classes or none, which is the last number: softmax(scores) without it."""

    background: bool = True

    def __call__(self, rows: Rows) -> Tensor:
        return rows.scores.softmax(2)[:, :, :-1]


@dataclass(frozen=True)
class WeightedScoring:
    """FastestDet's: sigmoid(objectness)^share * softmax(scores)^(1 - share), one class where there is something."""

    share: float = 0.6
    background: bool = False

    def __call__(self, rows: Rows) -> Tensor:
        worth = _objectness(rows).sigmoid() ** self.share
        return worth * ((1 - self.share) * rows.scores.log_softmax(2)).exp()  # runtimes have slow powers


def _objectness(rows: Rows) -> Tensor:
    if rows.objectness is None:
        raise ModelError("this scoring takes rows with objectness, the head gives none; use SigmoidScoring")
    return rows.objectness
