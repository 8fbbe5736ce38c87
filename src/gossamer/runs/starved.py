"""A training that the clock ended too early, said so (no torch)."""

from __future__ import annotations

import math

from gossamer.report import document as doc
from gossamer.runs.trained import TrainedNetwork

__all__ = ["starved", "with_starved"]

_WANTED = 0.9
"""Share of the passes it wants from which on a training has had enough."""
_FEW = 3
"""Validations after which it can be told whether a curve still rises."""


def starved(network: TrainedNetwork, minutes: float) -> str | None:
    """What to say of a training that the clock ended before it had what it wants while it was still rising, or None."""
    points = network.points
    if network.wanted is None or not points or points[-1].passes >= _WANTED * network.wanted:
        return None
    best = max(range(len(points)), key=lambda i: (points[i].val_score, -points[i].val_loss))
    if points[best].val_score >= 1 or (len(points) > _FEW and best < 2 * len(points) // 3):
        return None
    passes = points[-1].passes
    more = (network.wanted - passes) * network.seconds / max(passes, 1e-6) / 60
    enough = math.ceil(minutes + more)
    return (
        f"starved: {passes:.1f} of the {network.wanted:g} passes it wants; --minutes {enough} would reach them here, "
        f"--resume --minutes {enough} goes on"
    )


def with_starved(document: doc.FitDocument, text: str | None) -> doc.FitDocument:
    """The document with it in the headline and among what is flagged."""
    if text is None:
        return document
    headline = f"{document.headline} {text[0].upper()}{text[1:]}."
    return document.model_copy(update={"headline": headline, "flags": [*document.flags, text]})
