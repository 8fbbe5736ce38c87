"""What the numbers a network gives stand for, as pruning, packing and quantizing need to know it (torch)."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["CLASS_SCORES", "ClassScores", "Objective"]


class Objective(ABC):
    """The meaning of outputs (B, D) of B pictures; it keeps no state. Targets are rows of what a task's `array` gives."""

    @abstractmethod
    def loss_sum(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """The loss against targets (B, ...), summed over pictures; `weights` (D,) of the D numbers."""

    @abstractmethod
    def drawn(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Targets (B, ...) drawn from what the outputs hold likely: for the network's own Fisher information."""

    @abstractmethod
    def divergence(self, before: Tensor, after: Tensor) -> Tensor:
        """How far the outputs moved, summed over pictures, in the unit of the loss; 0 where they are equal."""

    @abstractmethod
    def agreement(self, before: Tensor, after: Tensor) -> float:
        """How far the answers are the same, a share."""


class ClassScores(Objective):
    """Scores (B, K) of K classes by cross-entropy: what outputs are taken for where nobody says what they are."""

    def loss_sum(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        return F.cross_entropy(outputs, targets, weight=weights, reduction="sum")

    def drawn(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        shares = outputs.detach().softmax(1).cpu()
        return torch.multinomial(shares, 1, generator=generator)[:, 0].to(outputs.device)

    def divergence(self, before: Tensor, after: Tensor) -> Tensor:
        """KL of the softmaxes."""
        return F.kl_div(after.log_softmax(1), before.log_softmax(1), log_target=True, reduction="sum")

    def agreement(self, before: Tensor, after: Tensor) -> float:
        return float((after.argmax(1) == before.argmax(1)).float().mean())


CLASS_SCORES = ClassScores()
