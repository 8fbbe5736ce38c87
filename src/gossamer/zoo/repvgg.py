"""RepVGG: Making VGG-style ConvNets Great Again.

Ding et al., CVPR 2021, arXiv 2101.03697. Layers and widths: tables 2 and 3. Trained with a 3x3, a 1x1 and an identity
branch in every block; `deploy=True` builds the plain 3x3 form that `gossamer.nn.edits.fuse` turns the trained one into.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import nn

from gossamer.nn.blocks import RepConv
from gossamer.nn.layers import ConvNormAct, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["repvgg"]


class Row(NamedTuple):
    """One line of table 3."""

    layers: tuple[int, int, int, int]
    """Layers of stages 2 to 5."""
    a: float
    """Multiplier of the first four stages."""
    b: float
    """Multiplier of the last stage."""


TABLE_3 = {
    "a0": Row((2, 4, 14, 1), 0.75, 2.5),
    "a1": Row((2, 4, 14, 1), 1.0, 2.5),
    "a2": Row((2, 4, 14, 1), 1.5, 2.75),
    "b0": Row((4, 6, 16, 1), 1.0, 2.5),
}
WIDTHS = (64, 128, 256, 512)


def repvgg(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    size: Literal["a0", "a1", "a2", "b0"] = "a0",
    width: float = 1.0,
    deploy: bool = False,
    dropout: float = 0.0,
) -> Network:
    """RepVGG of a size, at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    row = TABLE_3[size]
    stem_channels = make_divisible(min(64, 64 * row.a) * width)
    stem = _block(in_channels, stem_channels, 2, deploy)
    stages = StageList(stem_channels, reduction=2)
    for index, (layers, base) in enumerate(zip(row.layers, WIDTHS, strict=True)):
        out = make_divisible(base * (row.b if index == 3 else row.a) * width)
        for layer in range(layers):
            stride = 2 if layer == 0 else 1
            stages.add(_block(stages.channels, out, stride, deploy), channels=out, stride=stride)
        stages.end_stage()
    network = Network(stem, stages.stages(), classifier(stages.channels, num_classes, dropout=dropout))
    init_convolutional(network)
    return network


def _block(channels: int, out: int, stride: int, deploy: bool) -> nn.Module:
    if deploy:
        return ConvNormAct(channels, out, 3, stride, norm=None)
    return nn.Sequential(RepConv(channels, out, 3, stride=stride), nn.ReLU())
