"""SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size.

Iandola et al., 2016, arXiv 1602.07360. Table 1 for 1.0; 1.1 is the authors' later release (same accuracy, 2.4 times
fewer multiply-accumulates). conv1 is not padded and pools round up, as in the authors' Caffe files; conv10 of 1.0 is
padded there by 1 (`caffe_padding=True`, which their published weights need), in torchvision not. Simple bypass adds
the input around fire3, 5, 7 and 9, complex bypass through a 1x1 convolution around the others too (section 6). No
normalisation anywhere; every convolution has a bias.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import nn

from gossamer.nn.blocks import Fire
from gossamer.nn.layers import ConvNormAct, make_divisible
from gossamer.nn.network import Network, StageList

__all__ = ["squeezenet"]


class Row(NamedTuple):
    """One fire module of table 1."""

    s1x1: int
    e1x1: int
    e3x3: int


TABLE_1 = (
    Row(16, 64, 64),
    Row(16, 64, 64),
    Row(32, 128, 128),
    Row(32, 128, 128),
    Row(48, 192, 192),
    Row(48, 192, 192),
    Row(64, 256, 256),
    Row(64, 256, 256),
)
# conv1 (channels, kernel) and the index in TABLE_1 of the fire modules that a pool precedes
VERSIONS: dict[str, tuple[int, int, tuple[int, ...]]] = {"1.0": (96, 7, (0, 3, 7)), "1.1": (64, 3, (0, 2, 4))}
MIN_INPUT = {"1.0": 21, "1.1": 17}
"""Where the unpadded convolution and the pools leave one pixel."""
Shortcut = Literal["none", "identity", "conv"]
SHORTCUTS: dict[str, tuple[Shortcut, Shortcut]] = {
    "none": ("none", "none"),
    "simple": ("none", "identity"),
    "complex": ("conv", "identity"),
}
"""Bypass -> shortcut of even and of odd fire modules; the channels change in the even ones."""


def squeezenet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    version: Literal["1.0", "1.1"] = "1.1",
    width: float = 1.0,
    bypass: Literal["none", "simple", "complex"] = "none",
    caffe_padding: bool = False,
    dropout: float = 0.5,
) -> Network:
    """SqueezeNet of either version: (B, in_channels, H, W) -> (B, num_classes)."""
    stem_channels, kernel, pools = VERSIONS[version]
    stem_channels = make_divisible(stem_channels * width)
    stem = ConvNormAct(in_channels, stem_channels, kernel, 2, norm=None, padding=0)
    stages = StageList(stem_channels, reduction=2)
    for index, row in enumerate(TABLE_1):
        if index in pools:
            if index > 0:
                stages.end_stage()
            stages.add(nn.MaxPool2d(3, 2, ceil_mode=True), stride=2)
        s1x1, e1x1, e3x3 = (make_divisible(c * width) for c in row)
        fire = Fire(stages.channels, s1x1, e1x1, e3x3, shortcut=SHORTCUTS[bypass][index % 2])
        stages.add(fire, channels=e1x1 + e3x3)
    head = nn.Sequential(
        nn.Dropout(dropout),
        ConvNormAct(stages.channels, num_classes, norm=None, padding=int(caffe_padding)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
    )
    network = Network(stem, stages.stages(), head, min_input=MIN_INPUT[version])
    _init(network)
    return network


def _init(network: Network) -> None:
    """Xavier as in the authors' files, N(0, 0.01) for conv10."""
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    for conv in convolutions:
        nn.init.xavier_uniform_(conv.weight)
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
    nn.init.normal_(convolutions[-1].weight, 0.0, 0.01)
