"""FastestDet: https://github.com/dog-qiuqiu/FastestDet, 2022, BSD-3; there is no paper.

ShuffleNetV2 of half width with its channels dealt out, one level of reduction 16, a tower each for objectness, boxes and
classes. Input: blue, green, red over 255, resized without keeping the ratio.
"""

from __future__ import annotations

from typing import Any

from gossamer.tasks.detect.parts.backbones.trunk import Trunk
from gossamer.tasks.detect.parts.coders import RelativeCoder
from gossamer.tasks.detect.parts.detector import Detector
from gossamer.tasks.detect.parts.dual import assembled
from gossamer.tasks.detect.parts.heads.three_towers import ThreeTowersHead
from gossamer.tasks.detect.parts.necks.single_scale import SingleScale
from gossamer.tasks.detect.parts.scorings import WeightedScoring
from gossamer.zoo.shufflenet_v2 import shufflenet_v2

__all__ = ["CRITERION", "fastestdet"]

CRITERION: dict[str, Any] = {
    "assigner": "neighbour",
    "box": "siou",
    "box_weight": 8.0,
    "objectness": "smooth_l1",
    "objectness_weight": 16.0,
    "class": "nll",
    "class_weight": 1.0,
}


def fastestdet(
    *,
    num_classes: int = 80,
    in_channels: int = 3,
    width: float = 0.5,
    channels: int = 96,
    one_to_one: bool = False,
) -> Detector:
    """FastestDet: (B, in_channels, H, W) -> (B, A, 4 + num_classes)."""
    backbone = Trunk(shufflenet_v2(in_channels=in_channels, width=width, dealt=True))
    neck = SingleScale(backbone.channels, channels=channels)
    return assembled(
        backbone,
        neck,
        lambda: ThreeTowersHead(neck.channels, num_classes),
        RelativeCoder(neck.strides),
        WeightedScoring(),
        CRITERION,
        one_to_one=one_to_one,
    )
