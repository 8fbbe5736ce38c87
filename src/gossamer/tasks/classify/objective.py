"""Training a classifier: cross-entropy of mixed and smoothed classes, rare ones weighed, teachers followed (torch)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gossamer.errors import ModelError
from gossamer.nn.objective import ClassScores
from gossamer.train.distill import correlated, decoupled, soft_scores
from gossamer.train.objective import TrainingObjective
from gossamer.train.recipe import Distillation

__all__ = ["OBJECTIVE", "ClassifyObjective", "balanced_shares", "class_weights"]


class ClassifyObjective(ClassScores, TrainingObjective):
    """Cross-entropy against shares of classes."""

    def encode(self, targets: Tensor, width: int, smoothing: float = 0.0) -> Tensor:
        """One-hot rows; smoothing as Szegedy et al., 1512.00567, section 7."""
        return F.one_hot(targets, width).float() * (1 - smoothing) + smoothing / width

    def losses(self, outputs: Tensor, encoded: Tensor, weights: Tensor | None) -> Tensor:
        return F.cross_entropy(outputs.float(), encoded, weight=weights, reduction="none")

    def loss_sum(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Without weights: validation tells the loss of pictures as they come."""
        return super().loss_sum(outputs.float(), targets)

    def imitation(self, student: Tensor, teacher: Tensor, encoded: Tensor, how: Distillation) -> Tensor:
        total = torch.zeros(len(student), device=student.device)
        if how.logits:
            total = total + how.logits * soft_scores(student, teacher, how.temperature)
        if how.dkd:
            mostly = encoded.argmax(1)
            total = total + how.dkd * decoupled(student, teacher, mostly, how.temperature, how.dkd_beta)
        if how.dist:
            total = total + how.dist * correlated(student, teacher, how.temperature)
        return total

    def together(self, outputs: Sequence[Tensor]) -> Tensor:
        """The log of the mean of the softmaxes.

        The mean of the predictions is what an ensemble predicts (scores of different networks have different scales,
        and their mean would follow the loudest); its log turns it into scores again, whose softmax is that mean.
        """
        logs = torch.stack([each.log_softmax(1) for each in outputs])
        return logs.logsumexp(0) - math.log(len(outputs))

    def weights(self, targets: NDArray[Any], width: int, *, balance: bool) -> Tensor | None:
        return class_weights(torch.from_numpy(targets), width) if balance else None

    def shares(self, targets: NDArray[Any]) -> NDArray[np.float64]:
        return balanced_shares(targets)

    def guess(self, targets: NDArray[Any], width: int) -> float:
        return float(np.log(width))

    def named(self, outputs: Tensor) -> Tensor | None:
        return torch.bincount(outputs.argmax(1), minlength=outputs.shape[1])

    def bearers(self, targets: NDArray[Any], width: int) -> NDArray[np.int64] | None:
        return np.bincount(targets, minlength=width)

    def check(self, targets: NDArray[Any], width: int, what: str) -> None:
        if targets.min() < 0 or targets.max() >= width:
            wrong = targets.min() if targets.min() < 0 else targets.max()
            raise ModelError(
                f"labels are 0 to {width - 1} for {width} classes, the {what} split has {wrong}; check the data"
            )


def class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Weights (K,), float32: the inverse of the classes' shares of `labels` (N,), so that their mean over N is 1.

    Classes that are absent get 0: they have no picture, and so no share of a smoothed target should count either.
    """
    counts = torch.bincount(labels, minlength=num_classes).double()
    there = counts > 0
    return torch.where(there, len(labels) / (there.sum() * counts), 0.0).float()


def balanced_shares(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probabilities (N,) under which every class that is there is drawn equally often."""
    counts = np.bincount(labels)
    shares = 1.0 / counts[labels]
    balanced: NDArray[np.float64] = shares / shares.sum()
    return balanced


OBJECTIVE = ClassifyObjective()
