"""What makes weights zero while they are trained, and what shrinks channels before they are pruned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from gossamer.compress.sparse.plan import LayerZeros, zero_mask
from gossamer.compress.trace.channels import Channels

__all__ = ["Gradual", "Shrink"]

_WARMUP = 0.2
"""Share of the schedule over which shrinking sets in."""


@dataclass(frozen=True)
class Gradual:
    """Zeros grow by the cubic schedule of Zhu and Gupta (1710.01878, equation 1) up to a progress of `until`.

    After each step the smallest weights are zero again. Which ones these are is looked at anew each time, so a weight
    that its gradients bring back stays: iterative hard thresholding (Blumensath and Davies, 2009), with no mask to keep.
    """

    layers: Mapping[str, LayerZeros]
    until: float = 0.7

    @property
    def settled(self) -> float:
        """When all zeros are there."""
        return self.until

    @torch.no_grad()
    def after_step(self, network: nn.Module, average: nn.Module, progress: float, rate: float) -> None:
        """Both get the network's zeros."""
        done = 1 - (1 - min(1.0, progress / self.until)) ** 3
        for name, each in self.layers.items():
            weight, twin = network.get_parameter(f"{name}.weight"), average.get_parameter(f"{name}.weight")
            stays = zero_mask(weight.abs(), each.zeros, each.pattern, done=done)
            weight.mul_(stays)
            twin.mul_(stays)


class Shrink:
    """Channels are pulled to zero as wholes: a proximal step of the group lasso over each set of coupled channels.

    `norms` shrinks the scales of batch norms (network slimming, 1708.06519, with the exact proximal step in place of a
    subgradient): a set has as many scales as norms, on both sides of a residual connection. `weights` shrinks the
    filters that give the set (Wen et al., 1608.03665, equation 4), a group by the root of its size.
    """

    def __init__(
        self, channels: Channels, network: nn.Module, over: Literal["norms", "weights"], strength: float
    ) -> None:
        self.strength = strength
        modules = dict(network.named_modules())
        self.rows: dict[str, Tensor] = {}
        """Parameter -> the set of each of its first axis' places, -1 where there is none."""
        sizes = np.zeros(max(1, channels.count))
        for slot in channels.slots:
            owner, _, leaf = slot.name.rpartition(".")
            norm = isinstance(modules.get(owner), nn.modules.batchnorm._BatchNorm)
            if leaf != "weight" or slot.axis != 0 or norm != (over == "norms"):
                continue
            sets = channels.set_of(slot.labels)
            if (sets < 0).all():
                continue
            self.rows[slot.name] = torch.from_numpy(sets.astype(np.int64))
            each = network.get_parameter(slot.name)[0].numel() if over == "weights" else 1
            np.add.at(sizes, sets[sets >= 0], each)
        self.scale = torch.from_numpy(np.sqrt(sizes)).float() if over == "weights" else torch.ones(len(sizes))

    @property
    def settled(self) -> float:
        """Shrinking goes on to the end: the last network is the one that is shrunk most."""
        return 1.0

    @torch.no_grad()
    def after_step(self, network: nn.Module, average: nn.Module, progress: float, rate: float) -> None:
        """Shrink the network; its average follows."""
        squares = torch.zeros_like(self.scale)
        for name, sets in self.rows.items():
            parameter = network.get_parameter(name)
            there = sets >= 0
            squares.index_add_(0, sets[there], parameter.reshape(len(sets), -1).square().sum(1).cpu()[there])
        step = rate * self.strength * min(1.0, progress / _WARMUP)
        left = (1 - step * self.scale / squares.sqrt().clamp_min(1e-12)).clamp_min(0.0)
        for name, sets in self.rows.items():
            parameter = network.get_parameter(name)
            factor = torch.where(sets >= 0, left[sets.clamp_min(0)], 1.0).to(parameter.device)
            parameter.mul_(factor.view(-1, *[1] * (parameter.dim() - 1)))
