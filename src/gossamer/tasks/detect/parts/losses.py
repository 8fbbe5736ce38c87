"""Losses of detectors (torch): of classes, of how sure a box is, of its place. One table a kind.

Focal: Lin et al., 1708.02002, equation 5. QFL and DFL: Li et al., 2006.04388, equations 2 and 6. VFL: Zhang et al.,
2008.13367, equation 2. Hard negatives: Liu et al., 1512.02325, section 2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["CLASS_LOSSES", "distribution", "hard_negatives", "soften"]


def bce(logits: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropy."""
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")


def focal(logits: Tensor, wanted: Tensor, *, alpha: float = 0.25, gamma: float = 1.5) -> Tensor:
    """Cross-entropy that counts less the surer and righter a score is."""
    said = logits.sigmoid()
    missed = (wanted - said).abs().pow(gamma)
    return (alpha * wanted + (1 - alpha) * (1 - wanted)) * missed * bce(logits, wanted)


def qfl(logits: Tensor, wanted: Tensor, *, beta: float = 2.0) -> Tensor:
    """Cross-entropy against qualities, weighed by how far off the score is."""
    return (wanted - logits.sigmoid()).abs().pow(beta) * bce(logits, wanted)


def vfl(logits: Tensor, wanted: Tensor, *, alpha: float = 0.75, gamma: float = 2.0) -> Tensor:
    """Cross-entropy that counts what is there by its quality, what is not by how sure the score is."""
    weight = torch.where(wanted > 0, wanted, alpha * logits.sigmoid().pow(gamma))
    return weight * bce(logits, wanted)


CLASS_LOSSES: Mapping[str, Callable[..., Tensor]] = {"bce": bce, "focal": focal, "qfl": qfl, "vfl": vfl}
"""Name -> (logits (N, K), wanted (N, K) of 0 to 1) -> losses (N, K)."""


def distribution(logits: Tensor, wanted: Tensor) -> Tensor:
    """DFL: cross-entropy of the two bins about each number. Logits (N, D, bins), wanted (N, D) of 0 to bins - 1: (N,)."""
    bins = logits.shape[2]
    places = wanted.clamp(0, bins - 1 - 1e-2)
    low = places.long()
    above = places - low
    logs = logits.float().log_softmax(2)
    lost = (
        logs.gather(2, low[..., None])[..., 0] * (1 - above)
        + logs.gather(2, low[..., None] + 1)[..., 0] * above
    )
    return -lost.mean(1)


def hard_negatives(losses: Tensor, positive: Tensor, ratio: float) -> Tensor:
    """Which rows of one picture count, (A,): the positive ones and of the others the worst, `ratio` times as many."""
    count = min(len(losses), max(1, int(ratio * int(positive.sum()))))
    worst = torch.where(positive, -1.0, losses).topk(count).indices
    chosen = positive.clone()
    chosen[worst] = True
    return chosen


def soften(wanted: Tensor, smoothing: float) -> Tensor:
    """Targets of 0 and 1 that leave `smoothing` to the other side."""
    return wanted * (1 - smoothing) + smoothing / 2
