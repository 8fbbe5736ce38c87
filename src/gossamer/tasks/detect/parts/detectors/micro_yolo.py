"""YOLOv3-tiny (Redmon & Farhadi, 2018, arXiv 1804.02767) and a detector in the style of Micro-YOLO.

Micro-YOLO (Hu & Li, CVPR Workshops of 2021) has no public code: by its abstract the 3x3 convolutions of YOLOv3-tiny are
parted early, and inverted residuals with squeeze-excite late, and channels are then pruned step by step. Here is the
network before; `gossamer compress` prunes it. Which layer has which block is ours, so are its figures.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from gossamer.nn.blocks import DepthwiseSeparable
from gossamer.nn.layers import ConvNormAct, make_divisible
from gossamer.tasks.detect.parts.backbones.tiny_darknet import SLOPE, tiny_darknet
from gossamer.tasks.detect.parts.backbones.trunk import Trunk
from gossamer.tasks.detect.parts.coders import TightAnchorCoder
from gossamer.tasks.detect.parts.detector import Detector
from gossamer.tasks.detect.parts.detectors.yolo_fastest import CRITERION
from gossamer.tasks.detect.parts.heads import CoupledHead
from gossamer.tasks.detect.parts.necks import TopDown
from gossamer.tasks.detect.parts.scorings import ObjectnessScoring

__all__ = ["ANCHORS", "micro_yolo"]

ANCHORS = (
    ((10.0, 14.0), (23.0, 27.0), (37.0, 58.0)),
    ((81.0, 82.0), (135.0, 169.0), (344.0, 319.0)),
)
"""Of yolov3-tiny.cfg, in pixels at 416."""


def micro_yolo(
    *, num_classes: int = 80, in_channels: int = 3, width: float = 1.0, parted: bool = True
) -> Detector:
    """The two levels of YOLOv3-tiny, of plain 3x3 or `parted`: (B, in_channels, H, W) -> (B, A, 4 + num_classes)."""
    act = partial(nn.LeakyReLU, SLOPE)
    backbone = Trunk(tiny_darknet(in_channels=in_channels, width=width, parted=parted), (16, 32))
    channels = make_divisible(256 * width)
    neck = TopDown(backbone.channels, channels=channels, lateral=channels // 2, act=act)
    widths = (channels, 2 * channels)

    def tower(before: int, out: int) -> nn.Module:
        return DepthwiseSeparable(before, out, act=act) if parted else ConvNormAct(before, out, 3, act=act)

    towers = [tower(before, out) for before, out in zip(neck.channels, widths, strict=True)]
    head = CoupledHead(towers, widths, num_classes)
    coder = TightAnchorCoder(ANCHORS, neck.strides)
    return Detector(backbone, neck, head, coder, ObjectnessScoring(), criterion=CRITERION)
