"""A detector with one head, or with two for consistent dual assignment (YOLOv10, 2405.14458, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from gossamer.tasks.detect.parts.detector import Coder, Detector, Scoring
from gossamer.tasks.detect.parts.heads.head import Head
from gossamer.tasks.detect.parts.heads.one_to_one import OneToMany

__all__ = ["assembled"]


def assembled(
    backbone: nn.Module,
    neck: nn.Module,
    head: Callable[[], Head],
    coder: Coder,
    scoring: Scoring,
    criterion: Mapping[str, Any],
    *,
    one_to_one: bool = False,
    auxiliary: nn.Module | None = None,
) -> Detector:
    """A detector of these parts. With `one_to_one` two of `head` are made: the one that ships gives every thing one box and
    needs no suppression; the other, one-to-many as `criterion` says, trains the levels beside it and does not ship."""
    if not one_to_one:
        return Detector(backbone, neck, head(), coder, scoring, criterion=criterion, auxiliary=auxiliary)
    ships, trains = head(), OneToMany(head())
    dual = {"assigner": "one_to_one", **_shared(criterion), "auxiliary": dict(criterion)}
    return Detector(backbone, neck, ships, coder, scoring, criterion=dual, auxiliary=trains, detached=True)


def _shared(criterion: Mapping[str, Any]) -> dict[str, Any]:
    """Losses and weights without what chooses targets."""
    chooses = ("assigner", "topk", "radius", "iou_weight", "side")
    return {key: value for key, value in criterion.items() if key not in chooses}
