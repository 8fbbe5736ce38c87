"""Losses by which a student follows a teacher: functions on tensors, no module in sight.

B pictures, K classes, C channels of maps of H x W places, D values of an embedding. All compute in float32, whatever
comes in, and are 0 for a student that equals its teacher. Gradients go to the student; detach the teacher.

| function | paper |
|---|---|
| soft_scores | Hinton, Vinyals, Dean: Distilling the knowledge in a neural network, 1503.02531 |
| decoupled | Zhao et al.: Decoupled knowledge distillation (DKD), CVPR 2022, 2203.08679 |
| correlated | Huang et al.: Knowledge distillation from a stronger teacher (DIST), NeurIPS 2022, 2205.10536 |
| hint | Romero et al.: FitNets, ICLR 2015, 1412.6550 |
| attention | Zagoruyko, Komodakis: Paying more attention to attention, ICLR 2017, 1612.03928 |
| relational | Park et al.: Relational knowledge distillation (RKD), CVPR 2019, 1904.05068 |
| channel_wise | Shu et al.: Channel-wise knowledge distillation (CWD), ICCV 2021, 2011.13256 |
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gossamer.errors import GossamerError

__all__ = [
    "attention",
    "channel_wise",
    "correlated",
    "decoupled",
    "hint",
    "pearson_distance",
    "relational",
    "soft_scores",
]


def soft_scores(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Divergence of the softened predictions, T^2 KL(teacher || student): scores (B, K) twice -> (B,).

    T^2 keeps the gradient's size when the temperature changes (Hinton et al., section 2.1).

    Raises:
        GossamerError: the temperature is not above 0.
    """
    _check_temperature(temperature)
    return temperature**2 * _divergence(student.float() / temperature, teacher.float() / temperature)


def decoupled(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, beta: float) -> Tensor:
    """T^2 (TCKD + beta NCKD): scores (B, K) twice, labels (B,) of K >= 2 classes -> (B,). DKD, equation 7, alpha 1.

    TCKD compares how much goes to the label's class and to all others together, NCKD how the others share among
    themselves. With two classes there is one other and NCKD is 0.

    Raises:
        GossamerError: the temperature is not above 0.
    """
    _check_temperature(temperature)
    ours, our_others = _target_and_others(student.float() / temperature, labels)
    theirs, their_others = _target_and_others(teacher.float() / temperature, labels)
    return temperature**2 * (_divergence(ours, theirs) + beta * _divergence(our_others, their_others))


