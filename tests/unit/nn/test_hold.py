"""Stages that are held are run forwards alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.zoo.build import build


@pytest.fixture
def network():
    return build("mobilenet_v2_0.35", num_classes=3)


def _norms(part):
    return [module for module in part.modules() if isinstance(module, nn.BatchNorm2d)]


def test_what_is_held_has_no_gradient_and_keeps_its_statistics(network):
    network.hold(8)
    network.train()
    held = [stage for stage in network.stages if stage.reduction <= 8]
    assert network.held == len(held) >= 2
    before = [norm.running_mean.clone() for norm in _norms(held[0])]
    network(torch.rand(2, 3, 64, 64)).sum().backward()
    free = list(network.stages)[network.held]
    assert all(parameter.grad is None for part in (network.stem, *held) for parameter in part.parameters())
    assert all(parameter.grad is not None for parameter in free.parameters())
    assert all(torch.equal(norm.running_mean, old) for norm, old in zip(_norms(held[0]), before, strict=True))
    assert all(norm.training for norm in _norms(free))


def test_holding_changes_no_answer_and_is_undone_by_nothing(network):
    network.eval()
    pictures = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = network(pictures)
    network.hold(16)
    with torch.no_grad():
        assert torch.equal(network(pictures), before)
    network.hold(0)
    assert network.held == 0
    assert all(parameter.requires_grad for parameter in network.parameters())
