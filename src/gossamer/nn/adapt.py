"""Making a trained network take other bands and give other classes."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.network import Architecture, replace_classifier

__all__ = ["Bands", "adapt"]

Bands = Literal["repeat", "mean", "zero"]
"""How kernels for new bands are made of those for the old ones."""


def adapt(
    network: nn.Module,
    *,
    in_channels: int | None = None,
    num_classes: int | None = None,
    bands: Bands = "repeat",
) -> None:
    """Give a network other input bands and another number of classes, keeping what it learnt: in place.

    The last layer is made anew. The layers that take the picture keep their kernels: "repeat" goes round the old
    bands, "mean" gives every band the mean of the old kernels, both scaled by old / new bands so that activations
    keep their size; "zero" keeps the old bands first and gives the new ones nothing to say until they are trained.

    Raises:
        ModelError: the network has no convolution or classifier, or `bands` is none of the three.
    """
    if num_classes is not None:
        replace_classifier(network, num_classes)
    if in_channels is None:
        return
    if in_channels < 1:
        raise ModelError(f"a picture has at least 1 band, got in_channels={in_channels}")
    for name in _image_layers(network):
        old = network.get_submodule(name)
        assert isinstance(old, nn.Conv2d)
        new = copy.deepcopy(old)
        new.in_channels = in_channels
        new.weight = nn.Parameter(_kernels(old.weight.detach(), in_channels, bands))
        parent, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(parent), leaf, new)


def _image_layers(network: nn.Module) -> list[str]:
    if isinstance(network, Architecture):
        return network.image_layers()
    found = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    if not found:
        raise ModelError(f"other bands need a convolution to adapt, {type(network).__name__} has none")
    return found[:1]


def _kernels(weight: Tensor, in_channels: int, bands: Bands) -> Tensor:
    """(out, old, kh, kw) -> (out, in_channels, kh, kw)."""
    old = weight.shape[1]
    if bands == "repeat":
        rounds = -(-in_channels // old)
        return weight.repeat(1, rounds, 1, 1)[:, :in_channels] * (old / in_channels)
    if bands == "mean":
        return weight.mean(1, keepdim=True).repeat(1, in_channels, 1, 1) * (old / in_channels)
    if bands == "zero":
        missing = weight.new_zeros(weight.shape[0], max(0, in_channels - old), *weight.shape[2:])
        return torch.cat([weight[:, :in_channels], missing], 1)
    raise ModelError(f"bands is repeat, mean or zero, got {bands!r}")
