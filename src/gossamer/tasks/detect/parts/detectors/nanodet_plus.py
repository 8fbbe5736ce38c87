"""NanoDet-Plus: https://github.com/RangiLyu/nanodet, 2021, Apache-2.0; there is no paper.

ShuffleNetV2 with LeakyReLU, Ghost-PAN with a fourth level, a head of distributions (GFL, arXiv 2006.04388) on 5x5
depthwise convolutions. Targets are chosen by the answers of a guidance branch, which only training has. Priors stand on
the corners of cells, as in the published weights. Input: blue, green, red, normalised.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from gossamer.tasks.detect.parts.backbones.trunk import Trunk
from gossamer.tasks.detect.parts.coders import DistanceCoder
from gossamer.tasks.detect.parts.detector import Detector
from gossamer.tasks.detect.parts.dual import assembled
from gossamer.tasks.detect.parts.heads import GFLHead, Guidance
from gossamer.tasks.detect.parts.necks import GhostPAN
from gossamer.tasks.detect.parts.scorings import SigmoidScoring
from gossamer.zoo.shufflenet_v2 import shufflenet_v2

__all__ = ["CRITERION", "SLOPE", "nanodet_plus"]

SLOPE = 0.1
"""Of LeakyReLU, everywhere."""
CRITERION: dict[str, Any] = {
    "assigner": "dsla",
    "topk": 13,
    "iou_weight": 3.0,
    "class": "qfl",
    "class_weight": 1.0,
    "box": "giou",
    "box_weight": 2.0,
    "dfl": 0.25,
}


def nanodet_plus(
    *,
    num_classes: int = 80,
    in_channels: int = 3,
    width: float = 1.0,
    channels: int = 96,
    guidance: bool = False,
    one_to_one: bool = False,
) -> Detector:
    """NanoDet-Plus of a width of its backbone and channels of its levels: (B, in_channels, H, W) -> (B, A, 4 + num_classes).

    `guidance` adds the branch that chooses targets in training.
    """
    act = partial(nn.LeakyReLU, SLOPE)
    network = shufflenet_v2(in_channels=in_channels, width=width, form="torchvision", slope=SLOPE)
    backbone = Trunk(network)
    neck = GhostPAN(backbone.channels, channels=channels, act=act)
    guide = None
    if guidance and not one_to_one:
        twin = GhostPAN(backbone.channels, channels=channels, act=act)
        guide = Guidance(twin, 2 * channels, num_classes, levels=len(neck.strides), act=act)

    def head() -> GFLHead:
        return GFLHead(neck.channels, num_classes, kernel=5, act=act)

    return assembled(
        backbone,
        neck,
        head,
        DistanceCoder(neck.strides, offset=0.0),
        SigmoidScoring(),
        CRITERION if guide is None else {**CRITERION, "guided": True},
        one_to_one=one_to_one,
        auxiliary=guide,
    )
