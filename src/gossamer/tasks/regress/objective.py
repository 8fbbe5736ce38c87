"""Training for numbers: errors in units of the training targets' deviation, squared while small (torch)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.edits.rescale import Rescale
from gossamer.nn.network import last_layer
from gossamer.train.objective import TrainingObjective
from gossamer.train.recipe import Distillation

__all__ = ["OBJECTIVE", "RegressObjective"]

_HALF = (nn.ReLU, nn.ReLU6, nn.Hardsigmoid, nn.Sigmoid, nn.Softplus)
"""Activations that give no number below 0."""


class RegressObjective(TrainingObjective):
    """Huber's loss (1964) with its corner at one deviation; `weights` are 1 over the deviations."""

    def encode(self, targets: Tensor, width: int, smoothing: float = 0.0) -> Tensor:
        """The numbers themselves: there are no classes to spread anything over."""
        return targets.float()

    def losses(self, outputs: Tensor, encoded: Tensor, weights: Tensor | None) -> Tensor:
        scale = 1.0 if weights is None else weights
        lost = F.smooth_l1_loss(outputs.float() * scale, encoded * scale, reduction="none")
        return lost.mean(1)

    def loss_sum(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        return self.losses(outputs, targets.float(), weights).sum()

    def drawn(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """With an error of the outputs' own deviation."""
        answers = outputs.detach().cpu()
        spread = answers.std(0, correction=0)
        return (answers + spread * torch.randn(answers.shape, generator=generator)).to(outputs.device)

    def divergence(self, before: Tensor, after: Tensor) -> Tensor:
        """Half the square of the move, in deviations of the outputs before."""
        spread = before.std(0, correction=0).clamp_min(1e-12)
        return (((after - before) / spread).square().mean(1) / 2).sum()

    def agreement(self, before: Tensor, after: Tensor) -> float:
        """The share of the outputs' variance that stays, 0 at least."""
        spread = (before - before.mean(0)).square().sum().clamp_min(1e-24)
        return max(0.0, 1 - float((after - before).square().sum() / spread))

    def imitation(self, student: Tensor, teacher: Tensor, encoded: Tensor, how: Distillation) -> Tensor:
        """Huber's loss against the teacher's numbers, in deviations of those of the batch."""
        if how.dkd or how.dist:
            raise ModelError(
                "dkd and dist compare shares of classes, a number has none; "
                "set them to 0: --set distillation.dkd=0 --set distillation.dist=0"
            )
        wanted = teacher.float()
        scale = 1 / wanted.std(0, correction=0).clamp_min(1e-6)
        return how.logits * self.losses(student, wanted, scale)

    def together(self, outputs: Sequence[Tensor]) -> Tensor:
        """The mean."""
        return torch.stack(list(outputs)).mean(0)

    def weights(self, targets: NDArray[Any], width: int, *, balance: bool) -> Tensor | None:
        deviation = targets.astype(np.float64).std(0)
        return torch.from_numpy(1 / np.where(deviation > 0, deviation, 1.0)).float()

    def guess(self, targets: NDArray[Any], width: int) -> float:
        values = torch.from_numpy(targets)
        mean = values.mean(0).expand_as(values)
        return float(self.losses(mean, values, self.weights(targets, width, balance=False)).mean())

    def check(self, targets: NDArray[Any], width: int, what: str) -> None:
        if targets.ndim != 2 or targets.shape[1] != width or not np.isfinite(targets).all():
            raise ModelError(
                f"targets are rows of {width} finite numbers, the {what} split has shape {targets.shape} or a NaN; "
                "check the data"
            )

    def check_network(self, network: nn.Module) -> None:
        """Numbers lie on both sides of their mean, which an activation behind the last layer does not let through."""
        name, _ = last_layer(network)
        modules = list(network.named_modules())
        place = next(i for i, (each, _) in enumerate(modules) if each == name)
        behind = [each for _, each in modules[place + 1 :] if isinstance(each, _HALF)]
        if behind and any(isinstance(each, Rescale) for _, each in modules):
            raise ModelError(
                f"a number may lie below the mean, and this network ends in {type(behind[0]).__name__}, which gives none "
                "below 0; cut it, NAME[:k], which puts a plain head on it, or take another"
            )


OBJECTIVE = RegressObjective()
