"""Searching for MobileNetV3.

Howard et al., ICCV 2019, arXiv 1905.02244. Large: table 1, Small: table 2 (the final paper's 1024 head). The 1280
and 1024 of the head are not scaled by the width: only so do the published 0.75 figures come out. Squeeze-excite
squeezes to a quarter of the expanded channels, rounded to 8; at other widths the expansion is taken of the scaled
input channels, as in TF-slim. BN epsilon 1e-3, momentum 0.01 as in TF-slim.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

from torch import nn

from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import Act, ConvNormAct, Norm, init_convolutional, make_divisible
from gossamer.nn.network import Network, Stage, classifier

__all__ = ["mobilenet_v3_large", "mobilenet_v3_small"]


class Row(NamedTuple):
    """One line of tables 1 and 2."""

    k: int
    """Kernel."""
    exp: int
    """Expanded channels."""
    out: int
    """Output channels."""
    se: bool
    """Squeeze-and-excite."""
    nl: Literal["RE", "HS"]
    """ReLU or hard-swish."""
    s: int
    """Stride."""


TABLE_1_LARGE = (
    Row(3, 16, 16, False, "RE", 1),
    Row(3, 64, 24, False, "RE", 2),
    Row(3, 72, 24, False, "RE", 1),
    Row(5, 72, 40, True, "RE", 2),
    Row(5, 120, 40, True, "RE", 1),
    Row(5, 120, 40, True, "RE", 1),
    Row(3, 240, 80, False, "HS", 2),
    Row(3, 200, 80, False, "HS", 1),
    Row(3, 184, 80, False, "HS", 1),
    Row(3, 184, 80, False, "HS", 1),
    Row(3, 480, 112, True, "HS", 1),
    Row(3, 672, 112, True, "HS", 1),
    Row(5, 672, 160, True, "HS", 2),
    Row(5, 960, 160, True, "HS", 1),
    Row(5, 960, 160, True, "HS", 1),
)
TABLE_2_SMALL = (
    Row(3, 16, 16, True, "RE", 2),
    Row(3, 72, 24, False, "RE", 2),
    Row(3, 88, 24, False, "RE", 1),
    Row(5, 96, 40, True, "HS", 2),
    Row(5, 240, 40, True, "HS", 1),
    Row(5, 240, 40, True, "HS", 1),
    Row(5, 120, 48, True, "HS", 1),
    Row(5, 144, 48, True, "HS", 1),
    Row(5, 288, 96, True, "HS", 2),
    Row(5, 576, 96, True, "HS", 1),
    Row(5, 576, 96, True, "HS", 1),
)
ACTS: dict[str, Act] = {"RE": nn.ReLU, "HS": nn.Hardswish}
NORM: Norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)


def mobilenet_v3_large(
    *, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.2
) -> Network:
    """MobileNetV3-Large at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    return _mobilenet_v3(TABLE_1_LARGE, 1280, num_classes, in_channels, width, dropout)


def mobilenet_v3_small(
    *, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.2
) -> Network:
    """MobileNetV3-Small at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    return _mobilenet_v3(TABLE_2_SMALL, 1024, num_classes, in_channels, width, dropout)


def _mobilenet_v3(
    rows: Sequence[Row], hidden: int, num_classes: int, in_channels: int, width: float, dropout: float
) -> Network:
    channels, table_in = make_divisible(16 * width), 16
    stem = ConvNormAct(in_channels, channels, 3, 2, norm=NORM, act=nn.Hardswish)
    reduction = 2
    stages: list[Stage] = []
    blocks: list[nn.Module] = []
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        out, exp = make_divisible(row.out * width), make_divisible(channels * row.exp / table_in)
        reduction *= row.s
        squeeze = make_divisible(exp / 4) if row.se else None
        blocks.append(
            InvertedResidual(
                channels,
                out,
                exp,
                kernel=row.k,
                stride=row.s,
                squeeze_channels=squeeze,
                norm=NORM,
                act=ACTS[row.nl],
            )
        )
        channels, table_in = out, row.out
        if following is None or following.out != row.out:
            stages.append(Stage(blocks, channels=channels, reduction=reduction))
            blocks = []
    head = classifier(
        channels,
        num_classes,
        conv_channels=make_divisible(rows[-1].exp * width),
        hidden_channels=hidden,
        dropout=dropout,
        norm=NORM,
        act=nn.Hardswish,
    )
    network = Network(stem, stages, head)
    init_convolutional(network)
    return network
