"""MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications.

Howard et al., 2017, arXiv 1704.04861. Body: table 1; the width multiplier thins every layer (section 3.3), the
resolution multiplier is the input size (section 3.4). The paper's ReLU; the authors' released weights were trained
with ReLU6, TensorFlow's SAME padding and BN epsilon 1e-3 (`relu6`, `same`, `norm_eps`).
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from torch import nn

from gossamer.nn.blocks import DepthwiseSeparable
from gossamer.nn.layers import Act, ConvNormAct, Norm, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["mobilenet_v1"]


class Row(NamedTuple):
    """One depthwise separable convolution of table 1."""

    c: int
    """Output channels."""
    s: int
    """Stride."""


TABLE_1 = (
    Row(64, 1),
    Row(128, 2),
    Row(128, 1),
    Row(256, 2),
    Row(256, 1),
    Row(512, 2),
    *[Row(512, 1)] * 5,
    Row(1024, 2),
    Row(1024, 1),
)


def mobilenet_v1(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    width: float = 1.0,
    dropout: float = 0.001,
    relu6: bool = False,
    same: bool = False,
    norm_eps: float = 1e-5,
) -> Network:
    """MobileNet at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    norm: Norm = partial(nn.BatchNorm2d, eps=norm_eps)
    act: Act = nn.ReLU6 if relu6 else nn.ReLU
    stem_channels = make_divisible(32 * width)
    stem = ConvNormAct(in_channels, stem_channels, 3, 2, norm=norm, act=act, same=same)
    stages = StageList(stem_channels, reduction=2)
    for index, row in enumerate(TABLE_1):
        if row.s == 2 and index > 0:
            stages.end_stage()
        out = make_divisible(row.c * width)
        block = DepthwiseSeparable(stages.channels, out, stride=row.s, norm=norm, act=act, same=same)
        stages.add(block, channels=out, stride=row.s)
    stages.end_stage()
    head = classifier(stages.channels, num_classes, dropout=dropout)
    network = Network(stem, stages.stages(), head)
    init_convolutional(network)
    return network
