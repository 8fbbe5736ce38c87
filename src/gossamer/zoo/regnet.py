"""Designing Network Design Spaces (RegNet).

Radosavovic et al., CVPR 2020, arXiv 2003.13678: widths by equations 2 to 4, X block figure 4, Y adds squeeze-excite
to a quarter of the block's input width (section 5); parameters of the authors' release (pycls). Stage widths are
rounded to the nearest multiple of the group width; torchvision rounds as MobileNet does (`form="torchvision"`), which
changes RegNetX-400MF and RegNetY-800MF.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import groupby
from typing import Literal, NamedTuple

from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.blocks import Bottleneck
from gossamer.nn.layers import ConvNormAct, Excite, SqueezeExcite, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["regnet"]


class Row(NamedTuple):
    """The parameters of one network."""

    d: int
    """Blocks."""
    w_0: int
    """Initial width."""
    w_a: float
    """Slope of the widths."""
    w_m: float
    """Width multiplier between stages."""
    g: int
    """Group width."""


X = {
    "200mf": Row(13, 24, 36.44, 2.49, 8),
    "400mf": Row(22, 24, 24.48, 2.54, 16),
    "600mf": Row(16, 48, 36.97, 2.24, 24),
    "800mf": Row(16, 56, 35.73, 2.28, 16),
    "1.6gf": Row(18, 80, 34.01, 2.25, 24),
}
Y = {
    "200mf": Row(13, 24, 36.44, 2.49, 8),
    "400mf": Row(16, 48, 27.89, 2.09, 8),
    "600mf": Row(15, 48, 32.54, 2.32, 16),
    "800mf": Row(14, 56, 38.84, 2.4, 16),
    "1.6gf": Row(27, 48, 20.71, 2.65, 24),
}


def regnet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    block: Literal["x", "y"] = "x",
    size: Literal["200mf", "400mf", "600mf", "800mf", "1.6gf"] = "200mf",
    width: float = 1.0,
    form: Literal["paper", "torchvision"] = "paper",
    dropout: float = 0.0,
) -> Network:
    """RegNetX or RegNetY of a size, at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    row = {"x": X, "y": Y}[block][size]
    stem_channels = make_divisible(32 * width)
    stem = ConvNormAct(in_channels, stem_channels, 3, 2)
    stages = StageList(stem_channels, reduction=2)
    for wanted, blocks in _widths(row, width):
        group = min(row.g, wanted)
        nearest = make_divisible(wanted, group) if form == "torchvision" else round(wanted / group) * group
        out = max(group, int(nearest))
        for index in range(blocks):
            stride = 2 if index == 0 else 1
            made = Bottleneck(
                stages.channels,
                out,
                out,
                stride=stride,
                groups=out // group,
                excite=_excite(stages.channels) if block == "y" else None,
            )
            stages.add(made, channels=out, stride=stride)
        stages.end_stage()
    network = Network(stem, stages.stages(), classifier(stages.channels, num_classes, dropout=dropout))
    init_convolutional(network)
    return network


def _widths(row: Row, width: float) -> list[tuple[int, int]]:
    """(width, blocks) of each stage: equations 2 to 4, in multiples of 8."""
    steps = [round(math.log((row.w_0 + row.w_a * j) / row.w_0) / math.log(row.w_m)) for j in range(row.d)]
    if row.w_0 * width < 1:
        raise ModelError(
            f"a stage has at least 1 channel, width={width:g} leaves {row.w_0 * width:g}; use a larger width"
        )
    widths = [max(8, round(row.w_0 * width * row.w_m**step / 8) * 8) for step in steps]
    return [(value, len(list(same))) for value, same in groupby(widths)]


def _excite(in_channels: int) -> Excite:
    return partial(SqueezeExcite, squeeze_channels=round(in_channels / 4), gate=nn.Sigmoid)
