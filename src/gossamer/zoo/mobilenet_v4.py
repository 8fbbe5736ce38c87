"""MobileNetV4: Universal Models for the Mobile Ecosystem.

Qin et al., ECCV 2024, arXiv 2404.10518. Conv-S: table 11, Conv-M: table 12, Conv-L: table 13. A row gives the kernels
of the two optional depthwise convolutions of a universal inverted bottleneck; "conv" rows are plain, "fused" rows
a k x k expansion and a 1x1. The head pools between its 960 and 1280 channels; the 1280 are not scaled by the width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from torch import nn

from gossamer.nn.blocks import UniversalInvertedBottleneck
from gossamer.nn.layers import ConvNormAct, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList

__all__ = ["mobilenet_v4_conv"]


class Row(NamedTuple):
    """One line of tables 11 to 13."""

    kind: Literal["conv", "fused", "uib"]
    k1: int
    """Kernel of the first depthwise convolution, 0 without; of conv and fused rows their kernel."""
    k2: int
    """Kernel of the middle depthwise convolution, 0 without."""
    t: float
    """Expansion factor."""
    c: int
    """Output channels."""
    s: int
    """Stride."""


def _uib(k1: int, k2: int, t: float, c: int, s: int = 1) -> Row:
    return Row("uib", k1, k2, t, c, s)


SMALL = (
    (Row("conv", 3, 0, 1, 32, 2), Row("conv", 1, 0, 1, 32, 1)),
    (Row("conv", 3, 0, 1, 96, 2), Row("conv", 1, 0, 1, 64, 1)),
    (_uib(5, 5, 3, 96, 2), *[_uib(0, 3, 2, 96)] * 4, _uib(3, 0, 4, 96)),
    (
        _uib(3, 3, 6, 128, 2),
        _uib(5, 5, 4, 128),
        _uib(0, 5, 4, 128),
        _uib(0, 5, 3, 128),
        *[_uib(0, 3, 4, 128)] * 2,
    ),
)
MEDIUM = (
    (Row("fused", 3, 0, 4, 48, 2),),
    (_uib(3, 5, 4, 80, 2), _uib(3, 3, 2, 80)),
    (
        _uib(3, 5, 6, 160, 2),
        *[_uib(3, 3, 4, 160)] * 2,
        _uib(3, 5, 4, 160),
        _uib(3, 3, 4, 160),
        _uib(3, 0, 4, 160),
        _uib(0, 0, 2, 160),
        _uib(3, 0, 4, 160),
    ),
    (
        _uib(5, 5, 6, 256, 2),
        _uib(5, 5, 4, 256),
        *[_uib(3, 5, 4, 256)] * 2,
        _uib(0, 0, 4, 256),
        _uib(3, 0, 4, 256),
        _uib(3, 5, 2, 256),
        _uib(5, 5, 4, 256),
        *[_uib(0, 0, 4, 256)] * 2,
        _uib(5, 0, 2, 256),
    ),
)
LARGE = (
    (Row("fused", 3, 0, 4, 48, 2),),
    (_uib(3, 5, 4, 96, 2), _uib(3, 3, 4, 96)),
    (
        _uib(3, 5, 4, 192, 2),
        *[_uib(3, 3, 4, 192)] * 3,
        _uib(3, 5, 4, 192),
        *[_uib(5, 3, 4, 192)] * 5,
        _uib(3, 0, 4, 192),
    ),
    (
        _uib(5, 5, 4, 512, 2),
        *[_uib(5, 5, 4, 512)] * 3,
        _uib(5, 0, 4, 512),
        _uib(5, 3, 4, 512),
        *[_uib(5, 0, 4, 512)] * 2,
        _uib(5, 3, 4, 512),
        _uib(5, 5, 4, 512),
        *[_uib(5, 0, 4, 512)] * 3,
    ),
)
SIZES: dict[str, tuple[int, Sequence[Sequence[Row]]]] = {
    "small": (32, SMALL),
    "medium": (32, MEDIUM),
    "large": (24, LARGE),
}


def mobilenet_v4_conv(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    size: Literal["small", "medium", "large"] = "small",
    width: float = 1.0,
    dropout: float = 0.2,
) -> Network:
    """MobileNetV4-Conv of a size, at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    stem_channels, table = SIZES[size]
    stem_channels = make_divisible(stem_channels * width)
    stem = ConvNormAct(in_channels, stem_channels, 3, 2)
    stages = StageList(stem_channels, reduction=2)
    for rows in table:
        for row in rows:
            out = make_divisible(row.c * width)
            stages.add(_block(row, stages.channels, out), channels=out, stride=row.s)
        stages.end_stage()
    last = make_divisible(960 * width)
    head = nn.Sequential(
        ConvNormAct(stages.channels, last),
        nn.AdaptiveAvgPool2d(1),
        ConvNormAct(last, 1280),
        nn.Flatten(1),
        nn.Dropout(dropout),
        nn.Linear(1280, num_classes),
    )
    network = Network(stem, stages.stages(), head)
    init_convolutional(network)
    return network


def _block(row: Row, channels: int, out: int) -> nn.Module:
    if row.kind == "conv":
        return ConvNormAct(channels, out, row.k1, row.s)
    hidden = make_divisible(channels * row.t)
    if row.kind == "fused":
        return nn.Sequential(ConvNormAct(channels, hidden, row.k1, row.s), ConvNormAct(hidden, out, act=None))
    return UniversalInvertedBottleneck(
        channels, out, hidden, start_kernel=row.k1, middle_kernel=row.k2, stride=row.s
    )
