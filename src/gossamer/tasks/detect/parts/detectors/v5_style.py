"""v5 style: detectors after the published description of YOLOv5 (its blocks, anchors, targets), written anew.

No weights of others fit, and none are meant to. CSPDarknet with a 6x6 stem, CSP-PAN, one 1x1 a level, three anchors a
cell, targets by the ratio of sides in the nearest cells.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from gossamer.tasks.detect.parts.backbones.csp_darknet import NORM, csp_darknet
from gossamer.tasks.detect.parts.backbones.trunk import Trunk
from gossamer.tasks.detect.parts.coders import LooseAnchorCoder
from gossamer.tasks.detect.parts.detector import Detector
from gossamer.tasks.detect.parts.heads.coupled import CoupledHead
from gossamer.tasks.detect.parts.necks import CSPPAN
from gossamer.tasks.detect.parts.scorings import ObjectnessScoring

__all__ = ["ANCHORS", "CRITERION", "v5_style"]

ANCHORS = (
    ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)),
    ((30.0, 61.0), (62.0, 45.0), (59.0, 119.0)),
    ((116.0, 90.0), (156.0, 198.0), (373.0, 326.0)),
)
"""YOLOv3's (1804.02767, section 2.3), in pixels."""
CRITERION: dict[str, Any] = {
    "assigner": "ratio",
    "threshold": 4.0,
    "box": "ciou",
    "box_weight": 5.0,
    "class": "bce",
    "class_weight": 1.0,
    "soft": False,
    "everywhere": False,
    "objectness": "bce",
    "objectness_weight": 1.0,
}
"""Weighed as YOLOX weighs them when all are divided by the count of positive priors."""


def v5_style(
    *, num_classes: int = 80, in_channels: int = 3, width: float = 0.25, depth: float = 0.33
) -> Detector:
    """v5-style detector of a width and depth: (B, in_channels, H, W) -> (B, A, 4 + num_classes)."""
    network = csp_darknet(
        in_channels=in_channels, width=width, depth=depth, repeats=(3, 6, 9, 3), pool_last=True
    )
    backbone = Trunk(network)
    neck = CSPPAN(backbone.channels, channels=backbone.channels, depth=max(1, round(3 * depth)), norm=NORM)
    towers = [nn.Identity() for _ in neck.channels]
    head = CoupledHead(towers, neck.channels, num_classes)
    coder = LooseAnchorCoder(ANCHORS, neck.strides)
    return Detector(backbone, neck, head, coder, ObjectnessScoring(), criterion=CRITERION)
