"""MobileNetV2: Inverted Residuals and Linear Bottlenecks.

Sandler et al., CVPR 2018, arXiv 1801.04381. Stage table: table 2; width rule: section 6.1 (the last 1x1
convolution is widened above 1.0 and never narrowed). Channels are rounded as in the authors' TF-slim code.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import ConvNormAct, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["mobilenet_v2"]


class Row(NamedTuple):
    """One line of table 2."""

    t: int
    """Expansion factor."""
    c: int
    """Output channels."""
    n: int
    """Repeats."""
    s: int
    """Stride of the first repeat."""


TABLE_2 = (
    Row(1, 16, 1, 1),
    Row(6, 24, 2, 2),
    Row(6, 32, 3, 2),
    Row(6, 64, 4, 2),
    Row(6, 96, 3, 1),
    Row(6, 160, 3, 2),
    Row(6, 320, 1, 1),
)


def mobilenet_v2(
    *, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.2
) -> Network:
    """MobileNetV2 at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    stem_channels = make_divisible(32 * width)
    stem = ConvNormAct(in_channels, stem_channels, 3, 2, act=nn.ReLU6)
    stages = StageList(stem_channels, reduction=2)
    for row in TABLE_2:
        out = make_divisible(row.c * width)
        for repeat in range(row.n):
            stride = row.s if repeat == 0 else 1
            block = InvertedResidual(stages.channels, out, stages.channels * row.t, stride=stride)
            stages.add(block, channels=out, stride=stride)
        stages.end_stage()
    last = make_divisible(1280 * max(1.0, width))
    head = classifier(stages.channels, num_classes, conv_channels=last, dropout=dropout)
    network = Network(stem, stages.stages(), head)
    init_convolutional(network)
    return network
