"""MobileOne: An Improved One millisecond Mobile Backbone.

Vasu et al., CVPR 2023, arXiv 2206.04040. Blocks and widths: tables 2 and 3 (stage 6 follows stage 5 at stride 1; the
authors' code makes them one of ten blocks). Trained with `k` branches a convolution; `deploy=True` builds the
plain form that `gossamer.nn.edits.fuse` turns the trained one into. S4 has squeeze-excite, to a sixteenth, in its last blocks.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

from torch import nn

from gossamer.nn.blocks import RepConv
from gossamer.nn.layers import ConvNormAct, SqueezeExcite, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["mobileone"]


class Row(NamedTuple):
    """One column of table 3."""

    widths: tuple[float, float, float, float]
    """Multipliers of the four stages."""
    k: int
    """Branches of every convolution while training."""
    excited: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Blocks at the end of each stage with squeeze-and-excite."""


TABLE_3 = {
    "s0": Row((0.75, 1.0, 1.0, 2.0), 4),
    "s1": Row((1.5, 1.5, 2.0, 2.5), 1),
    "s2": Row((1.5, 2.0, 2.5, 4.0), 1),
    "s3": Row((2.0, 2.5, 3.0, 4.0), 1),
    "s4": Row((3.0, 3.5, 3.5, 4.0), 1, (0, 0, 5, 1)),
}
BLOCKS = (2, 8, 10, 1)
CHANNELS = (64, 128, 256, 512)


def mobileone(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    size: Literal["s0", "s1", "s2", "s3", "s4"] = "s0",
    width: float = 1.0,
    deploy: bool = False,
    dropout: float = 0.0,
) -> Network:
    """MobileOne of a size, at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    row = TABLE_3[size]
    stem_channels = make_divisible(min(64, 64 * row.widths[0]) * width)
    stem = _conv(in_channels, stem_channels, 3, 2, deploy=deploy)
    stages = StageList(stem_channels, reduction=2)
    for blocks, base, factor, excited in zip(BLOCKS, CHANNELS, row.widths, row.excited, strict=True):
        out = make_divisible(base * factor * width)
        for index in range(blocks):
            stride = 2 if index == 0 else 1
            parts = partial(_conv, branches=row.k, deploy=deploy, excite=index >= blocks - excited)
            stages.add(
                nn.Sequential(
                    parts(stages.channels, stages.channels, 3, stride, groups=stages.channels),
                    parts(stages.channels, out, 1),
                ),
                channels=out,
                stride=stride,
            )
        stages.end_stage()
    network = Network(stem, stages.stages(), classifier(stages.channels, num_classes, dropout=dropout))
    init_convolutional(network)
    return network


def _conv(
    channels: int,
    out: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    branches: int = 1,
    deploy: bool,
    excite: bool = False,
) -> nn.Module:
    conv: nn.Module
    if deploy:
        conv = ConvNormAct(channels, out, kernel, stride, groups=groups, norm=None, act=None)
    else:
        conv = RepConv(channels, out, kernel, stride=stride, groups=groups, branches=branches)
    gate = [SqueezeExcite(out, out // 16, gate=nn.Sigmoid)] if excite else []
    return nn.Sequential(conv, *gate, nn.ReLU())
