"""Training for boxes: the losses that a detector names, boxes moved as pictures are (torch).

In training mode a detector gives `Predictions`, raw, and those are what it is trained by. What is validated, pruned and
quantized gives boxes and scores (B, A, 4 + K): their loss is that of scores against the overlap, as quality focal loss
(2006.04388) has it, and GIoU of the boxes that overlap a true one most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gossamer.data.draws import Draws
from gossamer.errors import GossamerError, ModelError
from gossamer.tasks.detect.motion import mosaic, moved
from gossamer.tasks.detect.parts.criterion import losses_of
from gossamer.tasks.detect.parts.detector import Detector, Predictions
from gossamer.tasks.detect.parts.overlaps import giou, iou, pairwise_iou
from gossamer.tasks.detect.task import TASK
from gossamer.train.objective import TrainingObjective
from gossamer.train.recipe import Distillation, Recipe

__all__ = ["OBJECTIVE", "DetectObjective"]

_TOP = 10
_PLACES = 2.0
"""Weight of places beside classes."""
_TINY = 1e-6
_RATES: dict[str, dict[str, Any]] = {
    "small-data": {"learning_rate": 3e-3, "hold": 8, "epochs": 40.0},
    "from-scratch": {"learning_rate": 2e-3, "epochs": 150.0},
}
"""Recipe -> what is other for boxes: a picture holds many of them, so that batches are small; neck and head are new, and where
they are not the rate is that of the whole (docs/results.md)."""


class DetectObjective(TrainingObjective):
    """Losses of boxes; outputs are (B, A, 4 + K), or `Predictions` of a detector in training mode."""

    probes = False

    def width(self, shape: tuple[int, ...]) -> int | None:
        return TASK.width(shape)

    def encode(self, targets: Tensor, width: int, smoothing: float = 0.0) -> Tensor:
        """The rows (B, M, 7) themselves."""
        return targets.float()

    def losses(self, outputs: Any, encoded: Tensor, weights: Tensor | None) -> Tensor:
        if isinstance(outputs, Predictions):
            return losses_of(outputs, encoded)
        return torch.stack([_loss(row, target) for row, target in zip(outputs.float(), encoded, strict=True)])

    def loss_sum(self, outputs: Any, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        return self.losses(outputs, targets.float(), weights).sum()

    def composed(
        self, pictures: Tensor, targets: Tensor, share: float, fill: Tensor, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        return mosaic(pictures, targets, share, fill, draws)

    def moved(
        self, targets: Tensor, places: Tensor, before: tuple[int, int], after: tuple[int, int]
    ) -> Tensor:
        return moved(targets, places, before, after)

    def fitting(self, recipe: Recipe, *, whole: bool = False) -> Recipe:
        """Nothing that mixes or blanks pictures; moves that leave boxes tight, with grey beyond the border."""
        augmentation = replace(
            recipe.augmentation,
            erase=0.0,
            degrees=min(recipe.augmentation.degrees, 3.0),
            scale=(0.7, 1.4),
            shift=0.1,
            beyond="grey",
            randaugment=0,
        )
        return replace(
            recipe,
            mixup=0.0,
            cutmix=0.0,
            label_smoothing=0.0,
            clip_norm=20.0,
            augmentation=augmentation,
            **({"learning_rate": 4e-3, "body_rate": 0.25} if whole else _RATES.get(recipe.name, {})),
            batch=max(1, recipe.batch // (2 if whole else 4)),
        )

    def check_recipe(self, recipe: Recipe) -> None:
        """Rows of boxes cannot be mixed or softened, and no picture is of one class.

        Raises:
            GossamerError: the recipe asks for it.
        """
        numbers = {name: getattr(recipe, name) for name in ("mixup", "cutmix", "label_smoothing")}
        settings = [f"{name}={value:g}" for name, value in numbers.items() if value]
        if recipe.balance != "none":
            settings.append(f"balance={recipe.balance}")
        if settings:
            raise GossamerError(
                f"pictures with boxes are neither mixed, softened nor balanced, got {', '.join(settings)}; leave "
                f"{'it' if len(settings) == 1 else 'them'} out (augmentation.mosaic makes pictures of several)"
            )

    def drawn(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Boxes as often as their scores say, the best hundred of a picture."""
        scores, labels = outputs.detach()[..., 4:].max(2)
        best = scores.topk(min(100, scores.shape[1]), 1).indices
        boxes = outputs.detach()[..., :4].gather(1, best[..., None].expand(-1, -1, 4))
        chance = torch.rand(best.shape, generator=generator).to(scores.device)
        there = chance < scores.gather(1, best)
        label = torch.where(there, labels.gather(1, best), -1).float()
        rest = torch.zeros_like(label)
        return torch.cat([label[..., None], boxes, rest[..., None], rest[..., None]], 2)

    def divergence(self, before: Tensor, after: Tensor) -> Tensor:
        """KL of every score as a coin's, and the overlap that boxes lost, weighed by the score before."""
        said, now = (each[..., 4:].float().clamp(_TINY, 1 - _TINY) for each in (before, after))
        coins = said * (said / now).log() + (1 - said) * ((1 - said) / (1 - now)).log()
        kept = iou(before[..., :4].reshape(-1, 4), after[..., :4].reshape(-1, 4)).view(said.shape[:2])
        return coins.sum() + (said.amax(2) * _lost(kept, before)).sum()

    def agreement(self, before: Tensor, after: Tensor) -> float:
        """The share of the scores' sum that stays in place."""
        said, now = before[..., 4:], after[..., 4:]
        kept = iou(before[..., :4].reshape(-1, 4), after[..., :4].reshape(-1, 4)).view(said.shape[:2])
        stays = (1 - _lost(kept, before))[..., None] * torch.minimum(said, now)
        return float(stays.sum() / torch.maximum(said, now).sum().clamp_min(_TINY))

    def imitation(self, student: Any, teacher: Tensor, encoded: Tensor, how: Distillation) -> Tensor:
        """Scores against the teacher's, boxes against the teacher's, weighed by the teacher's best score of a prior.

        Raises:
            ModelError: a loss of classes alone is asked for, or the teacher has other priors.
        """
        if how.dkd or how.dist:
            raise ModelError(
                "dkd and dist compare one choice a picture, a detector makes many; "
                "set them to 0: --set distillation.dkd=0 --set distillation.dist=0"
            )
        if isinstance(student, Predictions):
            student = torch.cat(student.decoded(student.rows), 2)
        if student.shape != teacher.shape:
            raise ModelError(
                f"a detector follows one with the same priors, got {tuple(student.shape[1:])} against the teacher's "
                f"{tuple(teacher.shape[1:])}; take a teacher of the same strides at the same size"
            )
        wanted, said = teacher[..., 4:].float(), student[..., 4:].float()
        classes: Tensor = (wanted - said).abs().square() * _cross(said, wanted)
        weight = wanted.amax(2)
        apart = 1 - giou(student[..., :4].reshape(-1, 4), teacher[..., :4].reshape(-1, 4)).view(weight.shape)
        total = classes.sum((1, 2)) + _PLACES * (weight.square() * apart).sum(1)
        followed: Tensor = total * how.logits / weight.sum(1).mean().clamp_min(1.0)
        return followed

    def together(self, outputs: Sequence[Tensor]) -> Tensor:
        """The mean of networks with the same priors.

        Raises:
            ModelError: they have others.
        """
        if len({tuple(each.shape) for each in outputs}) > 1:
            raise ModelError("detectors speak as one where they have the same priors; take one teacher")
        return torch.stack(list(outputs)).mean(0)

    def guess(self, targets: NDArray[Any], width: int) -> float:
        """Every box missed: its class unknown, its place nowhere near."""
        return float(np.log(2.0) + _PLACES)

    def check(self, targets: NDArray[Any], width: int, what: str) -> None:
        if targets.ndim != 3 or targets.shape[2] != 7 or targets[..., 0].max() >= width:
            raise ModelError(
                f"targets are boxes (N, M, 7) of {width} classes, the {what} split has {targets.shape} and the class "
                f"{targets[..., 0].max():.0f}; check the data"
            )
        if not ((targets[..., 0] >= 0) & (targets[..., 6] == 0)).any():
            raise ModelError(
                f"a detector learns from boxes, no picture of the {what} split has any that is no crowd; check the annotations, or how pictures "
                "are cut to the input: --resize letterbox keeps the whole"
            )

    def check_network(self, network: nn.Module) -> None:
        """Only a detector gives boxes.

        Raises:
            ModelError: it is none.
        """
        if not isinstance(network, Detector):
            raise ModelError(
                f"boxes are given by detectors, {type(network).__name__} is none; take one of `gossamer zoo --task detect`, or "
                "put a network into one: detector:NAME+ghost_pan+gfl"
            )


