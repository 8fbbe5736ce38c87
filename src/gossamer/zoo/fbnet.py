"""FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural Architecture Search.

Wu et al., CVPR 2019, arXiv 1812.03443: blocks of figure 3, found networks A, B and C of figure 4 as the authors' PyTorch
release lists them. There every convolution has a bias beside its norm and blocks of expansion 1 have no expanding
1x1 (`form="paper"`); the earlier Caffe2 release, and timm with it, keep that 1x1 and have no biases
(`form="caffe2"`). Channels are rounded never more than 5 % down.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

from torch import nn

from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import ConvNormAct, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["fbnet"]


class Op(NamedTuple):
    """One searched layer; a skip where t is 0."""

    t: int
    """Expansion factor."""
    k: int
    """Kernel."""
    g: int = 1
    """Groups of both 1x1 convolutions, shuffled between."""


SKIP = Op(0, 0)
Layers = tuple[tuple[int, int, tuple[Op, ...]], ...]
"""Channels, stride of the first layer, layers."""

A: Layers = (
    (16, 1, (SKIP,)),
    (24, 2, (Op(3, 3), Op(1, 3), SKIP, SKIP)),
    (32, 2, (Op(6, 5), Op(3, 3), Op(1, 5), Op(3, 3))),
    (64, 2, (Op(6, 5), Op(3, 5), Op(1, 5, 2), Op(6, 5))),
    (112, 1, (Op(6, 3), Op(1, 5, 2), Op(3, 5), Op(1, 3, 2))),
    (184, 2, (Op(6, 5), Op(6, 5), Op(3, 5), Op(6, 5))),
    (352, 1, (Op(6, 5),)),
)
B: Layers = (
    (16, 1, (Op(1, 3),)),
    (24, 2, (Op(6, 3), Op(1, 5), Op(1, 3), Op(1, 3))),
    (32, 2, (Op(6, 5), Op(3, 5), Op(6, 3), Op(6, 5))),
    (64, 2, (Op(6, 5), Op(6, 5), SKIP, Op(3, 5))),
    (112, 1, (Op(6, 5), Op(1, 3), Op(1, 5), Op(3, 5))),
    (184, 2, (Op(6, 5), Op(1, 5), Op(6, 5), Op(6, 5))),
    (352, 1, (Op(6, 3),)),
)
C: Layers = (
    (16, 1, (Op(1, 3),)),
    (24, 2, (Op(6, 3), SKIP, Op(1, 3), Op(1, 3))),
    (32, 2, (Op(6, 5), Op(3, 5), Op(6, 5), Op(6, 3))),
    (64, 2, (Op(6, 5), Op(3, 5), Op(6, 5), Op(6, 5))),
    (112, 1, (Op(6, 5), Op(6, 5), Op(6, 5), Op(3, 5))),
    (184, 2, (Op(6, 5), Op(6, 5), Op(6, 5), Op(6, 5))),
    (352, 1, (Op(6, 3),)),
)
FOUND: dict[str, tuple[Layers, int]] = {"a": (A, 1504), "b": (B, 1984), "c": (C, 1984)}
"""Layers, and channels of the last 1x1."""


_channels = partial(make_divisible, keep=0.95)


def fbnet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    found: Literal["a", "b", "c"] = "c",
    width: float = 1.0,
    form: Literal["paper", "caffe2"] = "paper",
    dropout: float = 0.2,
) -> Network:
    """FBNet-A, -B or -C at a width: (B, in_channels, H, W) -> (B, num_classes)."""
    layers, last = FOUND[found]
    bias = form == "paper"
    stem_channels = _channels(16 * width)
    stem = ConvNormAct(in_channels, stem_channels, 3, 2, bias=bias)
    stages = StageList(stem_channels, reduction=2)
    for channels, first_stride, ops in layers:
        out = _channels(channels * width)
        for index, op in enumerate(ops):
            stride = first_stride if index == 0 else 1
            if op == SKIP:
                stages.add(nn.Identity())
                continue
            block = InvertedResidual(
                stages.channels,
                out,
                stages.channels * op.t,
                kernel=op.k,
                stride=stride,
                expand_groups=op.g,
                project_groups=op.g,
                shuffle=op.g > 1,
                always_expand=form == "caffe2",
                act=nn.ReLU,
                bias=bias,
            )
            stages.add(block, channels=out, stride=stride)
        stages.end_stage()
    head = nn.Sequential(
        ConvNormAct(stages.channels, _channels(last * max(1.0, width)), bias=bias),
        *classifier(_channels(last * max(1.0, width)), num_classes, dropout=dropout),
    )
    network = Network(stem, stages.stages(), head)
    init_convolutional(network)
    return network
