"""What mixes pictures and their targets: mixup and cutmix.

mixup: Zhang et al., 1710.09412, equation 1. cutmix: Yun et al., 1905.04899, equations 1 and 2. We mix a batch in pairs instead of with a permutation of itself, so that a
picture's partner lies in the same process's part of the batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gossamer.data.draws import Draws

__all__ = ["mix"]


def mix(
    inputs: Tensor, targets: Tensor, *, mixup: float, cutmix: float, draws: Draws
) -> tuple[Tensor, Tensor]:
    """Inputs (B, bands, H, W) mixed in pairs, and their encoded targets (B, D) alike.

    `mixup` and `cutmix` are the parameters of the Beta distributions, 0 for none; with both, each batch takes either
    with equal chance.
    """
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
