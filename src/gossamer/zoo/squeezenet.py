"""SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size.

Iandola et al., 2016, arXiv 1602.07360. Table 1 for 1.0; 1.1 is the authors' later release (same accuracy, 2.4 times
fewer multiply-accumulates). conv1 is not padded and pools round up, as in the authors' Caffe files; conv10 of 1.0 is
padded there by 1 (`caffe_padding=True`, which their published weights need), in torchvision not. `simple_bypass`
adds the input around fire3, 5, 7 and 9 (section 6). No normalisation anywhere; every convolution has a bias.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import nn

from gossamer.nn.blocks import Fire
from gossamer.nn.layers import ConvNormAct, make_divisible
from gossamer.nn.network import Network, Stage

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


def squeezenet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    version: Literal["1.0", "1.1"] = "1.1",
    width: float = 1.0,
    simple_bypass: bool = False,
    caffe_padding: bool = False,
    dropout: float = 0.5,
) -> Network:
    """SqueezeNet of either version: (B, in_channels, H, W) -> (B, num_classes)."""
    stem_channels, kernel, pools = VERSIONS[version]
    channels = make_divisible(stem_channels * width)
    stem = ConvNormAct(in_channels, channels, kernel, 2, norm=None, padding=0)
    reduction = 2
    stages: list[Stage] = []
    blocks: list[nn.Module] = []
    for index, row in enumerate(TABLE_1):
        if index in pools:
            if blocks:
                stages.append(Stage(blocks, channels=channels, reduction=reduction))
            blocks = [nn.MaxPool2d(3, 2, ceil_mode=True)]
            reduction *= 2
        s1x1, e1x1, e3x3 = (make_divisible(c * width) for c in row)
        blocks.append(Fire(channels, s1x1, e1x1, e3x3, bypass=simple_bypass and index % 2 == 1))
        channels = e1x1 + e3x3
    stages.append(Stage(blocks, channels=channels, reduction=reduction))
    head = nn.Sequential(
        nn.Dropout(dropout),
        ConvNormAct(channels, num_classes, norm=None, padding=int(caffe_padding)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
    )
    network = Network(stem, stages, head)
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
