"""Searching for MobileNetV3.

Howard et al., ICCV 2019, arXiv 1905.02244. Large: table 1, Small: table 2 (the final paper's 1024 head). The 1280
and 1024 of the head are not scaled by the width: only so do the published 0.75 figures come out. Squeeze-excite
squeezes to a quarter of the expanded channels, rounded to 8; at other widths the expansion is taken of the scaled
input channels, as in TF-slim. BN epsilon 1e-3, momentum 0.01 as in TF-slim. The minimalistic form of the TF-slim
release has 3x3 kernels, ReLU and no squeeze-excite throughout; `same` pads as TensorFlow does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

from torch import nn

from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import Act, ConvNormAct, Norm, SqueezeExcite, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

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


def mobilenet_v3_large(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    width: float = 1.0,
    minimalistic: bool = False,
    reduced_tail: bool = False,
    same: bool = False,
    norm_eps: float = 1e-3,
    dropout: float = 0.2,
) -> Network:
    """MobileNetV3-Large at a width: (B, in_channels, H, W) -> (B, num_classes).

    `reduced_tail` halves what comes out of the last three blocks and all behind (section 6.3).
    """
    rows = _minimalistic(TABLE_1_LARGE) if minimalistic else TABLE_1_LARGE
    act: Act = nn.ReLU if minimalistic else nn.Hardswish
    if reduced_tail:
        first, *rest = rows[-3:]
        tail = [row._replace(exp=row.exp // 2, out=row.out // 2) for row in rest]
        rows = [*rows[:-3], first._replace(out=first.out // 2), *tail]
    return _mobilenet_v3(
        rows,
        1280 // (2 if reduced_tail else 1),
        act,
        num_classes,
        in_channels,
        width,
        same,
        norm_eps,
        dropout,
    )


def mobilenet_v3_small(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    width: float = 1.0,
    minimalistic: bool = False,
    same: bool = False,
    norm_eps: float = 1e-3,
    dropout: float = 0.2,
) -> Network:
    """MobileNetV3-Small at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    rows = _minimalistic(TABLE_2_SMALL) if minimalistic else TABLE_2_SMALL
    act: Act = nn.ReLU if minimalistic else nn.Hardswish
    return _mobilenet_v3(rows, 1024, act, num_classes, in_channels, width, same, norm_eps, dropout)


def _minimalistic(rows: Sequence[Row]) -> list[Row]:
    return [row._replace(k=3, se=False, nl="RE") for row in rows]


def _excite(channels: int) -> nn.Module:
    return SqueezeExcite(channels, make_divisible(channels / 4))


def _mobilenet_v3(
    rows: Sequence[Row],
    hidden: int,
    act: Act,
    num_classes: int,
    in_channels: int,
    width: float,
    same: bool,
    norm_eps: float,
    dropout: float,
) -> Network:
    norm: Norm = partial(nn.BatchNorm2d, eps=norm_eps, momentum=0.01)
    stem_channels, table_in = make_divisible(16 * width), 16
    stem = ConvNormAct(in_channels, stem_channels, 3, 2, norm=norm, act=act, same=same)
    stages = StageList(stem_channels, reduction=2)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        out = make_divisible(row.out * width)
        block = InvertedResidual(
            stages.channels,
            out,
            make_divisible(stages.channels * row.exp / table_in),
            kernel=row.k,
            stride=row.s,
            excite=_excite if row.se else None,
            norm=norm,
            act=ACTS[row.nl],
            same=same,
        )
        stages.add(block, channels=out, stride=row.s)
        table_in = row.out
        if following is None or following.out != row.out:
            stages.end_stage()
    head = classifier(
        stages.channels,
        num_classes,
        conv_channels=make_divisible(rows[-1].exp * width),
        hidden_channels=hidden,
        dropout=dropout,
        norm=norm,
        act=act,
    )
    network = Network(stem, stages.stages(), head)
    init_convolutional(network)
    return network
