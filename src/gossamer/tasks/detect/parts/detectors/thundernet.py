"""ThunderNet: Towards Real-time Generic Object Detection on Mobile Devices.

Qin et al., ICCV 2019, arXiv 1903.11752; written from the paper, which has no code. SNet, context enhancement, a light
proposal head of 25 anchors, spatial attention, position-sensitive regions of 7x7 bins and 5 channels, 200 proposals.
Unlike there, proposals that are no peak of their anchor go instead of those that overlap a better one, so that every
array keeps its shape; and the first stage learns by focal loss instead of a sample of anchors.
"""

from __future__ import annotations

from typing import Any, Literal

from gossamer.errors import ModelError
from gossamer.tasks.detect.parts.backbones.trunk import Trunk, keep_last_conv
from gossamer.tasks.detect.parts.coders import DeltaCoder
from gossamer.tasks.detect.parts.coders.cells import Anchor
from gossamer.tasks.detect.parts.heads.two_stage import ProposalHead, RegionHead
from gossamer.tasks.detect.parts.necks.context import ContextEnhancement
from gossamer.tasks.detect.parts.two_stage import TwoStageDetector
from gossamer.zoo.snet import snet

__all__ = ["CRITERION", "PROPOSAL_CRITERION", "thundernet"]

SIDES = (32.0, 64.0, 128.0, 256.0, 512.0)
RATIOS = (0.5, 0.75, 1.0, 4 / 3, 2.0)
"""Height over width of anchors; section 3.2."""
CHANNELS, HIDDEN = 245, 256
PROPOSAL_CRITERION: dict[str, Any] = {
    "assigner": "max_iou",
    "positive": 0.7,
    "negative": 0.3,
    "best_anchor": True,
    "class": "focal",
    "class_weight": 1.0,
    "soft": False,
    "box": "smooth_l1",
    "box_weight": 1.0,
}
CRITERION: dict[str, Any] = {
    "assigner": "max_iou",
    "positive": 0.5,
    "negative": 0.5,
    "best_anchor": True,
    "class": "softmax",
    "class_weight": 1.0,
    "negatives": 3,
    "box": "smooth_l1",
    "box_weight": 1.0,
}


def _anchors() -> tuple[Anchor, ...]:
    return tuple((side * ratio**-0.5, side * ratio**0.5) for side in SIDES for ratio in RATIOS)


def thundernet(
    *,
    num_classes: int = 80,
    in_channels: int = 3,
    size: Literal["49", "146", "535"] = "49",
    proposals: int = 200,
) -> TwoStageDetector:
    """ThunderNet on SNet of a size: (B, in_channels, H, W) -> (B, proposals, 4 + num_classes).

    Raises:
        ModelError: there is no such size, or no proposals are asked for.
    """
    if size not in ("49", "146", "535") or proposals < 1:
        raise ModelError(
            f"ThunderNet is of size 49, 146 or 535 with 1 proposal or more, got {size!r} and {proposals}"
        )
    network = snet(in_channels=in_channels, size=size)
    if size == "49":
        keep_last_conv(network)
    backbone = Trunk(network, (16, 32))
    neck = ContextEnhancement(backbone.channels, channels=CHANNELS)
    anchors = _anchors()
    return TwoStageDetector(
        backbone,
        neck,
        ProposalHead(CHANNELS, hidden=HIDDEN, priors=len(anchors)),
        RegionHead(CHANNELS, HIDDEN, num_classes + 1),
        DeltaCoder((anchors,), neck.strides),
        criterion=CRITERION,
        proposal_criterion=PROPOSAL_CRITERION,
        count=proposals,
    )
