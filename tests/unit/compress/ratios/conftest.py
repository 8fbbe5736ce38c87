"""A tiny network with one layer that hardly matters, and a metric that says how near its answers are to the whole's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.compress.ratios.environment import Environment

SHAPE = (1, 3, 8, 8)


class Planted(nn.Module):
    """Two ways side by side, one of which matters a thousand times less."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.useful = nn.Conv2d(16, 16, 3, padding=1)
        self.useless = nn.Conv2d(16, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.last = nn.Conv2d(32, 4, 1)
        with torch.no_grad():
            self.last.weight[:, 16:] *= 1e-3

    def forward(self, x):
        x = torch.relu(self.first(x))
        both = torch.cat([torch.relu(self.norm(self.useful(x))), torch.relu(self.useless(x))], 1)
        return self.last(both).mean((2, 3))


@pytest.fixture(scope="session")
def planted_network():
    return Planted().eval()


@pytest.fixture
def make(planted_network):
    """An environment of the planted network; keyword arguments are the environment's."""
    pictures = torch.randn(16, *SHAPE[1:], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = planted_network(pictures)

    def metric(network):
        with torch.no_grad():
            missed = (network(pictures) - wanted).square().mean() / wanted.var()
        return float(1 / (1 + 20 * missed))

    def build(**settings):
        return Environment(planted_network, SHAPE, **({"metric": metric, "repair": "none"} | settings))

    return build
