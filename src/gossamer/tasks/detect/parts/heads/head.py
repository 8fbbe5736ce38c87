"""What every head is: levels in, raw maps out, and class layers that can be made anew for other classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gossamer.tasks.detect.parts.detector import LevelMaps

__all__ = ["Head", "Layout", "split_maps"]

_FIRST_BELIEF = 0.01
"""What a class is worth everywhere before training (RetinaNet, 1708.02002, section 4.1)."""
_STD = 0.01


class Layout(NamedTuple):
    """How the outputs of a class layer lie: for every prior of a cell `before`, the class logits, `after`."""

    priors: int = 1
    before: int = 0
    after: int = 0


class Head(nn.Module):
    """Levels [(B, C_i, h_i, w_i)] -> `LevelMaps` each. `num_classes` counts the logits of a prior, one for no class among
    them where the scoring has it."""

    num_classes: int
    softmax: bool = False
    """Whether classes are one choice: then none starts as unlikely."""

    def class_layers(self) -> Mapping[str, Layout]:
        """Name -> layout of the convolutions that give class logits."""
        raise NotImplementedError

    def forward(self, levels: list[Tensor]) -> list[LevelMaps]:
        raise NotImplementedError

    def start_classes(self) -> None:
        """Draw the class logits anew: N(0, 0.01), and a bias by which every class is unlikely."""
        for name, layout in self.class_layers().items():
            conv = self.get_submodule(name)
            assert isinstance(conv, nn.Conv2d)
            if conv.weight.is_meta:
                continue
            classes = slice(layout.before, layout.before + self.num_classes)
            with torch.no_grad():
                nn.init.normal_(_by_prior(conv.weight, layout)[:, classes], 0.0, _STD)
                if conv.bias is not None:
                    _by_prior(conv.bias, layout)[:, classes] = self._first_bias()

    def replace_classes(self, num_classes: int) -> None:
        """Give it so many class logits, drawn anew; what tells boxes stays: in place."""
        old, self.num_classes = self.num_classes, num_classes
        for name, layout in self.class_layers().items():
            conv = self.get_submodule(name)
            assert isinstance(conv, nn.Conv2d)
            parent, _, leaf = name.rpartition(".")
            setattr(self.get_submodule(parent), leaf, _resized(conv, layout, old, num_classes))
        self.start_classes()

    def _first_bias(self) -> float:
        return 0.0 if self.softmax else -math.log((1 - _FIRST_BELIEF) / _FIRST_BELIEF)


def _by_prior(values: Tensor, layout: Layout) -> Tensor:
    """A view (P, D, ...) of a weight or bias (P * D, ...)."""
    return values.view(layout.priors, values.shape[0] // layout.priors, *values.shape[1:])


def _resized(conv: nn.Conv2d, layout: Layout, old: int, new: int) -> nn.Conv2d:
    """A convolution for other classes with the kernels of all that is no class."""
    other = nn.Conv2d(
        conv.in_channels,
        layout.priors * (layout.before + new + layout.after),
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        bias=conv.bias is not None,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
    )
    pairs = [(other.weight, conv.weight)]
    if other.bias is not None and conv.bias is not None:
        pairs.append((other.bias, conv.bias))
    with torch.no_grad():
        for mine, theirs in ((_by_prior(a, layout), _by_prior(b, layout)) for a, b in pairs):
            mine[:, : layout.before] = theirs[:, : layout.before]
            if layout.after:
                mine[:, layout.before + new :] = theirs[:, layout.before + old :]
    return other


def split_maps(maps: Tensor, priors: int, sizes: list[int]) -> list[Tensor]:
    """(B, P * sum(sizes), h, w) -> for each of the sizes (B, P * size, h, w)."""
    if priors == 1:
        return list(maps.split(sizes, 1))
    batch, channels, height, width = maps.shape
    parts = maps.reshape(batch, priors, channels // priors, height, width).split(sizes, 2)
    return [
        part.reshape(batch, priors * size, height, width) for part, size in zip(parts, sizes, strict=True)
    ]
