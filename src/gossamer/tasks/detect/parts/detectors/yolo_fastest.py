"""YOLO-Fastest 1.0 and 1.1: https://github.com/dog-qiuqiu/Yolo-Fastest, 2020 and 2021, public domain; there is no paper.

Inverted residuals, two levels with three anchors each, depthwise 5x5 towers. 1.1 has spatial pyramid pooling and no 1x1
on its finer level; 1.0 takes that level from inside a block, where it is wide. Input: red, green, blue over 255.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.layers import ConvNormAct
from gossamer.tasks.detect.parts.backbones.darknet_mbconv import SLOPE, darknet_mbconv
from gossamer.tasks.detect.parts.backbones.trunk import Trunk, widen_before
from gossamer.tasks.detect.parts.coders import TightAnchorCoder
from gossamer.tasks.detect.parts.detector import Detector
from gossamer.tasks.detect.parts.heads.coupled import CoupledHead
from gossamer.tasks.detect.parts.necks.top_down import TopDown
from gossamer.tasks.detect.parts.scorings import ObjectnessScoring

__all__ = ["ANCHORS", "CRITERION", "yolo_fastest"]

ANCHORS = (
    ((12.0, 18.0), (37.0, 49.0), (52.0, 132.0)),
    ((115.0, 73.0), (119.0, 199.0), (242.0, 238.0)),
)
"""Of the cfg, in pixels at 320."""
CRITERION: dict[str, Any] = {
    "assigner": "max_iou",
    "positive": 0.5,
    "negative": 0.5,
    "best_anchor": True,
    "box": "ciou",
    "box_weight": 5.0,
    "class": "bce",
    "class_weight": 1.0,
    "soft": False,
    "everywhere": False,
    "objectness": "bce",
    "objectness_weight": 1.0,
}
"""The cfg's losses, weighed as YOLOX weighs them when all are divided by the count of positive priors. Where darknet takes
all anchors of one cell above a low IoU of shapes, anchors of the cells about it are taken above 0.5."""
_ACT = partial(nn.LeakyReLU, SLOPE)


def _tower(channels: int, out: int) -> nn.Sequential:
    """Twice depthwise 5x5 and a linear 1x1, from the first on `out` channels."""
    return nn.Sequential(
        ConvNormAct(channels, channels, 5, groups=channels, act=_ACT),
        ConvNormAct(channels, out, act=None),
        ConvNormAct(out, out, 5, groups=out, act=_ACT),
        ConvNormAct(out, out, act=None),
    )


def yolo_fastest(
    *,
    num_classes: int = 80,
    in_channels: int = 3,
    width: float = 1.0,
    version: Literal["1.0", "1.1"] = "1.1",
) -> Detector:
    """YOLO-Fastest of a width of its backbone: (B, in_channels, H, W) -> (B, A, 4 + num_classes).

    Raises:
        ModelError: there is no such version.
    """
    if version not in ("1.0", "1.1"):
        raise ModelError(f"YOLO-Fastest is of version 1.0 or 1.1, got {version!r}; leave it out for 1.1")
    network = darknet_mbconv(in_channels=in_channels, width=width)
    if version == "1.0":
        widen_before(network, 32)
    backbone = Trunk(network, (16, 32))
    if version == "1.0":
        neck = TopDown(backbone.channels, channels=96, fine=96, act=_ACT)
        widths: tuple[int, ...] = (96, 128)
    else:
        neck = TopDown(backbone.channels, channels=96, pools=(9, 5, 3), act=_ACT)
        widths = neck.channels
    towers = [_tower(channels, out) for channels, out in zip(neck.channels, widths, strict=True)]
    head = CoupledHead(towers, widths, num_classes)
    coder = TightAnchorCoder(ANCHORS, neck.strides)
    return Detector(backbone, neck, head, coder, ObjectnessScoring(), criterion=CRITERION)
