"""MixConv: Mixed Depthwise Convolutional Kernels (MixNet).

Tan & Le, BMVC 2019, arXiv 1907.09595, figure 7; group counts of the 1x1 convolutions, squeeze ratios and heads are of
the authors' code (tensorflow/tpu, mixnet). Large is Medium at width 1.3. Squeeze-excite squeezes to a share of the
block's input channels. The authors pad as TensorFlow does with BN epsilon 1e-3 (`same`, `norm_eps`).
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

from torch import nn

from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import (
    Act,
    ConvNormAct,
    Excite,
    Norm,
    SqueezeExcite,
    init_convolutional,
    make_divisible,
)
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["mixnet"]


class Row(NamedTuple):
    """One kind of block of figure 7."""

    k: tuple[int, ...]
    """Kernels that share the channels."""
    t: int
    """Expansion factor."""
    c: int
    """Output channels."""
    n: int
    """Repeats."""
    s: int
    """Stride of the first."""
    se: float
    """Squeeze ratio; 0 without."""
    nl: Literal["RE", "SW"]
    """ReLU or swish."""
    g: tuple[int, int]
    """Groups of the expanding and of the projecting 1x1 convolution."""


SMALL = (
    Row((3,), 1, 16, 1, 1, 0, "RE", (1, 1)),
    Row((3,), 6, 24, 1, 2, 0, "RE", (2, 2)),
    Row((3,), 3, 24, 1, 1, 0, "RE", (2, 2)),
    Row((3, 5, 7), 6, 40, 1, 2, 0.5, "SW", (1, 1)),
    Row((3, 5), 6, 40, 3, 1, 0.5, "SW", (2, 2)),
    Row((3, 5, 7), 6, 80, 1, 2, 0.25, "SW", (1, 2)),
    Row((3, 5), 6, 80, 2, 1, 0.25, "SW", (1, 2)),
    Row((3, 5, 7), 6, 120, 1, 1, 0.5, "SW", (2, 2)),
    Row((3, 5, 7, 9), 3, 120, 2, 1, 0.5, "SW", (2, 2)),
    Row((3, 5, 7, 9, 11), 6, 200, 1, 2, 0.5, "SW", (1, 1)),
    Row((3, 5, 7, 9), 6, 200, 2, 1, 0.5, "SW", (1, 2)),
)
MEDIUM = (
    Row((3,), 1, 24, 1, 1, 0, "RE", (1, 1)),
    Row((3, 5, 7), 6, 32, 1, 2, 0, "RE", (2, 2)),
    Row((3,), 3, 32, 1, 1, 0, "RE", (2, 2)),
    Row((3, 5, 7, 9), 6, 40, 1, 2, 0.5, "SW", (1, 1)),
    Row((3, 5), 6, 40, 3, 1, 0.5, "SW", (2, 2)),
    Row((3, 5, 7), 6, 80, 1, 2, 0.25, "SW", (1, 1)),
    Row((3, 5, 7, 9), 6, 80, 3, 1, 0.25, "SW", (2, 2)),
    Row((3,), 6, 120, 1, 1, 0.5, "SW", (1, 1)),
    Row((3, 5, 7, 9), 3, 120, 3, 1, 0.5, "SW", (2, 2)),
    Row((3, 5, 7, 9), 6, 200, 1, 2, 0.5, "SW", (1, 1)),
    Row((3, 5, 7, 9), 6, 200, 3, 1, 0.5, "SW", (1, 2)),
)
TABLES = {"small": (16, SMALL), "medium": (24, MEDIUM)}
ACTS: dict[str, Act] = {"RE": nn.ReLU, "SW": nn.SiLU}


def mixnet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    size: Literal["small", "medium"] = "small",
    width: float = 1.0,
    dropout: float = 0.25,
    same: bool = False,
    norm_eps: float = 1e-3,
) -> Network:
    """MixNet of a size, at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    norm: Norm = partial(nn.BatchNorm2d, eps=norm_eps)
    stem_channels, rows = TABLES[size]
    stem_channels = make_divisible(stem_channels * width)
    stem = ConvNormAct(in_channels, stem_channels, 3, 2, norm=norm, same=same)
    stages = StageList(stem_channels, reduction=2)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        out = make_divisible(row.c * width)
        for repeat in range(row.n):
            stride = row.s if repeat == 0 else 1
            block = InvertedResidual(
                stages.channels,
                out,
                make_divisible(stages.channels * row.t),
                kernel=row.k,
                stride=stride,
                excite=_excite(int(stages.channels * row.se)) if row.se else None,
                expand_groups=row.g[0],
                project_groups=row.g[1],
                norm=norm,
                act=ACTS[row.nl],
                same=same,
            )
            stages.add(block, channels=out, stride=stride)
        if following is None or following.c != row.c:
            stages.end_stage()
    head = classifier(
        stages.channels, num_classes, conv_channels=1536, dropout=dropout, norm=norm, act=nn.ReLU
    )
    network = Network(stem, stages.stages(), head)
    init_convolutional(network)
    return network


def _excite(squeeze_channels: int) -> Excite:
    return partial(SqueezeExcite, squeeze_channels=squeeze_channels, act=nn.SiLU, gate=nn.Sigmoid)
