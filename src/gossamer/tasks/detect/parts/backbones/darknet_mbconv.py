"""The backbone of YOLO-Fastest: inverted residuals in darknet's manner (https://github.com/dog-qiuqiu/Yolo-Fastest)."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from torch import nn

from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import ConvNormAct, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList

__all__ = ["SLOPE", "darknet_mbconv"]

SLOPE = 0.1
"""Of LeakyReLU."""


class Row(NamedTuple):
    """One line of the cfg: blocks that differ only in the first's stride and channels."""

    exp: int
    """Hidden channels."""
    out: int
    """Output channels."""
    n: int
    """Blocks."""
    s: int
    """Stride of the first."""


TABLE = (
    Row(8, 4, 2, 1),
    Row(24, 8, 1, 2),
    Row(32, 8, 2, 1),
    Row(32, 8, 1, 2),
    Row(48, 8, 2, 1),
    Row(48, 16, 1, 1),
    Row(96, 16, 4, 1),
    Row(96, 24, 1, 2),
    Row(136, 24, 4, 1),
    Row(136, 48, 1, 2),
    Row(224, 48, 5, 1),
)


def darknet_mbconv(*, in_channels: int = 3, width: float = 1.0, drop_path: float = 0.15) -> Network:
    """Stem and stages without a classifier: maps of reductions 2 to 32. Where the cfg drops numbers of a branch, whole
    branches are dropped while training."""
    act = partial(nn.LeakyReLU, SLOPE)
    stem_channels = make_divisible(8 * width, 4)
    stages = StageList(stem_channels, reduction=2)
    for row in TABLE:
        if row.s == 2:
            stages.end_stage()
        out, hidden = make_divisible(row.out * width, 4), make_divisible(row.exp * width, 4)
        for index in range(row.n):
            stride = row.s if index == 0 else 1
            block = InvertedResidual(
                stages.channels,
                out,
                hidden,
                stride=stride,
                always_expand=True,
                drop_path=drop_path,
                act=act,
            )
            stages.add(block, channels=out, stride=stride)
    network = Network(ConvNormAct(in_channels, stem_channels, 3, 2, act=act), stages.stages(), nn.Identity())
    init_convolutional(network)
    return network
