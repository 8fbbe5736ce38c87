"""Xception: Deep Learning with Depthwise Separable Convolutions.

Chollet, CVPR 2017, arXiv 1610.02357. Blocks: figure 5, input 299. The two convolutions of the stem are not padded, as
in the author's Keras code; the paper does not say. Its initialisation is not given either: He fan-out here. The batch
norms' epsilon is torch's 1e-5 as in timm's `legacy_xception` (Keras: 1e-3). Dropout 0.5: section 4.3.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from gossamer.nn.blocks import DepthwiseSeparable, XceptionBlock
from gossamer.nn.layers import ConvNormAct, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["xception"]


class Row(NamedTuple):
    """Blocks of figure 5 that are alike."""

    c: tuple[int, ...]
    """Output channels of each separable convolution."""
    s: int = 2
    """Stride: a pool behind the last of them."""
    n: int = 1
    """Repeats."""


FIGURE_5 = (Row((128, 128)), Row((256, 256)), Row((728, 728)), Row((728, 728, 728), 1, 8), Row((728, 1024)))
EXIT_CHANNELS = (1536, 2048)


def xception(
    *, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.5
) -> Network:
    """Xception at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    first, second = make_divisible(32 * width), make_divisible(64 * width)
    stem = nn.Sequential(
        ConvNormAct(in_channels, first, 3, 2, padding=0), ConvNormAct(first, second, 3, padding=0)
    )
    stages = StageList(second, reduction=2)
    for row in FIGURE_5:
        channels = [make_divisible(c * width) for c in row.c]
        for _ in range(row.n):
            block = XceptionBlock(stages.channels, channels, stride=row.s, first_act=row is not FIGURE_5[0])
            stages.add(block, channels=channels[-1], stride=row.s)
        stages.end_stage()
    for c in EXIT_CHANNELS:
        out = make_divisible(c * width)
        stages.add(DepthwiseSeparable(stages.channels, out, between=False), channels=out)
    network = Network(stem, stages.stages(), classifier(stages.channels, num_classes, dropout=dropout))
    init_convolutional(network)
    return network
