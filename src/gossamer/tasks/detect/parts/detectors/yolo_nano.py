"""YOLO Nano: a Highly Compact You Only Look Once Convolutional Neural Network for Object Detection.

Wong et al., 2019, arXiv 1910.01271, figure 3; channels as in the reimplementation of liux0614 (MIT). Anchors and targets
are YOLOv3's. The paper's "4.0 MB" are not these layers in fp32, which hold 3.0 M params.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gossamer.nn.layers import ConvNormAct
from gossamer.tasks.detect.parts.backbones.trunk import Trunk
from gossamer.tasks.detect.parts.backbones.yolo_nano import PEP, ep, yolo_nano_backbone
from gossamer.tasks.detect.parts.coders import TightAnchorCoder
from gossamer.tasks.detect.parts.detector import Detector
from gossamer.tasks.detect.parts.detectors.v5_style import ANCHORS
from gossamer.tasks.detect.parts.detectors.yolo_fastest import CRITERION
from gossamer.tasks.detect.parts.heads import CoupledHead
from gossamer.tasks.detect.parts.necks.neck import Neck, upsampled
from gossamer.tasks.detect.parts.scorings import ObjectnessScoring

__all__ = ["yolo_nano"]


class _Neck(Neck):
    """Three maps -> three levels of 93, 183 and 462 channels: down, 1x1, nearest x2 and the next map, PEPs."""

    def __init__(self, in_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.strides, self.channels = (8, 16, 32), (93, 183, 462)
        fine, middle, coarse = in_channels
        self.coarse_out = ep(coarse, 462)
        self.lateral_middle = ConvNormAct(coarse, 105, act=nn.ReLU6)
        self.middle = nn.Sequential(
            PEP(105 + middle, 325, 113), PEP(325, 207, 99), ConvNormAct(207, 98, act=nn.ReLU6)
        )
        self.middle_out = ep(98, 183)
        self.lateral_fine = ConvNormAct(98, 47, act=nn.ReLU6)
        self.fine = nn.Sequential(PEP(47 + fine, 122, 58), PEP(122, 87, 52), PEP(87, 93, 47))

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        c3, c4, c5 = pyramid
        middle = self.middle(torch.cat([upsampled(self.lateral_middle(c5), c4), c4], 1))
        fine = self.fine(torch.cat([upsampled(self.lateral_fine(middle), c3), c3], 1))
        return [fine, self.middle_out(middle), self.coarse_out(c5)]


def yolo_nano(*, num_classes: int = 80, in_channels: int = 3) -> Detector:
    """YOLO Nano: (B, in_channels, H, W) -> (B, A, 4 + num_classes)."""
    backbone = Trunk(yolo_nano_backbone(in_channels=in_channels))
    neck = _Neck(backbone.channels)
    head = CoupledHead([nn.Identity() for _ in neck.channels], neck.channels, num_classes)
    coder = TightAnchorCoder(ANCHORS, neck.strides)
    return Detector(backbone, neck, head, coder, ObjectnessScoring(), criterion=CRITERION)
