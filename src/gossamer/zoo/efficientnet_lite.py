"""EfficientNet-Lite0: EfficientNet (Tan & Le, ICML 2019, arXiv 1905.11946, table 1) without squeeze-excite.

The lite form is the authors' release for small devices (tensorflow/tpu, efficientnet/lite): ReLU6 for swish, no
squeeze-excite, stem and head not scaled with the width. Convolutions of stride 2 pad as TensorFlow's SAME does,
which the published weights need; BN epsilon 1e-3, momentum 0.01. Input (x - 127) / 128.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from torch import nn

from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import ConvNormAct, Norm, init_convolutional, make_divisible
from gossamer.nn.network import Network, Stage, classifier

__all__ = ["efficientnet_lite0"]


class Row(NamedTuple):
    """One line of table 1 (stages 2 to 8)."""

    t: int
    """Expansion factor."""
    k: int
    """Kernel."""
    s: int
    """Stride of the first layer."""
    c: int
    """Output channels."""
    n: int
    """Layers."""


TABLE_1 = (
    Row(1, 3, 1, 16, 1),
    Row(6, 3, 2, 24, 2),
    Row(6, 5, 2, 40, 2),
    Row(6, 3, 2, 80, 3),
    Row(6, 5, 1, 112, 3),
    Row(6, 5, 2, 192, 4),
    Row(6, 3, 1, 320, 1),
)
NORM: Norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)


def efficientnet_lite0(
    *, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.2
) -> Network:
    """EfficientNet-Lite0, its stages scaled by a width: (B, in_channels, H, W) -> (B, num_classes)."""
    channels = 32
    stem = ConvNormAct(in_channels, channels, 3, 2, norm=NORM, act=nn.ReLU6, same=True)
    reduction = 2
    stages: list[Stage] = []
    for row in TABLE_1:
        out = make_divisible(row.c * width)
        reduction *= row.s
        blocks: list[nn.Module] = []
        for repeat in range(row.n):
            stride = row.s if repeat == 0 else 1
            blocks.append(
                InvertedResidual(
                    channels, out, channels * row.t, kernel=row.k, stride=stride, norm=NORM, same=True
                )
            )
            channels = out
        stages.append(Stage(blocks, channels=out, reduction=reduction))
    head = classifier(channels, num_classes, conv_channels=1280, dropout=dropout, norm=NORM)
    network = Network(stem, stages, head)
    init_convolutional(network)
    return network
