"""The loss of a detector (torch): assigner and losses as the row of the table names them, over a batch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gossamer.errors import ModelError
from gossamer.tasks.detect.parts.assigners import ASSIGNERS, Assignment, Scene
from gossamer.tasks.detect.parts.detector import Predictions, Rows
from gossamer.tasks.detect.parts.losses import CLASS_LOSSES, distribution, hard_negatives
from gossamer.tasks.detect.parts.overlaps import IOUS, iou

__all__ = ["Criterion", "Learned", "losses_of"]


@dataclass(frozen=True)
class Criterion:
    """What a detector is trained by; its fields are the keys of a row of the table.

    Raises:
        ModelError: a part that the tables do not hold.
    """

    assigner: str = "tal"
    assigner_of: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the assigner."""
    box: str = "giou"
    """iou2, giou, ciou, siou of boxes; smooth_l1, huber of encoded numbers."""
    box_weight: float = 2.0
    box_scale: float = 1.0
    """Where smooth_l1 and huber turn linear."""
    classes: str = "qfl"
    """bce, focal, qfl, vfl of logits a class; softmax, nll of a choice among all."""
    class_weight: float = 1.0
    class_of: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the loss of classes."""
    soft: bool = True
    """Whether the class that is wanted is wanted by its quality, and not wholly."""
    everywhere: bool = True
    """Whether classes are learned at all priors, and not at those of boxes alone."""
    objectness: str = ""
    """bce of all priors, smooth_l1 against qualities; none where the head has none."""
    objectness_weight: float = 1.0
    dfl: float = 0.0
    """Weight of the loss of distributions, where a box is four of them."""
    l1: float = 0.0
    """Weight of the absolute error of encoded numbers."""
    negatives: float = 0.0
    """Of a choice among all classes and none: so many times the positive priors count of the others, the worst; 0: all."""
    auxiliary: Mapping[str, Any] | None = None
    """What the auxiliary branch is trained by; without it as the shipped one."""
    guided: bool = False
    """Whether the auxiliary branch's boxes and scores say what both learn."""

    def __post_init__(self) -> None:
        _check("assigner", self.assigner, ASSIGNERS)
        _check("box", self.box, (*IOUS, "iou2", "smooth_l1", "huber"))
        _check("classes", self.classes, (*CLASS_LOSSES, "softmax", "nll"))
        _check("objectness", self.objectness, ("", "bce", "smooth_l1"))

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Criterion:
        """The criterion of a row: its keys are the fields, and the arguments of the assigner and of the loss of classes.

        Raises:
            ModelError: a key that is none of these, or a part that the tables do not hold.
        """
        values = {_WORDS.get(name, name): value for name, value in row.items()}
        assigner, losses = values.get("assigner", cls.assigner), values.get("classes", cls.classes)
        _check("assigner", assigner, ASSIGNERS)
        own = [field.name for field in fields(cls)]
        of_assigner = _arguments(ASSIGNERS[assigner])
        of_classes = _arguments(CLASS_LOSSES[losses]) if losses in CLASS_LOSSES else []
        for name in values:
            _check("key", name, [*own, *of_assigner, *of_classes])
        return cls(
            **{name: value for name, value in values.items() if name in own},
            assigner_of={name: values[name] for name in of_assigner if name in values},
            class_of={name: values[name] for name in of_classes if name in values},
        )


_WORDS = {"class": "classes"}
"""Keys of a row that are no names in Python."""


def _arguments(function: Callable[..., Any]) -> list[str]:
    """What may be given to it by name alone."""
    signature = inspect.signature(function)
    return [each.name for each in signature.parameters.values() if each.kind is each.KEYWORD_ONLY]


def _check(what: str, name: str, known: Any) -> None:
    if name not in known:
        raise ModelError(f"{what} of a criterion is one of {', '.join(filter(None, known))}, got {name!r}")


class Learned(NamedTuple):
    """What the priors of a batch learn, rows in the order of (picture, prior)."""

    truth: Tensor
    """(B, A) places among the picture's boxes; -1 none, -2 nothing is learned."""
    quality: Tensor
    """(B, A)."""
    boxes: Tensor
    """(P, 4) xyxy of the positive priors."""
    labels: Tensor
    """(P,)."""

    @property
    def positive(self) -> Tensor:
        """(B, A)."""
        return self.truth >= 0


