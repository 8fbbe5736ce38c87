"""Rewrite the Stars (StarNet).

Ma et al., CVPR 2024, arXiv 2403.19967, table 7: base width and depths of S1 to S4; expansion 4, 7x7 depthwise
convolutions. The stem has 32 channels; a 3x3 convolution of stride 2 opens every stage; a norm closes the last map.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

from torch import nn

from gossamer.nn.blocks import StarBlock
from gossamer.nn.layers import ConvNormAct, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["starnet"]


class Row(NamedTuple):
    """One line of table 7."""

    embed: int
    """Channels of the first stage, doubled by each later one."""
    depths: tuple[int, int, int, int]


TABLE_7 = {
    "s1": Row(24, (2, 2, 8, 3)),
    "s2": Row(32, (1, 2, 6, 2)),
    "s3": Row(32, (2, 2, 8, 4)),
    "s4": Row(32, (3, 3, 12, 5)),
}


def starnet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    size: Literal["s1", "s2", "s3", "s4"] = "s1",
    width: float = 1.0,
    dropout: float = 0.0,
) -> Network:
    """StarNet of a size, at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    row = TABLE_7[size]
    stem = ConvNormAct(in_channels, 32, 3, 2, act=nn.ReLU6, bias=True)
    stages = StageList(32, reduction=2)
    for stage, depth in enumerate(row.depths):
        out = make_divisible(row.embed * width) * 2**stage
        down = ConvNormAct(stages.channels, out, 3, 2, act=None, bias=True)
        stages.add(down, channels=out, stride=2)
        for _ in range(depth):
            stages.add(StarBlock(out, 4 * out))
        stages.end_stage()
    head = nn.Sequential(
        nn.BatchNorm2d(stages.channels), *classifier(stages.channels, num_classes, dropout=dropout)
    )
    network = Network(stem, stages.stages(), head)
    truncated = partial(nn.init.trunc_normal_, std=0.02)
    init_convolutional(network, conv=truncated, linear=truncated)
    return network
