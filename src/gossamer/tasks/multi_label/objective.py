"""Training for any number of labels: binary cross-entropy, a mean over labels (torch)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gossamer.errors import ModelError
from gossamer.train.objective import TrainingObjective
from gossamer.train.recipe import Distillation

__all__ = ["OBJECTIVE", "MultiLabelObjective"]


class MultiLabelObjective(TrainingObjective):
    """Binary cross-entropy of each label's score."""

    def encode(self, targets: Tensor, width: int, smoothing: float = 0.0) -> Tensor:
        """The rows themselves; smoothing draws 0 and 1 towards one half."""
        return targets.float() * (1 - smoothing) + smoothing / 2

    def losses(self, outputs: Tensor, encoded: Tensor, weights: Tensor | None) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            outputs.float(), encoded, pos_weight=weights, reduction="none"
        ).mean(1)

    def loss_sum(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        return self.losses(outputs, targets.float(), None).sum()

    def drawn(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        return torch.bernoulli(outputs.detach().sigmoid().cpu(), generator=generator).to(outputs.device)

    def divergence(self, before: Tensor, after: Tensor) -> Tensor:
        """KL of the labels' probabilities, a mean over labels."""
        shares = before.sigmoid()
        own, moved = (
            F.binary_cross_entropy_with_logits(scores, shares, reduction="none").mean(1).sum()
            for scores in (before, after)
        )
        return moved - own

    def agreement(self, before: Tensor, after: Tensor) -> float:
        return float(((before > 0) == (after > 0)).float().mean())

    def imitation(self, student: Tensor, teacher: Tensor, encoded: Tensor, how: Distillation) -> Tensor:
        """Cross-entropy against the teacher's probabilities at a temperature, times its square."""
        if how.dkd or how.dist:
            raise ModelError(
                "dkd and dist compare the shares of exclusive classes, these pictures bear several labels; "
                "set them to 0: --set distillation.dkd=0 --set distillation.dist=0"
            )
        heat = how.temperature
        wanted = (teacher.float() / heat).sigmoid()
        lost = F.binary_cross_entropy_with_logits(student.float() / heat, wanted, reduction="none").mean(1)
        return how.logits * heat**2 * lost

    def together(self, outputs: Sequence[Tensor]) -> Tensor:
        """Scores whose probabilities are the mean of theirs."""
        return torch.stack([each.sigmoid() for each in outputs]).mean(0).logit(eps=1e-6)

    def of_probe(self, fitted: Tensor) -> Tensor:
        """Scores above 0 where the fit is above one half."""
        return fitted - 0.5

    def weights(self, targets: NDArray[Any], width: int, *, balance: bool) -> Tensor | None:
        """How many pictures lack a label for each that bears it, 100 at most."""
        if not balance:
            return None
        bearing = targets.sum(0)
        return torch.from_numpy(np.clip((len(targets) - bearing) / np.maximum(bearing, 1), 0.01, 100)).float()

    def shares(self, targets: NDArray[Any]) -> NDArray[np.float64]:
        """By the rarest label that a picture bears."""
        counts = np.maximum(targets.sum(0), 1)
        rarest = np.where(targets > 0, counts, np.inf).min(1)
        bare = max(1, int((targets.sum(1) == 0).sum()))
        shares = 1 / np.where(np.isfinite(rarest), rarest, bare)
        return np.asarray(shares / shares.sum(), np.float64)

    def guess(self, targets: NDArray[Any], width: int) -> float:
        shares = np.clip(targets.mean(0), 1e-6, 1 - 1e-6)
        return float(-(shares * np.log(shares) + (1 - shares) * np.log1p(-shares)).mean())

    def named(self, outputs: Tensor) -> Tensor | None:
        return (outputs > 0).sum(0)

    def bearers(self, targets: NDArray[Any], width: int) -> NDArray[np.int64] | None:
        return np.asarray(targets.sum(0), np.int64)

    def check(self, targets: NDArray[Any], width: int, what: str) -> None:
        if targets.ndim != 2 or targets.shape[1] != width:
            raise ModelError(
                f"targets are rows of 0 and 1, one a label, {width} of them; the {what} split has shape {targets.shape}"
            )


OBJECTIVE = MultiLabelObjective()
