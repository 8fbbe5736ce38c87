"""MnasNet: Platform-Aware Neural Architecture Search for Mobile.

Tan et al., CVPR 2019, arXiv 1807.11626. A1: figure 7a (squeeze-excite to a quarter of the block's input channels,
sigmoid gate); B1: the search without squeeze-excite (section 5, appendix), as in the authors' release. The 1280
channels of the head are not scaled by the width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from torch import nn

from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import ConvNormAct, Norm, SqueezeExcite, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["mnasnet_a1", "mnasnet_b1"]


class Row(NamedTuple):
    """One layer of figure 7a."""

    t: int
    """Expansion factor; 1 is a separable convolution."""
    k: int
    """Kernel."""
    c: int
    """Output channels."""
    n: int
    """Repeats."""
    s: int
    """Stride of the first."""
    se: bool
    """Squeeze-and-excite."""


FIGURE_7A = (
    Row(1, 3, 16, 1, 1, False),
    Row(6, 3, 24, 2, 2, False),
    Row(3, 5, 40, 3, 2, True),
    Row(6, 3, 80, 4, 2, False),
    Row(6, 3, 112, 2, 1, True),
    Row(6, 5, 160, 3, 2, True),
    Row(6, 3, 320, 1, 1, False),
)
B1 = (
    Row(1, 3, 16, 1, 1, False),
    Row(3, 3, 24, 3, 2, False),
    Row(3, 5, 40, 3, 2, False),
    Row(6, 5, 80, 3, 2, False),
    Row(6, 3, 96, 2, 1, False),
    Row(6, 5, 192, 4, 2, False),
    Row(6, 3, 320, 1, 1, False),
)
NORM: Norm = partial(nn.BatchNorm2d, momentum=3e-4)


def mnasnet_a1(
    *, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.2
) -> Network:
    """MnasNet-A1 at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    return _mnasnet(FIGURE_7A, num_classes, in_channels, width, dropout)


def mnasnet_b1(
    *, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.2
) -> Network:
    """MnasNet-B1 at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    return _mnasnet(B1, num_classes, in_channels, width, dropout)


def _mnasnet(
    rows: Sequence[Row], num_classes: int, in_channels: int, width: float, dropout: float
) -> Network:
    stem_channels = make_divisible(32 * width)
    stem = ConvNormAct(in_channels, stem_channels, 3, 2, norm=NORM)
    stages = StageList(stem_channels, reduction=2)
    for row in rows:
        out = make_divisible(row.c * width)
        for repeat in range(row.n):
            stride = row.s if repeat == 0 else 1
            squeeze = partial(SqueezeExcite, squeeze_channels=int(stages.channels / 4), gate=nn.Sigmoid)
            block = InvertedResidual(
                stages.channels,
                out,
                stages.channels * row.t,
                kernel=row.k,
                stride=stride,
                excite=squeeze if row.se else None,
                norm=NORM,
                act=nn.ReLU,
            )
            stages.add(block, channels=out, stride=stride)
        stages.end_stage()
    head = classifier(
        stages.channels, num_classes, conv_channels=1280, dropout=dropout, norm=NORM, act=nn.ReLU
    )
    network = Network(stem, stages.stages(), head)
    init_convolutional(network)
    return network
