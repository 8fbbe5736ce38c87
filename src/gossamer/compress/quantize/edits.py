"""The edits of an fp32 network that make int8 lose less, in the one order that makes sense.

Scales first (equalization changes what rounding sees), then rounding, then biases (they take back what rounding moved).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from gossamer.compress.quantize.adaround import USUAL, AdaRoundSettings, adaround
from gossamer.compress.quantize.bias import correct_biases
from gossamer.compress.quantize.equalize import equalize, relax_relu6
from gossamer.compress.quantize.pictures import check_pictures
from gossamer.compress.quantize.sweep import INT8, Rounding
from gossamer.nn.objective import CLASS_SCORES, Objective

__all__ = ["QUICK", "Edits", "edit_for_int8"]


@dataclass(frozen=True)
class Edits:
    """Which edits are made."""

    equalize: bool = True
    """Cross-layer equalization, ReLU6 replaced where that passes its check."""
    correct: bool = True
    """Bias correction; AdaRound brings it along."""
    round: bool = False
    """AdaRound: minutes instead of seconds."""

    @property
    def label(self) -> str:
        names = {
            "equalized": self.equalize,
            "rounded adaptively": self.round,
            "biases corrected": self.correct or self.round,
        }
        return ", ".join(name for name, made in names.items() if made)


QUICK = Edits()
"""Seconds."""


def edit_for_int8(
    network: nn.Module,
    pictures: Tensor,
    edits: Edits = QUICK,
    *,
    rounding: Rounding = INT8,
    settings: AdaRoundSettings = USUAL,
    objective: Objective = CLASS_SCORES,
    seed: int = 0,
) -> nn.Module:
    """A new fp32 network to export and quantize in place of this one; without edits the network itself.

    `pictures` (N, C, H, W) are prepared calibration pictures without labels, one batch: 32 to 64.

    Raises:
        DataError: no pictures, or not finite.
        ModelError: weights are not finite, or the network cannot be followed or does not take the pictures.
    """
    check_pictures(pictures)
    ours = network
    if edits.equalize:
        ours = equalize(relax_relu6(ours, pictures, objective=objective), tuple(pictures.shape))
    if edits.round:
        return adaround(ours, pictures, rounding=rounding, settings=settings, seed=seed)
    return correct_biases(ours, pictures, rounding=rounding) if edits.correct else ours
