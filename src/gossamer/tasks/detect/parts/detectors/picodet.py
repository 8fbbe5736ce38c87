"""PP-PicoDet: A Better Real-Time Object Detector on Mobile Devices.

Yu et al., 2021, arXiv 2111.00902; the form of 2021 (ESNet, SimOTA), as in PaddleDetection (Apache-2.0).
"""

from __future__ import annotations

from typing import Any

from torch import nn

from gossamer.tasks.detect.parts.backbones.esnet import esnet
from gossamer.tasks.detect.parts.backbones.trunk import Trunk
from gossamer.tasks.detect.parts.coders import DistanceCoder
from gossamer.tasks.detect.parts.detector import Detector
from gossamer.tasks.detect.parts.dual import assembled
from gossamer.tasks.detect.parts.heads import GFLHead
from gossamer.tasks.detect.parts.necks import PicoPAN
from gossamer.tasks.detect.parts.scorings import SigmoidScoring

__all__ = ["CRITERION", "picodet"]

CRITERION: dict[str, Any] = {
    "assigner": "simota",
    "radius": 1.5,
    "topk": 10,
    "iou_weight": 6.0,
    "class": "vfl",
    "class_weight": 1.0,
    "box": "giou",
    "box_weight": 2.0,
    "dfl": 0.25,
}


def picodet(
    *,
    num_classes: int = 80,
    in_channels: int = 3,
    width: float = 0.75,
    channels: int = 96,
    one_to_one: bool = False,
) -> Detector:
    """PicoDet of a width of its backbone and channels of its levels: (B, in_channels, H, W) -> (B, A, 4 + num_classes)."""
    backbone = Trunk(esnet(in_channels=in_channels, width=width))
    neck = PicoPAN(backbone.channels, channels=channels)

    def head() -> GFLHead:
        return GFLHead(neck.channels, num_classes, kernel=5, act=nn.Hardswish)

    return assembled(
        backbone,
        neck,
        head,
        DistanceCoder(neck.strides),
        SigmoidScoring(),
        CRITERION,
        one_to_one=one_to_one,
    )
