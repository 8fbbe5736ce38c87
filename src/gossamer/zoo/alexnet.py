"""AlexNet: ImageNet Classification with Deep Convolutional Neural Networks.

Krizhevsky, Sutskever & Hinton, NeurIPS 25, 2012 (`form="paper"`); one tower: Krizhevsky, One weird trick for
parallelizing convolutional neural networks, 2014, arXiv 1404.5997 (`form="one_tower"`, as torchvision has it: no
response normalisation). Layers: section 3.5 and figure 2. The two GPUs of the paper are groups of 2 in the second,
fourth and fifth layer. Its input is 227 pixels (224 in the text does not give the 55 x 55 map of figure 2), its pools
round up as in the authors' cuda-convnet. Its response normalisation (section 3.3) does not divide alpha by the size;
Caffe's copy does, and has k = 1 for 2. The grid of 6 x 6 means before the linear layers, as in torchvision, changes
nothing at 227 pixels and lets in any other size.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.layers import ConvNormAct, ResponseNorm, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, hidden_classifier

__all__ = ["alexnet"]

GRID = 6
HIDDEN_CHANNELS = 4096


class Row(NamedTuple):
    """One convolutional layer of section 3.5."""

    c: int
    """Kernels: output channels."""
    k: int
    """Kernel size."""
    s: int = 1
    """Stride."""
    padding: int = 1
    groups: int = 1
    """Towers, each of which sees its own half."""
    normalised: bool = False
    """Response normalisation follows."""
    pooled: bool = False
    """A 3x3 maximum of stride 2 follows."""


FORMS: dict[str, tuple[Row, ...]] = {
    "paper": (
        Row(96, 11, s=4, padding=0, normalised=True, pooled=True),
        Row(256, 5, padding=2, groups=2, normalised=True, pooled=True),
        Row(384, 3),
        Row(384, 3, groups=2),
        Row(256, 3, groups=2, pooled=True),
    ),
    "one_tower": (
        Row(64, 11, s=4, padding=2, pooled=True),
        Row(192, 5, padding=2, pooled=True),
        Row(384, 3),
        Row(256, 3),
        Row(256, 3, pooled=True),
    ),
}
SMALLEST = {"paper": 39, "one_tower": 63}
"""Pixels below which the last pool would have nothing to look at."""


def alexnet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    form: Literal["paper", "one_tower"] = "paper",
    width: float = 1.0,
    dropout: float = 0.5,
) -> Network:
    """AlexNet in two towers or one: (B, in_channels, H, W) -> (B, num_classes).

    Raises:
        ModelError: no such form.
    """
    if form not in FORMS:
        raise ModelError(f"form is paper or one_tower, got {form!r}; leave it out for the paper's")
    stages = StageList(in_channels, reduction=1)
    for row in FORMS[form]:
        out = make_divisible(row.c * width)
        layer = ConvNormAct(
            stages.channels, out, row.k, row.s, padding=row.padding, groups=row.groups, norm=None
        )
        stages.add(layer, channels=out, stride=row.s)
        if row.normalised:
            stages.add(ResponseNorm())
        if row.pooled:
            stages.end_stage()
            stages.add(nn.MaxPool2d(3, 2, ceil_mode=form == "paper"), stride=2)
    hidden = make_divisible(HIDDEN_CHANNELS * width)
    head = hidden_classifier(stages.channels, num_classes, grid=GRID, hidden_channels=hidden, dropout=dropout)
    network = Network(nn.Identity(), stages.stages(), head, min_input=SMALLEST[form])
    _init(network)
    return network


def _init(network: Network) -> None:
    """N(0, 0.01); biases one in layers 2, 4 and 5 and the hidden linear ones, else zero (section 5)."""
    init_convolutional(network, conv=partial(nn.init.normal_, std=0.01))
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for index in (1, 3, 4, 5, 6):
        bias = layers[index].bias
        assert isinstance(bias, Tensor)
        nn.init.ones_(bias)
