"""SSDLite: SSD (Liu et al., ECCV 2016, arXiv 1512.02325) of parted convolutions (MobileNetV2, arXiv 1801.04381).

Levels: the expansion of the block that reduces to 32 where blocks have one, the last 1x1 of the classifier where it has
one, four extra layers. Anchors and coder as in torchvision's ssdlite320 (BSD-3), whose MobileNetV3 has a reduced tail.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

from torch import nn

from gossamer.errors import ModelError, nearest
from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import ConvNormAct
from gossamer.nn.network import Network
from gossamer.tasks.detect.parts.backbones.trunk import Trunk, keep_last_conv, widen_before
from gossamer.tasks.detect.parts.coders import DeltaCoder
from gossamer.tasks.detect.parts.coders.cells import Anchor
from gossamer.tasks.detect.parts.detector import Detector
from gossamer.tasks.detect.parts.heads.ssd import SSDLiteHead
from gossamer.tasks.detect.parts.necks.extra_layers import ExtraLayers
from gossamer.tasks.detect.parts.scorings import SoftmaxScoring
from gossamer.zoo.ghostnet import ghostnet
from gossamer.zoo.mobilenet_v1 import mobilenet_v1
from gossamer.zoo.mobilenet_v2 import mobilenet_v2
from gossamer.zoo.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small

__all__ = ["BACKBONES", "CRITERION", "ssd_anchors", "ssdlite"]

BACKBONES: Mapping[str, Any] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_large": mobilenet_v3_large,
    "mobilenet_v3_large_reduced": partial(mobilenet_v3_large, reduced_tail=True),
    "mobilenet_v3_small": mobilenet_v3_small,
    "ghostnet": ghostnet,
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
"""`negatives`: the hardest so many for each positive."""
_NORM = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.03)


def ssd_anchors(levels: int, *, low: float = 0.2, high: float = 0.95) -> tuple[tuple[Anchor, ...], ...]:
    """Anchors of each level in shares of the input: a square of its scale, one between it and the next, 2:1, 1:2, 3:1, 1:3.

    Scales go evenly from `low` to `high` (1512.02325, equation 4); none is larger than the input.
    """
    scales = [low + (high - low) * level / (levels - 1) for level in range(levels)] + [1.0]
    anchors = []
    for scale, following in pairwise(scales):
        between = (scale * following) ** 0.5
        sides = [(scale, scale), (between, between)]
        for ratio in (2.0, 3.0):
            wide, flat = scale * ratio**0.5, scale / ratio**0.5
            sides += [(wide, flat), (flat, wide)]
        anchors.append(tuple((min(width, 1.0), min(height, 1.0)) for width, height in sides))
    return tuple(anchors)


def ssdlite(
    *,
    num_classes: int = 90,
    in_channels: int = 3,
    backbone: str = "mobilenet_v3_large_reduced",
    width: float = 1.0,
) -> Detector:
    """SSDLite on a backbone of a width: (B, in_channels, H, W) -> (B, A, 4 + num_classes).

    Published networks number COCO's 80 classes by its own 90 numbers.

    Raises:
        ModelError: no such backbone.
    """
    if backbone not in BACKBONES:
        raise ModelError(f"SSDLite has no backbone {backbone!r} here; {nearest(backbone, BACKBONES)}")
    network: Network = BACKBONES[backbone](in_channels=in_channels, width=width)
    first = next(stage for stage in network.stages if stage.reduction == 32)
    if isinstance(first[0], InvertedResidual):  # type: ignore[index]
        widen_before(network, 32)
    if isinstance(network.head[0], ConvNormAct):  # type: ignore[index]
        keep_last_conv(network)
    trunk = Trunk(network, (16, 32))
    neck = ExtraLayers(trunk.channels, norm=_NORM)
    head = SSDLiteHead(neck.channels, num_classes + 1, norm=_NORM)
    coder = DeltaCoder(ssd_anchors(len(neck.channels)), neck.strides, (10.0, 5.0), norm=True)
    return Detector(trunk, neck, head, coder, SoftmaxScoring(), criterion=CRITERION)
