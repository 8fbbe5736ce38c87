"""VGG: Very Deep Convolutional Networks for Large-Scale Image Recognition.

Simonyan & Zisserman, ICLR 2015, arXiv 1409.1556. Layers: table 1, columns A, B, D and E by their depth (VGG-16 is D,
VGG-19 is E). The paper has no norm; `batch_norm=True` puts one behind every convolution, as torchvision does, which
keeps the biases. Initialised as in torchvision, by He et al. and N(0, 0.01) for the linear layers: the paper draws
everything from N(0, 0.01) and starts the deeper networks from a trained A. The grid of 7 x 7 means before the linear
layers, also torchvision's, changes nothing at 224 pixels and lets in any other size.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.layers import ConvNormAct, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, hidden_classifier

__all__ = ["vgg"]

CHANNELS = (64, 128, 256, 512, 512)
TABLE_1: dict[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""Depth -> 3x3 convolutions of each block; a 2x2 maximum follows every block."""
HIDDEN_CHANNELS = 4096
GRID = 7


def vgg(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    depth: Literal[11, 13, 16, 19] = 16,
    batch_norm: bool = False,
    width: float = 1.0,
    dropout: float = 0.5,
) -> Network:
    """VGG of a depth: (B, in_channels, H, W) -> (B, num_classes).

    Raises:
        ModelError: no such depth.
    """
    if depth not in TABLE_1:
        raise ModelError(f"depth is one of {', '.join(map(str, TABLE_1))}, got {depth}; take 16 or 19")
    layer = partial(ConvNormAct, kernel=3, norm=nn.BatchNorm2d if batch_norm else None, bias=True)
    first, *later = ((make_divisible(c * width), n) for c, n in zip(CHANNELS, TABLE_1[depth], strict=True))
    out, repeats = first
    stem = nn.Sequential(layer(in_channels, out), *(layer(out, out) for _ in range(repeats - 1)))
    stages = StageList(out, reduction=1)
    for out, repeats in later:
        stages.add(nn.MaxPool2d(2), stride=2)
        for _ in range(repeats):
            stages.add(layer(stages.channels, out), channels=out)
        stages.end_stage()
    stages.add(nn.MaxPool2d(2), stride=2)
    hidden = make_divisible(HIDDEN_CHANNELS * width)
    head = hidden_classifier(stages.channels, num_classes, grid=GRID, hidden_channels=hidden, dropout=dropout)
    network = Network(stem, stages.stages(), head)
    init_convolutional(network)
    return network
