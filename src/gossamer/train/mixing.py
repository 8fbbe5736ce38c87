"""Targets and what mixes them: label smoothing, mixup, cutmix, classes weighed by how rare they are.

mixup: Zhang et al., 1710.09412, equation 1. cutmix: Yun et al., 1905.04899, equations 1 and 2. Label smoothing:
Szegedy et al., 1512.00567, section 7. We mix a batch in pairs instead of with a permutation of itself, so that a
picture's partner lies in the same process's part of the batch.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from gossamer.data.draws import Draws

__all__ = ["class_weights", "mix", "soft_cross_entropy"]


def mix(
    inputs: Tensor,
    labels: Tensor,
    num_classes: int,
    *,
    mixup: float,
    cutmix: float,
    smoothing: float,
    draws: Draws,
) -> tuple[Tensor, Tensor]:
    """Inputs (B, bands, H, W) mixed in pairs, and their targets (B, K), float32, which sum to 1 by row.

    `mixup` and `cutmix` are the parameters of the Beta distributions, 0 for none; with both, each batch takes either
    with equal chance. `smoothing` is the share of a target that is spread over all classes.
    """
    targets = F.one_hot(labels, num_classes).float() * (1 - smoothing) + smoothing / num_classes
    if not mixup and not cutmix:
        return inputs, targets
    partner = draws.permutation_pairs().to(inputs.device)
    if mixup and (not cutmix or draws.shared(0, 1) < 0.5):
        kept = draws.beta(mixup, inputs)
        return torch.lerp(inputs[partner], inputs, kept), torch.lerp(targets[partner], targets, kept)
    height, width = inputs.shape[2:]
    top, bottom, left, right = _box(draws, float(draws.beta(cutmix, torch.empty(0))), height, width)
    pasted = inputs.clone()
    pasted[:, :, top:bottom, left:right] = inputs[partner, :, top:bottom, left:right]
    share = (bottom - top) * (right - left) / (height * width)
    return pasted, torch.lerp(targets, targets[partner], share)


def _box(draws: Draws, kept: float, height: int, width: int) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of a rectangle of 1 - `kept` of the area anywhere, cut off at the picture's border."""
    side = math.sqrt(1 - kept)
    top_bottom, left_right = (
        (max(0, round(centre - side * pixels / 2)), min(pixels, round(centre + side * pixels / 2)))
        for pixels, centre in ((height, draws.shared(0, height)), (width, draws.shared(0, width)))
    )
    return *top_bottom, *left_right


def soft_cross_entropy(scores: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Losses (B,) of scores (B, K) against shares of classes (B, K), each class's term times its weight (K,)."""
    return F.cross_entropy(scores.float(), targets, weight=weights, reduction="none")


def class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Weights (K,), float32: the inverse of the classes' shares of `labels` (N,), so that their mean over N is 1.

    Classes that are absent get 0: they have no picture, and so no share of a smoothed target should count either.
    """
    counts = torch.bincount(labels, minlength=num_classes).double()
    there = counts > 0
    return torch.where(there, len(labels) / (there.sum() * counts), 0.0).float()
