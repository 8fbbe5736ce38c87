"""Rethinking Bottleneck Structure for Efficient Mobile Network Design (MobileNeXt).

Zhou et al., ECCV 2020, arXiv 2007.02269. Rows: table 2. Which of the four convolutions a sandglass has depends on
its place, as in the authors' code: all four where channels stay, no depthwise ones where only the channels change,
no first depthwise one at stride 2. `identity` is the share of the channels that the shortcut adds (table 9).
The last row makes the 1280 channels of the head, which a width below 1 does not shrink.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import nn

from gossamer.nn.blocks import Sandglass
from gossamer.nn.layers import ConvNormAct, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["mobilenext"]


class Row(NamedTuple):
    """One line of table 2."""

    t: int
    """Reduction ratio."""
    c: int
    """Output channels."""
    b: int
    """Blocks."""
    s: int
    """Stride of the first block."""


TABLE_2 = (
    Row(2, 96, 1, 2),
    Row(6, 144, 1, 1),
    Row(6, 192, 3, 2),
    Row(6, 288, 3, 2),
    Row(6, 384, 4, 1),
    Row(6, 576, 4, 2),
    Row(6, 960, 3, 1),
    Row(6, 1280, 1, 1),
)


def mobilenext(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    width: float = 1.0,
    identity: float = 1.0,
    dropout: float = 0.2,
) -> Network:
    """MobileNeXt at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    stem_channels = make_divisible(32 * width)
    stem = ConvNormAct(in_channels, stem_channels, 3, 2, act=nn.ReLU6)
    stages = StageList(stem_channels, reduction=2)
    for row in TABLE_2:
        out = make_divisible(row.c * (max(1.0, width) if row.c == 1280 else width))
        for repeat in range(row.b):
            stride = row.s if repeat == 0 else 1
            block = _sandglass(row, stages.channels, out, stride, identity)
            stages.add(block, channels=out, stride=stride)
        stages.end_stage()
    head = classifier(stages.channels, num_classes, dropout=dropout)
    network = Network(stem, stages.stages(), head)
    init_convolutional(network)
    return network


def _sandglass(row: Row, channels: int, out: int, stride: int, identity: float) -> Sandglass:
    hidden = channels // row.t
    if hidden < out / 6:
        hidden = make_divisible(math.ceil(out / 6), 16)
    full = row.t == 2 or channels == out or (row.b == 1 and row.s == 1)
    return Sandglass(
        channels,
        out,
        hidden,
        stride=stride,
        first=full,
        last=full or stride == 2,
        residual=row.b > 1,
        identity_channels=make_divisible(channels * identity) if identity < 1 else None,
    )