def _loss(answers: Tensor, target: Tensor) -> Tensor:
    """Of one picture's decoded answers (A, 4 + K) against its rows (M, 7)."""
    said = answers[:, 4:]
    target = target[(target[:, 0] >= 0) & (target[:, 6] == 0)]
    wanted = torch.zeros_like(said)
    places = said.new_zeros(())
    count = max(1, len(target))
    if len(target):
        overlaps = pairwise_iou(answers[:, :4].detach(), target[:, 1:5])
        best = overlaps.topk(min(_TOP, len(overlaps)), 0)
        many = best.values.sum(0).int().clamp_min(1)
        for box, number in enumerate(many.tolist()):
            rows = best.indices[:number, box]
            wanted[rows, int(target[box, 0])] = torch.maximum(
                wanted[rows, int(target[box, 0])], best.values[:number, box]
            )
            near = giou(answers[rows, :4], target[box, 1:5].expand(len(rows), 4))
            places = places + (1 - near).mean()
    classes = (wanted - said).abs().square() * _cross(said, wanted)
    return (classes.sum() + _PLACES * places) / count


def _cross(said: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy of shares, finite at 0 and 1, its gradient alive there."""
    inner = said * (1 - 2 * _TINY) + _TINY
    return F.binary_cross_entropy(inner, wanted, reduction="none")


def _lost(kept: Tensor, before: Tensor) -> Tensor:
    """What boxes lost of their overlap; nothing where there was no box."""
    sides = before[..., 2:4] - before[..., :2]
    return torch.where((sides > _TINY).all(-1), 1 - kept, torch.zeros_like(kept))


OBJECTIVE = DetectObjective()
