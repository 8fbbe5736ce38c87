"""The backbone of YOLOv3-tiny (Redmon & Farhadi, 1804.02767, by its cfg), of plain or of parted convolutions."""

from __future__ import annotations

from functools import partial

from torch import nn

from gossamer.nn.blocks import DepthwiseSeparable, InvertedResidual
from gossamer.nn.layers import ConvNormAct, SqueezeExcite, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList

__all__ = ["SLOPE", "tiny_darknet"]

SLOPE = 0.1
"""Of LeakyReLU."""
CHANNELS = (16, 32, 64, 128, 256, 512)
LAST = 1024
INVERTED_FROM = 256
"""Channels from which parted convolutions are inverted residuals with 5x5 and squeeze-excite."""


def _excite(channels: int) -> nn.Module:
    return SqueezeExcite(channels, make_divisible(channels / 4))


def tiny_darknet(*, in_channels: int = 3, width: float = 1.0, parted: bool = False) -> Network:
    """Stem and stages without a classifier: maps of reductions 2, 4, 8, 16, 32, each stage a 2x2 maximum and a 3x3.

    `parted` has depthwise separable convolutions early and inverted residuals with squeeze-excite late in their place.
    """
    act = partial(nn.LeakyReLU, SLOPE)

    def layer(before: int, out: int) -> nn.Module:
        if not parted:
            return ConvNormAct(before, out, 3, act=act)
        if out < INVERTED_FROM * width:
            return DepthwiseSeparable(before, out, act=act)
        return InvertedResidual(before, out, 2 * before, kernel=5, excite=_excite, act=act)

    first, *widths = (make_divisible(channels * width) for channels in CHANNELS)
    stages = StageList(first, reduction=1)
    for channels in widths:
        stages.add(nn.MaxPool2d(2, 2), stride=2)
        stages.add(layer(stages.channels, channels), channels=channels)
        stages.end_stage()
    last = make_divisible(LAST * width)
    if not parted:  # the cfg's maximum of stride 1 looks right and down
        stages.add(nn.Sequential(nn.ReplicationPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, 1)))
    stages.add(layer(stages.channels, last), channels=last)
    network = Network(ConvNormAct(in_channels, first, 3, act=act), stages.stages(), nn.Identity())
    init_convolutional(network)
    return network