def losses_of(predictions: Predictions, targets: Tensor) -> Tensor:
    """Losses (B,) of a batch against targets (B, M, 7) as the task's `array` makes them.

    They are divided by what is positive in the whole batch, so that a crowded picture counts for more: their mean is the
    batch's loss.
    """
    if predictions.first is not None:
        first, second = predictions.first, replace(predictions, first=None)
        anything = torch.cat([targets[:, :, :1].clamp(max=0), targets[:, :, 1:]], 2)
        return losses_of(first, anything) + losses_of(second, targets)
    criterion = Criterion.of(predictions.criterion)
    rows, auxiliary = predictions.rows, predictions.auxiliary
    if auxiliary is None:
        return _branch(predictions, rows, criterion, assign(predictions, rows, criterion, targets))
    other = criterion if criterion.auxiliary is None else Criterion.of(criterion.auxiliary)
    theirs = assign(predictions, auxiliary, other, targets)
    ours = theirs if criterion.guided else assign(predictions, rows, criterion, targets)
    return _branch(predictions, rows, criterion, ours) + _branch(predictions, auxiliary, other, theirs)


def assign(predictions: Predictions, rows: Rows, criterion: Criterion, targets: Tensor) -> Learned:
    """What each prior of each picture learns, by what `rows` say now."""
    with torch.no_grad():
        boxes, scores = predictions.decoded(rows)
        boxes, scores = boxes.float(), scores.float()
        assigner, arguments = ASSIGNERS[criterion.assigner], criterion.assigner_of
        truths, qualities, wanted, labels = [], [], [], []
        for picture, target in enumerate(targets):
            target = target[target[:, 0] >= 0]
            crowd = target[:, 6] > 0
            real, hard = target[~crowd], target[crowd]
            scene = Scene(
                boxes[picture],
                scores[picture],
                predictions.priors.of(picture),
                real[:, 1:5],
                real[:, 0].long(),
            )
            assignment = assigner(scene, **arguments) if len(real) else _none(scene)
            truth = _without_crowd(assignment.truth, scene, hard[:, 1:5])
            chosen = truth[truth >= 0]
            truths.append(truth)
            qualities.append(torch.nan_to_num(assignment.quality).clamp(0, 1))
            wanted.append(scene.truth[chosen])
            labels.append(scene.labels[chosen])
    return Learned(torch.stack(truths), torch.stack(qualities), torch.cat(wanted), torch.cat(labels))


def _none(scene: Scene) -> Assignment:
    count = len(scene.boxes)
    return Assignment(
        torch.full((count,), -1, dtype=torch.int64, device=scene.boxes.device), scene.boxes.new_zeros(count)
    )


def _without_crowd(truth: Tensor, scene: Scene, crowd: Tensor) -> Tensor:
    """Nothing is learned where a prior's centre lies in a region of many."""
    if not len(crowd):
        return truth
    centres = scene.priors.boxes_cxcywh[:, None, :2]
    inside = ((centres >= crowd[None, :, :2]) & (centres <= crowd[None, :, 2:])).all(2).any(1)
    return torch.where((truth == -1) & inside, -2, truth)


def _branch(predictions: Predictions, rows: Rows, criterion: Criterion, learned: Learned) -> Tensor:
    positive, learning = learned.positive, learned.truth > -2
    pictures = positive.nonzero()[:, 0]
    count, batch = max(1, len(pictures)), len(positive)
    quality = learned.quality[positive]
    lost = _classes(rows, criterion, learned, learning)
    if criterion.objectness and rows.objectness is not None:
        lost = lost + criterion.objectness_weight * _objectness(
            rows.objectness[..., 0].float(), criterion, learned, learning
        )
    if len(pictures):
        weight = quality.clamp_min(1e-3) if criterion.soft and criterion.classes in ("qfl", "vfl") else None
        per_box = _places(predictions, rows, criterion, learned)
        share = (weight / weight.sum() * count) if weight is not None else 1.0
        lost = lost.index_add(0, pictures, per_box * share)
    else:
        lost = lost + 0.0 * rows.boxes.float().sum((1, 2))
    return lost * (batch / count)


