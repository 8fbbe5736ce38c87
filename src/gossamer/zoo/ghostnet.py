"""GhostNet: More Features from Cheap Operations; GhostNetV2: Enhance Cheap Operation with Long-Range Attention.

Han et al., CVPR 2020, arXiv 1911.11907, table 1; Tang et al., NeurIPS 2022, arXiv 2211.12905: the same table with a
long-range gate in every bottleneck but the first two. Channels are rounded to multiples of 4, the squeeze-excite to
a quarter of the hidden channels, gated by a hard sigmoid. The 1280 of the head are not scaled.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from gossamer.nn.blocks import GhostBottleneck
from gossamer.nn.layers import ConvNormAct, SqueezeExcite, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["ghostnet", "ghostnet_v2"]


class Row(NamedTuple):
    """One line of table 1."""

    k: int
    """Kernel of the depthwise convolution at stride 2."""
    exp: int
    """Hidden channels."""
    out: int
    """Output channels."""
    se: bool
    """Squeeze-and-excite."""
    s: int
    """Stride."""


TABLE_1 = (
    Row(3, 16, 16, False, 1),
    Row(3, 48, 24, False, 2),
    Row(3, 72, 24, False, 1),
    Row(5, 72, 40, True, 2),
    Row(5, 120, 40, True, 1),
    Row(3, 240, 80, False, 2),
    Row(3, 200, 80, False, 1),
    Row(3, 184, 80, False, 1),
    Row(3, 184, 80, False, 1),
    Row(3, 480, 112, True, 1),
    Row(3, 672, 112, True, 1),
    Row(5, 672, 160, True, 2),
    Row(5, 960, 160, False, 1),
    Row(5, 960, 160, True, 1),
    Row(5, 960, 160, False, 1),
    Row(5, 960, 160, True, 1),
)


def ghostnet(
    *, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.2
) -> Network:
    """GhostNet at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    return _ghostnet(num_classes, in_channels, width, dropout, gated_from=len(TABLE_1))


def ghostnet_v2(
    *, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.2
) -> Network:
    """GhostNetV2 at a width: (B, in_channels, H, W) -> (B, num_classes); H and W of 64 and more."""
    return _ghostnet(num_classes, in_channels, width, dropout, gated_from=2)


def _ghostnet(
    num_classes: int, in_channels: int, width: float, dropout: float, *, gated_from: int
) -> Network:
    stem_channels = make_divisible(16 * width, 4)
    stem = ConvNormAct(in_channels, stem_channels, 3, 2)
    stages = StageList(stem_channels, reduction=2)
    for index, row in enumerate(TABLE_1):
        if row.s == 2:
            stages.end_stage()
        out, hidden = make_divisible(row.out * width, 4), make_divisible(row.exp * width, 4)
        block = GhostBottleneck(
            stages.channels,
            out,
            hidden,
            kernel=row.k,
            stride=row.s,
            excite=_excite if row.se else None,
            long_range=index >= gated_from,
        )
        stages.add(block, channels=out, stride=row.s)
    head = classifier(
        stages.channels,
        num_classes,
        conv_channels=make_divisible(960 * width, 4),
        hidden_channels=1280,
        dropout=dropout,
        act=nn.ReLU,
    )
    gated = gated_from < len(TABLE_1)
    network = Network(stem, stages.stages(), head, min_input=64 if gated else None)
    init_convolutional(network)
    return network


def _excite(channels: int) -> nn.Module:
    return SqueezeExcite(channels, make_divisible(channels / 4, 4))
