"""EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, and its Lite release.

Tan & Le, ICML 2019, arXiv 1905.11946. B0: table 1; B1 to B7 by width, depth and resolution (section 4). The Lite form
is the authors' release for small devices (tensorflow/tpu, efficientnet/lite): ReLU6 for swish, no squeeze-excite, stem,
head and the depths of the first and last stage not scaled. Convolutions of stride 2 pad as TensorFlow's SAME does,
which the published weights need; BN epsilon 1e-3, momentum 0.01. torchvision pads evenly (`same=False`). Squeeze-excite
squeezes to a quarter of the block's input channels. A residual branch is dropped with up to `drop_path`, growing linearly.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

from torch import nn

from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import Act, ConvNormAct, Norm, SqueezeExcite, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["efficientnet", "efficientnet_lite"]


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


def efficientnet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    width: float = 1.0,
    depth: float = 1.0,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    same: bool = True,
    norm_eps: float = 1e-3,
) -> Network:
    """EfficientNet at a width and a depth: (B, in_channels, H, W) -> (B, num_classes)."""
    norm: Norm = partial(nn.BatchNorm2d, eps=norm_eps, momentum=0.01)
    stem = ConvNormAct(in_channels, make_divisible(32 * width), 3, 2, norm=norm, act=nn.SiLU, same=same)
    stages = StageList(make_divisible(32 * width), reduction=2)
    repeats = [math.ceil(row.n * depth) for row in TABLE_1]
    _add_rows(stages, repeats, width, excite=True, drop_path=drop_path, norm=norm, act=nn.SiLU, same=same)
    head = classifier(
        stages.channels,
        num_classes,
        conv_channels=make_divisible(1280 * width),
        dropout=dropout,
        norm=norm,
        act=nn.SiLU,
    )
    network = Network(stem, stages.stages(), head)
    init_convolutional(network)
    return network


def efficientnet_lite(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    width: float = 1.0,
    depth: float = 1.0,
    dropout: float = 0.2,
    drop_path: float = 0.0,
) -> Network:
    """EfficientNet-Lite, its stages scaled by a width and a depth: (B, in_channels, H, W) -> (B, num_classes)."""
    norm: Norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
    stem = ConvNormAct(in_channels, 32, 3, 2, norm=norm, act=nn.ReLU6, same=True)
    stages = StageList(32, reduction=2)
    last = len(TABLE_1) - 1
    repeats = [row.n if i in (0, last) else math.ceil(row.n * depth) for i, row in enumerate(TABLE_1)]
    _add_rows(stages, repeats, width, excite=False, drop_path=drop_path, norm=norm, act=nn.ReLU6, same=True)
    head = classifier(stages.channels, num_classes, conv_channels=1280, dropout=dropout, norm=norm)
    network = Network(stem, stages.stages(), head)
    init_convolutional(network)
    return network


def _add_rows(
    stages: StageList,
    repeats: list[int],
    width: float,
    *,
    excite: bool,
    drop_path: float,
    norm: Norm,
    act: Act,
    same: bool,
) -> None:
    """Table 1 at a width, row i repeated `repeats[i]` times: one stage a row."""
    blocks_before = 0
    for row, count in zip(TABLE_1, repeats, strict=True):
        out = make_divisible(row.c * width)
        for repeat in range(count):
            stride = row.s if repeat == 0 else 1
            squeeze = partial(
                SqueezeExcite, squeeze_channels=max(1, int(stages.channels / 4)), act=act, gate=nn.Sigmoid
            )
            block = InvertedResidual(
                stages.channels,
                out,
                stages.channels * row.t,
                kernel=row.k,
                stride=stride,
                excite=squeeze if excite else None,
                drop_path=drop_path * blocks_before / sum(repeats),
                norm=norm,
                act=act,
                same=same,
            )
            stages.add(block, channels=out, stride=stride)
            blocks_before += 1
        stages.end_stage()
