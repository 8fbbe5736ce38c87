"""A small network of every kind that edits meet, and pictures for it."""

from __future__ import annotations

import pytest
import torch
from torch import nn


class Little(nn.Module):
    """Convolutions with norms, a concatenation, a depthwise one, an addition, a classifier behind a mean."""

    def __init__(self, act: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), act())
        self.left = nn.Sequential(nn.Conv2d(8, 6, 1), act())
        self.right = nn.Sequential(nn.Conv2d(8, 10, 3, padding=1), act())
        self.pool = nn.MaxPool2d(2)
        self.depthwise = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=16), act())
        self.point = nn.Sequential(nn.Conv2d(16, 12, 1), act())
        self.branch = nn.Conv2d(12, 12, 1)
        self.classifier = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = self.pool(torch.cat([self.left(x), self.right(x)], 1))
        x = self.point(self.depthwise(x))
        x = x + self.branch(x)
        return self.classifier(x.mean((2, 3)))


def make_little(act: type[nn.Module] = nn.ReLU) -> nn.Module:
    """The same weights every time; norms that have seen something."""
    torch.manual_seed(3)
    network = Little(act).eval()
    with torch.no_grad():
        network.stem[1].running_mean.normal_()
        network.stem[1].running_var.uniform_(0.5, 2.0)
    return network


def plant(network: nn.Module, factor: float = 1000.0) -> None:
    """One channel of `point`'s input a thousand times as large, taken back by the weights that read it: in place."""
    with torch.no_grad():
        network.depthwise[0].weight[2] *= factor
        network.depthwise[0].bias[2] *= factor
        network.point[0].weight[:, 2] /= factor


@pytest.fixture
def little() -> nn.Module:
    return make_little()


@pytest.fixture
def pictures() -> torch.Tensor:
    """(16, 3, 24, 24) of rising contrast, so that scores differ between them."""
    noise = torch.randn(16, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    return noise * torch.linspace(0.2, 3, 16).reshape(-1, 1, 1, 1)


@pytest.fixture
def planted() -> nn.Module:
    network = make_little()
    plant(network)
    return network


@pytest.fixture
def with_act():
    return make_little
