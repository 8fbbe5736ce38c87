"""What AMC's agent sees of a layer: numbers from 0 to 1 (He et al., 1802.03494, equation 1, with the layer's type)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from gossamer.compress.ratios.environment import Environment, input_sides

__all__ = ["FEATURES", "States"]

FEATURES = ("index", "type", "n", "c", "h", "w", "stride", "k", "macs", "reduced", "rest", "last")
"""Index of the layer; 0 convolution, 0.5 grouped, 1 linear; channels out and in; its input's sides; stride; kernel; its
share of the macs; what earlier layers took away of all macs, what later ones hold; the share kept of the layer before."""


class States:
    """The state vectors of an environment's layers: a fixed part, and three numbers that the episode sets."""

    def __init__(self, environment: Environment) -> None:
        """Run the whole network once for the sides of each layer's input."""
        self._environment = environment
        self._owned = _owned_macs(environment)
        rows = _looked_at(
            environment.network, environment.shape, [layer.name for layer in environment.layers]
        )
        fixed = np.column_stack([np.arange(len(rows)), rows, self._owned]).astype(np.float64)
        self._fixed = fixed / np.maximum(fixed.max(0), 1e-12)

    def at(self, before: Sequence[int]) -> NDArray[np.float32]:
        """(12,): what is seen of the next layer when those before have these counts."""
        environment, number = self._environment, len(before)
        now = environment.macs((*before, *environment.whole[number:]))
        reduced = 1 - now / environment.whole_macs
        rest = sum(self._owned[number + 1 :]) / sum(self._owned)
        last = before[-1] / environment.whole[number - 1] if before else 1.0
        return np.array([*self._fixed[number], reduced, rest, last], np.float32)


def _owned_macs(environment: Environment) -> list[int]:
    """Of each layer the macs that go when it shrinks to its least."""
    whole = environment.whole
    return [
        environment.whole_macs - environment.macs((*whole[:number], least, *whole[number + 1 :]))
        for number, least in enumerate(environment.least)
    ]


def _looked_at(network: nn.Module, shape: Sequence[int], names: Sequence[str]) -> list[list[float]]:
    """(type, n, c, h, w, stride, k) of each named layer; zeros where a parameter has the channels and no layer."""
    modules = dict(network.named_modules())
    sides = input_sides(network, shape, [name for name in names if name in modules])
    return [_numbers(modules.get(name), *sides.get(name, (0, 0))) for name in names]


def _numbers(module: Any, height: int, width: int) -> list[float]:
    if isinstance(module, nn.Linear):
        return [1.0, module.out_features, module.in_features, height, width, 1, 1]
    if isinstance(module, nn.Conv2d):
        kind = 0.0 if module.groups == 1 else 0.5
        return [
            kind,
            module.out_channels,
            module.in_channels,
            height,
            width,
            module.stride[0],
            module.kernel_size[0],
        ]
    return [0.0] * 7
