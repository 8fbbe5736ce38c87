"""NanoDet: https://github.com/RangiLyu/nanodet, 2020, Apache-2.0; there is no paper.

ShuffleNetV2 with LeakyReLU, sums without convolutions for a neck, a head of distributions (GFL, arXiv 2006.04388) on 3x3
depthwise convolutions, targets by ATSS (arXiv 1912.02424). Input: blue, green, red, normalised.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from gossamer.tasks.detect.parts.backbones.trunk import Trunk
from gossamer.tasks.detect.parts.coders import DistanceCoder
from gossamer.tasks.detect.parts.detector import Detector
from gossamer.tasks.detect.parts.dual import assembled
from gossamer.tasks.detect.parts.heads import GFLHead
from gossamer.tasks.detect.parts.necks.pan_add import AddPAN
from gossamer.tasks.detect.parts.scorings import SigmoidScoring
from gossamer.zoo.shufflenet_v2 import shufflenet_v2

__all__ = ["CRITERION", "nanodet"]

CRITERION: dict[str, Any] = {
    "assigner": "atss",
    "topk": 9,
    "side": 5.0,
    "class": "qfl",
    "class_weight": 1.0,
    "box": "giou",
    "box_weight": 2.0,
    "dfl": 0.25,
}
"""`side`: of the square that stands for a prior, in strides."""


def nanodet(
    *,
    num_classes: int = 80,
    in_channels: int = 3,
    width: float = 1.0,
    channels: int = 96,
    one_to_one: bool = False,
) -> Detector:
    """NanoDet-m of a width of its backbone and channels of its levels: (B, in_channels, H, W) -> (B, A, 4 + num_classes)."""
    slope = 0.1
    backbone = Trunk(shufflenet_v2(in_channels=in_channels, width=width, form="torchvision", slope=slope))
    neck = AddPAN(backbone.channels, channels=channels)

    def head() -> GFLHead:
        return GFLHead(neck.channels, num_classes, act=partial(nn.LeakyReLU, slope))

    return assembled(
        backbone,
        neck,
        head,
        DistanceCoder(neck.strides),
        SigmoidScoring(),
        CRITERION,
        one_to_one=one_to_one,
    )
