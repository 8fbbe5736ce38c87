"""EfficientDet: Scalable and Efficient Object Detection.

Tan et al., CVPR 2020, arXiv 1911.09070, table 1; the Lite forms are those of https://github.com/google/automl
(Apache-2.0): no squeeze-and-excite, ReLU6, plain sums where levels meet.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from gossamer.nn.layers import Act, Norm
from gossamer.tasks.detect.parts.backbones.trunk import Trunk
from gossamer.tasks.detect.parts.coders import DeltaCoder
from gossamer.tasks.detect.parts.coders.cells import Anchor
from gossamer.tasks.detect.parts.detector import Detector
from gossamer.tasks.detect.parts.heads.retina import RetinaHead
from gossamer.tasks.detect.parts.necks.bifpn import BiFPN
from gossamer.tasks.detect.parts.scorings import SigmoidScoring
from gossamer.zoo.efficientnet import efficientnet, efficientnet_lite

__all__ = ["CRITERION", "efficientdet", "octave_anchors"]

CRITERION: dict[str, Any] = {
    "assigner": "max_iou",
    "positive": 0.5,
    "negative": 0.5,
    "best_anchor": True,
    "class": "focal",
    "class_weight": 1.0,
    "alpha": 0.25,
    "gamma": 1.5,
    "soft": False,
    "box": "huber",
    "box_scale": 0.1,
    "box_weight": 50.0,
}
RATIOS = ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))
"""Width and height of anchors beside a square."""
OCTAVES = 3


def octave_anchors(strides: tuple[int, ...], scale: float) -> tuple[tuple[Anchor, ...], ...]:
    """Of each level: `scale` strides wide, in three steps up to twice that, in three shapes each."""
    return tuple(
        tuple(
            (
                stride * scale * 2 ** (octave / OCTAVES) * width,
                stride * scale * 2 ** (octave / OCTAVES) * height,
            )
            for octave in range(OCTAVES)
            for width, height in RATIOS
        )
        for stride in strides
    )


def efficientdet(
    *,
    num_classes: int = 80,
    in_channels: int = 3,
    width: float = 1.0,
    depth: float = 1.0,
    channels: int = 64,
    cells: int = 3,
    head_depth: int = 3,
    anchor_scale: float = 4.0,
    lite: bool = False,
) -> Detector:
    """EfficientDet on EfficientNet of a width and depth: (B, in_channels, H, W) -> (B, A, 4 + num_classes)."""
    norm: Norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
    act: Act = nn.ReLU6 if lite else nn.SiLU
    if lite:
        network = efficientnet_lite(in_channels=in_channels, width=width, depth=depth)
    else:
        network = efficientnet(in_channels=in_channels, width=width, depth=depth, same=True)
    backbone = Trunk(network)
    neck = BiFPN(backbone.channels, channels=channels, cells=cells, weighted=not lite, norm=norm, act=act)
    head = RetinaHead(channels, num_classes, levels=len(neck.strides), depth=head_depth, norm=norm, act=act)
    coder = DeltaCoder(octave_anchors(neck.strides, anchor_scale), neck.strides)
    return Detector(backbone, neck, head, coder, SigmoidScoring(), criterion=CRITERION)