def correlated(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 times the mean Pearson distance of softened predictions, between classes and within: (B, K) twice -> ().

    DIST, equations 9 (rows: how a picture's classes compare) and 10 (columns: how a class's pictures compare), both
    with weight 1; T^2 is the authors' code's.

    Raises:
        GossamerError: the temperature is not above 0.
    """
    _check_temperature(temperature)
    ours = (student.float() / temperature).softmax(1)
    theirs = (teacher.float() / temperature).softmax(1)
    between = pearson_distance(ours, theirs)
    within = pearson_distance(ours.T, theirs.T)
    return temperature**2 * (between.sum() / max(1, len(between)) + within.sum() / max(1, len(within)))


def pearson_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """1 minus the correlation of each row: (R, N) twice -> (R,), 0 to 2; blind to a row's offset and positive scale.

    It is computed as half the squared distance of the centred rows at length 1, so that it is exactly 0 for equal
    rows and for two constant ones, which have no correlation.
    """
    ours = F.normalize(_centred(student.float()), dim=1, eps=1e-8)
    theirs = F.normalize(_centred(teacher.float()), dim=1, eps=1e-8)
    return 0.5 * (ours - theirs).square().sum(1)


def hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of maps: (B, C, H, W), behind the adaptor, and (B, C, H', W') -> (B,). FitNets, equation 3.

    A teacher's map of another size is brought to the student's by means over its places.
    """
    return (student.float() - _same_size(teacher, student)).square().flatten(1).mean(1)


def attention(student: Tensor, teacher: Tensor) -> Tensor:
    """Distance of the maps of activation: (B, C, H, W) and (B, C', H', W') -> (B,), 0 to 2. Equation 2 for one pair.

    A map of activation is the sum of squares over channels, at length 1. A teacher's map of another size is brought
    to the student's by means over its places.
    """
    ours, theirs = (
        F.normalize(features.square().sum(1).flatten(1), dim=1)
        for features in (student.float(), _same_size(teacher, student))
    )
    distances: Tensor = torch.linalg.vector_norm(ours - theirs, dim=1)
    return distances


def relational(student: Tensor, teacher: Tensor, distance: float = 1.0, angle: float = 2.0) -> Tensor:
    """How the pictures of a batch lie to one another: embeddings (B, D) and (B, D') -> (). RKD, equations 6 and 9.

    Huber losses, weighted by `distance` and `angle`, on the pairs' distances over their mean and on the cosines of the
    triples' angles: means over pairs and triples of different pictures, 0 where there are none. Holds B^2 max(D, B)
    values.
    """
    count = len(student)
    device = student.device.type
    with torch.autocast(device, enabled=False):
        ours, our_cosines = _relations(student.float())
        theirs, their_cosines = _relations(teacher.float())
        pairs = F.smooth_l1_loss(ours, theirs, reduction="sum")
        triples = F.smooth_l1_loss(our_cosines, their_cosines, reduction="sum")
    pair_count = count * (count - 1)
    return distance * pairs / max(1, pair_count) + angle * triples / max(1, pair_count * (count - 2))


def channel_wise(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 / C times the sum over channels of KL(teacher || student) of softmaxes over places. CWD, equations 2 and 3.

    Maps (B, C, H, W) and (B, C, H', W') -> (B,); a teacher's map of another size is brought to the student's by means
    over its places.

    Raises:
        GossamerError: the temperature is not above 0.
    """
    _check_temperature(temperature)
    ours = student.float().flatten(2) / temperature
    theirs = _same_size(teacher, student).flatten(2) / temperature
    return temperature**2 * _divergence(ours, theirs).mean(1)


def _check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise GossamerError(
            f"a temperature is above 0, got {temperature:g}; 1 leaves the scores as they are, 2 to 4 soften them"
        )


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) of the softmaxes over the last axis."""
    ours, theirs = student.log_softmax(-1), teacher.log_softmax(-1)
    return F.kl_div(ours, theirs, reduction="none", log_target=True).sum(-1)


def _target_and_others(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (B, 2) of the label's class against all others together, and of the others (B, K - 1)."""
    chosen = F.one_hot(labels, scores.shape[1]).bool()
    others = scores[~chosen].view(len(scores), scores.shape[1] - 1)
    return torch.stack([scores[chosen], others.logsumexp(1)], 1), others


def _centred(rows: Tensor) -> Tensor:
    return rows - rows.sum(1, keepdim=True) / max(1, rows.shape[1])


def _same_size(teacher: Tensor, student: Tensor) -> Tensor:
    teacher = teacher.float()
    if teacher.shape[2:] == student.shape[2:]:
        return teacher
    return F.adaptive_avg_pool2d(teacher, (student.shape[2], student.shape[3]))


def _relations(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """(B, D) -> distances over their mean (B, B), and the cosine of the angle i-j-k at [j, i, k] (B, B, B).

    Both are 0 where pictures repeat; equal embeddings have no direction and cosines of 0.
    """
    count = len(embeddings)
    differences = embeddings[None] - embeddings[:, None]
    squares = differences.square().sum(2)
    apart = squares > 0  # the root's slope at 0 is infinite: those places are left out before it is taken
    distances = torch.where(apart, torch.where(apart, squares, 1.0).sqrt(), 0.0)
    mean = distances.sum() / max(1, count * (count - 1))
    directions = F.normalize(differences, dim=2)
    cosines = directions @ directions.transpose(1, 2)
    own = torch.eye(count, dtype=torch.bool, device=embeddings.device)
    return distances / mean.clamp(min=1e-6), cosines.masked_fill(own, 0.0)
