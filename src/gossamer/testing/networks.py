"""Tiny networks with life in them: norms as after training, scores that tell inputs apart."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gossamer.nn.blocks import InvertedResidual, ShuffleUnitV2
from gossamer.nn.layers import ConvNormAct, SqueezeExcite
from gossamer.nn.network import Network, Stage, classifier, last_layer

__all__ = ["TwoOutputs", "enliven", "noise", "scores", "tiny_networks"]


def tiny_networks(*, num_classes: int = 5) -> Mapping[str, Network]:
    """One network for each construction that exporters trip over, for 3 bands and inputs of 20 pixels and more."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _tiny_networks(num_classes)


def _tiny_networks(num_classes: int) -> dict[str, Network]:
    blocks: dict[str, tuple[bool, nn.Module]] = {
        "plain": (False, InvertedResidual(16, 16, 32)),
        "same_pad": (True, InvertedResidual(16, 24, 32, kernel=5, stride=2, same=True)),
        "squeeze_excite": (
            False,
            InvertedResidual(16, 16, 32, excite=partial(SqueezeExcite, squeeze_channels=8), act=nn.Hardswish),
        ),
        "channel_shuffle": (False, nn.Sequential(ShuffleUnitV2(16, 24, stride=2), ShuffleUnitV2(24, 24))),
    }
    networks: dict[str, Network] = {}
    for seed, (name, (same, block)) in enumerate(blocks.items()):
        stem = ConvNormAct(3, 16, 3, 2, same=same)
        reduction = 2 if name in ("plain", "squeeze_excite") else 4
        out = 16 if reduction == 2 else 24
        stage = Stage([block], channels=out, reduction=reduction)
        network = Network(stem, [stage], classifier(out, num_classes, conv_channels=48))
        networks[name] = enliven(network, (3, 33, 33), seed=seed)
    return networks


def enliven(network: nn.Module, shape: tuple[int, int, int], *, seed: int = 0) -> Network:
    """Random weights that matter: norms fitted to noise of the shape (bands, H, W), scores of size one. In place."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan = module.weight[0].numel()
            module.weight.data = torch.randn(module.weight.shape, generator=generator) * (2 / fan) ** 0.5
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of what comes, not a moving one
            module.weight.data = 0.5 + torch.rand(module.num_features, generator=generator)
            module.bias.data = 0.3 * torch.randn(module.num_features, generator=generator)
    _, last = last_layer(network)
    last.weight.data = torch.randn(last.weight.shape, generator=generator) * last.weight[0].numel() ** -0.5
    network.eval()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.train()  # the norms alone: what drops paths or units would fit them to other sums
    with torch.no_grad():
        network(torch.from_numpy(noise(8, shape, seed=seed)))
    for norm in norms:
        norm.momentum = 0.1
    network.eval()
    return network  # type: ignore[return-value]


def noise(count: int, shape: tuple[int, int, int], *, seed: int = 0) -> NDArray[np.float32]:
    """Prepared inputs (count, bands, H, W) that differ in colour and in pattern."""
    rng = np.random.default_rng([seed, 11])
    colours = rng.normal(0, 1.5, (count, shape[0], 1, 1))
    return np.asarray(colours + rng.normal(0, 1, (count, *shape)), np.float32)


def scores(network: nn.Module, inputs: NDArray[np.float32]) -> Tensor:
    """What torch says of prepared inputs, in eval mode: (B, K)."""
    with torch.no_grad():
        result: Tensor = network.eval()(torch.from_numpy(inputs))
    return result


class TwoOutputs(nn.Module):
    """(B, 3, H, W) -> means of two maps (B, 2), and four maps (B, 4, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.maps = nn.Conv2d(3, 4, 3, padding=1)
            self.total = nn.Linear(4, 2)
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = torch.relu(self.maps(x))
        return self.total(maps.mean((2, 3))), maps
