"""PP-LCNet: A Lightweight CPU Convolutional Neural Network.

Cui et al., 2021, arXiv 2109.15099, table 2. Depthwise separable convolutions with hard-swish and no shortcut; 5x5 and
squeeze-excite only in the last stages. The hidden layer of the head has no bias, as in the authors' release (timm's has
one: `head_bias=True`); its 1280 are not scaled by the width.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from gossamer.nn.blocks import DepthwiseSeparable
from gossamer.nn.layers import ConvNormAct, SqueezeExcite, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList

__all__ = ["lcnet"]


class Row(NamedTuple):
    """One block of table 2."""

    k: int
    """Kernel."""
    c: int
    """Output channels."""
    s: int
    """Stride."""
    se: bool = False
    """Squeeze-and-excite."""


TABLE_2 = (
    (Row(3, 32, 1),),
    (Row(3, 64, 2), Row(3, 64, 1)),
    (Row(3, 128, 2), Row(3, 128, 1)),
    (Row(3, 256, 2), *[Row(5, 256, 1)] * 5),
    (Row(5, 512, 2, True), Row(5, 512, 1, True)),
)


def lcnet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    width: float = 1.0,
    head_bias: bool = False,
    dropout: float = 0.2,
) -> Network:
    """PP-LCNet at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    stem_channels = make_divisible(16 * width)
    stem = ConvNormAct(in_channels, stem_channels, 3, 2, act=nn.Hardswish)
    stages = StageList(stem_channels, reduction=2)
    for rows in TABLE_2:
        for row in rows:
            out = make_divisible(row.c * width)
            block = DepthwiseSeparable(
                stages.channels,
                out,
                kernel=row.k,
                stride=row.s,
                excite=_excite if row.se else None,
                act=nn.Hardswish,
            )
            stages.add(block, channels=out, stride=row.s)
        stages.end_stage()
    head = nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
        nn.Linear(stages.channels, 1280, bias=head_bias),
        nn.Hardswish(),
        nn.Dropout(dropout),
        nn.Linear(1280, num_classes),
    )
    network = Network(stem, stages.stages(), head)
    init_convolutional(network)
    return network


def _excite(channels: int) -> nn.Module:
    return SqueezeExcite(channels, channels // 4)
