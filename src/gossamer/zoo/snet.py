"""SNet: the backbones of ThunderNet, Towards Real-time Generic Object Detection on Mobile Devices.

Qin et al., ICCV 2019, arXiv 1903.11752, table 1: ShuffleNetV2 with 5x5 depthwise convolutions; SNet49 ends in a 1x1
to 512, the others do not. The units split evenly at stride 2 too: so SNet535 counts the published 535 M.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import nn

from gossamer.nn.blocks import ShuffleUnitV2
from gossamer.nn.layers import ConvNormAct, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["snet"]


class Row(NamedTuple):
    """One column of table 1."""

    conv1: int
    stages: tuple[int, int, int]
    conv5: int | None


TABLE_1 = {
    "49": Row(24, (60, 120, 240), 512),
    "146": Row(24, (132, 264, 528), None),
    "535": Row(48, (248, 496, 992), None),
}
REPEATS = (4, 8, 4)


def snet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    size: Literal["49", "146", "535"] = "49",
    width: float = 1.0,
    dropout: float = 0.0,
) -> Network:
    """SNet of a size, at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    row = TABLE_1[size]
    stem_channels = make_divisible(row.conv1 * width, 4)
    stem = nn.Sequential(ConvNormAct(in_channels, stem_channels, 3, 2), nn.MaxPool2d(3, 2, 1))
    stages = StageList(stem_channels, reduction=4)
    for channels, repeats in zip(row.stages, REPEATS, strict=True):
        out = make_divisible(channels * width, 4)
        stages.add(ShuffleUnitV2(stages.channels, out, stride=2, kernel=5), channels=out, stride=2)
        for _ in range(repeats - 1):
            stages.add(ShuffleUnitV2(out, out, kernel=5))
        stages.end_stage()
    conv5 = None if row.conv5 is None else make_divisible(row.conv5 * width)
    head = classifier(stages.channels, num_classes, conv_channels=conv5, dropout=dropout, act=nn.ReLU)
    network = Network(stem, stages.stages(), head)
    init_convolutional(network)
    return network
