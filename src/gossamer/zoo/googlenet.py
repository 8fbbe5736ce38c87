"""GoogLeNet: Going Deeper with Convolutions.

Szegedy et al., CVPR 2015, arXiv 1409.4842. Layers: table 1. `form="paper"` has response normalisation around the
second convolution, biases and no batch norm; the paper gives neither the constants of the normalisation nor the
initialisation, so these are those of Caffe's replica, bvlc_googlenet (k 1, alpha 1e-4 over 5 channels; uniform by
fan-in, biases 0.2). `form="torchvision"` has batch norm, 3x3 where the paper has 5x5, and a last pool of 2x2. Pools
round up. The auxiliary classifiers (section 5), which serve training only, are left out.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.blocks import Inception
from gossamer.nn.layers import ConvNormAct, Norm, ResponseNorm, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["googlenet"]


class Row(NamedTuple):
    """One inception module of table 1, under its columns."""

    c1: int
    """#1x1."""
    reduce3: int
    """#3x3 reduce."""
    c3: int
    """#3x3."""
    reduce5: int
    """#5x5 reduce."""
    c5: int
    """#5x5."""
    pool: int
    """pool proj."""


# 3a and 3b, 4a to 4e, 5a and 5b; a pool precedes each group
TABLE_1 = (
    (Row(64, 96, 128, 16, 32, 32), Row(128, 128, 192, 32, 96, 64)),
    (
        Row(192, 96, 208, 16, 48, 64),
        Row(160, 112, 224, 24, 64, 64),
        Row(128, 128, 256, 24, 64, 64),
        Row(112, 144, 288, 32, 64, 64),
        Row(256, 160, 320, 32, 128, 128),
    ),
    (Row(256, 160, 320, 32, 128, 128), Row(384, 192, 384, 48, 128, 128)),
)


def googlenet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    form: Literal["paper", "torchvision"] = "paper",
    width: float = 1.0,
    dropout: float = 0.4,
) -> Network:
    """GoogLeNet: (B, in_channels, H, W) -> (B, num_classes).

    Raises:
        ModelError: no such form.
    """
    if form not in ("paper", "torchvision"):
        raise ModelError(f"form is paper or torchvision, got {form!r}; leave it out for the paper's")
    paper = form == "paper"
    norm: Norm | None = None if paper else partial(nn.BatchNorm2d, eps=1e-3)
    conv1, conv2 = make_divisible(64 * width), make_divisible(192 * width)
    stem = ConvNormAct(in_channels, conv1, 7, 2, norm=norm)
    stages = StageList(conv1, reduction=2)
    stages.add(_pool(), stride=2)
    if paper:
        stages.add(_response_norm())
    stages.add(ConvNormAct(conv1, conv1, norm=norm))
    stages.add(ConvNormAct(conv1, conv2, 3, norm=norm), channels=conv2)
    if paper:
        stages.add(_response_norm())
    for group in TABLE_1:
        stages.end_stage()
        last = group is TABLE_1[-1]
        stages.add(_pool(2 if last and not paper else 3), stride=2)
        for row in group:
            c = Row(*(make_divisible(value * width) for value in row))
            module = Inception(
                stages.channels, **c._asdict(), kernel5=5 if paper else 3, norm=norm, act=nn.ReLU
            )
            stages.add(module, channels=c.c1 + c.c3 + c.c5 + c.pool)
    network = Network(stem, stages.stages(), classifier(stages.channels, num_classes, dropout=dropout))
    _init(network)
    return network


def _pool(size: int = 3) -> nn.Module:
    return nn.MaxPool2d(size, 2, ceil_mode=True)


def _response_norm() -> nn.Module:
    return ResponseNorm(alpha=1e-4 / 5, k=1.0)


def _init(network: Network) -> None:
    """Uniform with variance 1 / fan-in; biases 0.2 in convolutions, zero in the classifier."""
    uniform = partial(nn.init.kaiming_uniform_, nonlinearity="linear")
    init_convolutional(network, conv=uniform, linear=uniform)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.constant_(module.bias, 0.2)
