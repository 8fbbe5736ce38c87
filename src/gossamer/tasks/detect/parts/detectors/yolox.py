"""YOLOX: Exceeding YOLO Series in 2021.

Ge et al., 2021, arXiv 2107.08430; Apache-2.0, https://github.com/Megvii-BaseDetection/YOLOX. CSPDarknet, CSP-PAN,
decoupled head without anchors, SimOTA. Nano parts every 3x3 behind the stem. Its stem on pixels laid side by side is
written as the 6x6 convolution that it is. Input: blue, green, red of 0 to 255, letterboxed.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from gossamer.tasks.detect.parts.backbones.csp_darknet import NORM, csp_darknet
from gossamer.tasks.detect.parts.backbones.trunk import Trunk
from gossamer.tasks.detect.parts.coders import GridCoder
from gossamer.tasks.detect.parts.detector import Detector
from gossamer.tasks.detect.parts.dual import assembled
from gossamer.tasks.detect.parts.heads import DecoupledHead
from gossamer.tasks.detect.parts.necks import CSPPAN
from gossamer.tasks.detect.parts.scorings import ObjectnessScoring

__all__ = ["CRITERION", "yolox"]

CRITERION: dict[str, Any] = {
    "assigner": "simota",
    "radius": 1.5,
    "topk": 10,
    "iou_weight": 3.0,
    "box": "iou2",
    "box_weight": 5.0,
    "class": "bce",
    "class_weight": 1.0,
    "everywhere": False,
    "objectness": "bce",
    "objectness_weight": 1.0,
    "l1": 1.0,
}
"""Section 2.1 and the authors' code, which takes `l1` in the last epochs alone."""


def yolox(
    *,
    num_classes: int = 80,
    in_channels: int = 3,
    width: float = 0.25,
    depth: float = 0.33,
    depthwise: bool = False,
    one_to_one: bool = False,
) -> Detector:
    """YOLOX of a width and depth: (B, in_channels, H, W) -> (B, A, 4 + num_classes)."""
    backbone = Trunk(csp_darknet(in_channels=in_channels, width=width, depth=depth, depthwise=depthwise))
    neck = CSPPAN(
        backbone.channels,
        channels=backbone.channels,
        depth=max(1, round(3 * depth)),
        depthwise=depthwise,
        norm=NORM,
    )

    def head() -> DecoupledHead:
        return DecoupledHead(
            neck.channels,
            num_classes,
            hidden=int(256 * width),
            depthwise=depthwise,
            norm=NORM,
            act=nn.SiLU,
        )

    return assembled(
        backbone, neck, head, GridCoder(neck.strides), ObjectnessScoring(), CRITERION, one_to_one=one_to_one
    )