def _classes(rows: Rows, criterion: Criterion, learned: Learned, learning: Tensor) -> Tensor:
    """Summed over the priors of each picture, (B,)."""
    logits, positive = rows.scores.float(), learned.positive
    if criterion.classes in ("softmax", "nll"):
        return criterion.class_weight * _choice(logits, criterion, learned, learning)
    wanted = torch.zeros_like(logits)
    pictures, priors = positive.nonzero(as_tuple=True)
    wanted[pictures, priors, learned.labels] = learned.quality[positive] if criterion.soft else 1.0
    counted = learning if criterion.everywhere else positive
    lost = CLASS_LOSSES[criterion.classes](logits, wanted, **criterion.class_of).sum(2)
    return criterion.class_weight * (lost * counted).sum(1)


def _choice(logits: Tensor, criterion: Criterion, learned: Learned, learning: Tensor) -> Tensor:
    """Cross-entropy among the classes, and with `softmax` none of them, which is the last."""
    positive = learned.positive
    if criterion.classes == "nll":
        lost = logits.new_zeros(len(logits))
        return lost.index_add(
            0, positive.nonzero()[:, 0], F.cross_entropy(logits[positive], learned.labels, reduction="none")
        )
    wanted = torch.full_like(learned.truth, logits.shape[2] - 1)
    wanted[positive] = learned.labels
    lost = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none").view_as(wanted)
    counted = learning
    if criterion.negatives:
        hardest = [
            hard_negatives(torch.where(can, loss, -1.0).detach(), own, criterion.negatives)
            for loss, own, can in zip(lost, positive, learning, strict=True)
        ]
        counted = torch.stack(hardest) & learning
    return (lost * counted).sum(1)


def _objectness(logits: Tensor, criterion: Criterion, learned: Learned, learning: Tensor) -> Tensor:
    """(B, A) -> (B,)."""
    positive = learned.positive
    if criterion.objectness == "bce":
        lost = F.binary_cross_entropy_with_logits(logits, positive.float(), reduction="none")
        return (lost * learning).sum(1)
    lost = F.smooth_l1_loss(logits.sigmoid(), learned.quality * positive, reduction="none")
    inside = positive.sum(1, keepdim=True).clamp_min(1)
    outside = (learning & ~positive).sum(1, keepdim=True).clamp_min(1)
    weight = torch.where(positive, 0.25 / inside, 0.75 / outside * learning)
    return (lost * weight).sum(1) * max(1, int(positive.sum())) / len(logits)


def _places(predictions: Predictions, rows: Rows, criterion: Criterion, learned: Learned) -> Tensor:
    """The losses of the positive priors' boxes, (P,)."""
    positive = learned.positive
    coder, priors = predictions.coder, predictions.priors
    numbers = rows.boxes.float()
    lost: Tensor | float = 0.0
    if criterion.box in IOUS or criterion.box == "iou2":
        said = coder.decode(rows.boxes, priors)[positive].float()
        if criterion.box == "iou2":
            likeness = iou(said, learned.boxes).square()
        else:
            likeness = IOUS[criterion.box](said, learned.boxes)
        lost = criterion.box_weight * (1 - likeness)
    if criterion.box in ("smooth_l1", "huber") or criterion.dfl or criterion.l1:
        wanted = _encoded(predictions, learned)
        raw = numbers[positive]
        if criterion.box in ("smooth_l1", "huber"):
            error = F.smooth_l1_loss(raw, wanted, beta=criterion.box_scale, reduction="none")
            scale = criterion.box_scale if criterion.box == "huber" else 1.0
            lost = lost + criterion.box_weight * scale * error.sum(1)
        if criterion.dfl:
            lost = lost + criterion.dfl * distribution(raw.unflatten(1, (wanted.shape[1], -1)), wanted)
        if criterion.l1:
            lost = lost + criterion.l1 * (raw - wanted).abs().sum(1)
    assert isinstance(lost, Tensor)
    return lost


def _encoded(predictions: Predictions, learned: Learned) -> Tensor:
    """(P, R'): what the raw numbers of the positive priors should be."""
    own = predictions.priors.at(*learned.positive.nonzero(as_tuple=True))
    return torch.nan_to_num(predictions.coder.encode(learned.boxes, own))
