"""DenseNet: Densely Connected Convolutional Networks.

Huang, Liu, van der Maaten & Weinberger, CVPR 2017, arXiv 1608.06993. Stages: table 1 (DenseNet-BC: bottlenecks,
transitions that halve the channels, growth 32, a stem of twice the growth). A stage is a transition and the dense
block behind it; the last ends with the final norm and ReLU, so that its map is what the classifier averages. `width`
scales the growth, and with it everything.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.blocks import DenseLayer, DenseTransition
from gossamer.nn.layers import ConvNormAct, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["densenet"]

GROWTH = 32
TABLE_1: dict[int, tuple[int, ...]] = {
    121: (6, 12, 24, 16),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
}
"""Depth -> layers of the four dense blocks."""


def densenet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    depth: Literal[121, 169, 201] = 121,
    width: float = 1.0,
    dropout: float = 0.0,
) -> Network:
    """DenseNet-BC of a depth: (B, in_channels, H, W) -> (B, num_classes).

    Raises:
        ModelError: no such depth.
    """
    if depth not in TABLE_1:
        raise ModelError(f"depth is one of {', '.join(map(str, TABLE_1))}, got {depth}; take 121")
    growth = make_divisible(GROWTH * width)
    stem = nn.Sequential(ConvNormAct(in_channels, 2 * growth, 7, 2), nn.MaxPool2d(3, 2, 1))
    stages = StageList(2 * growth, reduction=4)
    for index, layers in enumerate(TABLE_1[depth]):
        if index > 0:
            stages.end_stage()
            half = stages.channels // 2
            stages.add(DenseTransition(stages.channels, half), channels=half, stride=2)
        for _ in range(layers):
            stages.add(DenseLayer(stages.channels, growth), channels=stages.channels + growth)
    stages.add(nn.BatchNorm2d(stages.channels))
    stages.add(nn.ReLU())
    network = Network(stem, stages.stages(), classifier(stages.channels, num_classes, dropout=dropout))
    init_convolutional(network, conv=nn.init.kaiming_normal_)
    return network
