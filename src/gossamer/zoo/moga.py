"""MoGA: Searching Beyond MobileNetV3.

Chu et al., ICASSP 2020, arXiv 1908.01314, figure 3: the found networks A, B and C, rows as the authors' release lists them.
Squeeze-excite squeezes to a quarter of the hidden channels (plain integer division); its inner activation is the
block's. The hidden layer of the head has no bias; its 1280 are not scaled by the width.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import nn

from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import Act, ConvNormAct, Excite, SqueezeExcite, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList

__all__ = ["moga"]


class Row(NamedTuple):
    """One searched block."""

    t: int
    """Expansion factor."""
    c: int
    """Output channels."""
    k: int
    """Kernel."""
    s: int
    """Stride."""
    nl: Literal["RE", "HS"]
    """ReLU or hard-swish."""
    se: bool
    """Squeeze-and-excite."""


A = (
    Row(6, 24, 5, 2, "RE", False),
    Row(6, 24, 7, 1, "RE", False),
    Row(6, 40, 3, 2, "RE", False),
    Row(6, 40, 3, 1, "RE", True),
    Row(3, 40, 3, 1, "RE", True),
    Row(6, 80, 3, 2, "HS", True),
    Row(6, 80, 3, 1, "HS", False),
    Row(6, 80, 7, 1, "HS", False),
    Row(3, 80, 7, 1, "HS", True),
    Row(6, 112, 7, 1, "HS", False),
    Row(6, 112, 3, 1, "HS", False),
    Row(6, 160, 3, 2, "HS", False),
    Row(6, 160, 5, 1, "HS", True),
    Row(6, 160, 5, 1, "HS", True),
)
B = (
    Row(3, 24, 3, 2, "RE", False),
    Row(3, 24, 3, 1, "RE", False),
    Row(6, 40, 7, 2, "RE", False),
    Row(3, 40, 3, 1, "RE", False),
    Row(6, 40, 5, 1, "RE", False),
    Row(6, 80, 3, 2, "HS", True),
    Row(6, 80, 5, 1, "HS", True),
    Row(3, 80, 3, 1, "HS", False),
    Row(6, 80, 7, 1, "HS", True),
    Row(6, 112, 7, 1, "HS", False),
    Row(3, 112, 5, 1, "HS", False),
    Row(6, 160, 7, 2, "HS", True),
    Row(6, 160, 7, 1, "HS", True),
    Row(6, 160, 3, 1, "HS", True),
)
C = (
    Row(3, 24, 5, 2, "RE", False),
    Row(3, 24, 3, 1, "RE", False),
    Row(3, 40, 5, 2, "RE", False),
    Row(3, 40, 3, 1, "RE", False),
    Row(3, 40, 5, 1, "RE", False),
    Row(3, 80, 5, 2, "HS", False),
    Row(6, 80, 5, 1, "HS", True),
    Row(3, 80, 5, 1, "HS", False),
    Row(3, 80, 5, 1, "HS", False),
    Row(6, 112, 3, 1, "HS", False),
    Row(6, 112, 3, 1, "HS", True),
    Row(6, 160, 3, 2, "HS", True),
    Row(6, 160, 3, 1, "HS", True),
    Row(6, 160, 3, 1, "HS", True),
)
FOUND = {"a": A, "b": B, "c": C}
ACTS: dict[str, Act] = {"RE": nn.ReLU, "HS": nn.Hardswish}


def moga(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    found: Literal["a", "b", "c"] = "a",
    width: float = 1.0,
    dropout: float = 0.2,
) -> Network:
    """MoGA-A, -B or -C at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    stem_channels = make_divisible(16 * width)
    stem = ConvNormAct(in_channels, stem_channels, 3, 2, act=nn.Hardswish)
    stages = StageList(stem_channels, reduction=2)
    stages.add(InvertedResidual(stem_channels, stem_channels, stem_channels, act=nn.ReLU))
    stages.end_stage()
    rows = FOUND[found]
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        out = make_divisible(row.c * width)
        act = ACTS[row.nl]
        block = InvertedResidual(
            stages.channels,
            out,
            stages.channels * row.t,
            kernel=row.k,
            stride=row.s,
            excite=_excite(act) if row.se else None,
            act=act,
        )
        stages.add(block, channels=out, stride=row.s)
        if following is None or following.c != row.c:
            stages.end_stage()
    last = make_divisible(960 * width)
    head = nn.Sequential(
        ConvNormAct(stages.channels, last, act=nn.Hardswish),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
        nn.Linear(last, 1280, bias=False),
        nn.Hardswish(),
        nn.Dropout(dropout),
        nn.Linear(1280, num_classes),
    )
    network = Network(stem, stages.stages(), head)
    init_convolutional(network)
    return network


def _excite(act: Act) -> Excite:
    return lambda channels: SqueezeExcite(channels, channels // 4, act=act)
