"""Importances from pictures find what matters, and repairs put back what removed channels gave."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gossamer.compress.prune.apply import apply_pruning
from gossamer.compress.prune.prunable import Prunable
from gossamer.compress.prune.repair import absorb_means, reconstruct, reestimate_norms
from gossamer.compress.prune.targets import plan_pruning, prune
from gossamer.errors import GossamerError

SHAPE = (1, 3, 16, 16)


def _network(dead=(1, 4, 6)):
    """Two convolutions; some channels of the first are constant: their norm gives beta alone."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 12, 1, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(12, 5),
        )
        with torch.no_grad():
            network[1].weight[list(dead)] = 0.0
            network[1].bias[list(dead)] = 2.0
    return network.eval()


def _batches(count=4, labels=True):
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(16, 3, 16, 16, generator=generator),
            torch.randint(5, (16,), generator=generator) if labels else None,
        )
        for _ in range(count)
    ]


def _plan_without(network, channels):
    prunable = Prunable(network, SHAPE, floor=0.0)
    kept = prunable.whole
    first = next(layer for layer in prunable.layers if layer.name == "0")
    by_place = {
        int(np.flatnonzero(prunable.channels.set_of(s.labels) == which)[0]): which
        for s in prunable.channels.slots
        if (s.name, s.axis) == ("0.weight", 0)
        for which in first.sets
    }
    kept[[by_place[c] for c in channels]] = False
    return prunable.plan(kept)


def test_constant_channels_go_without_a_trace_once_their_means_are_absorbed():
    network = _network()
    plan = _plan_without(network, (1, 4, 6))
    cut = apply_pruning(network, plan).eval()
    picture = torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        wanted = network(picture)
        assert not torch.allclose(cut(picture), wanted, atol=1e-3), "they gave something"
        assert torch.allclose(absorb_means(network, cut, plan, SHAPE)(picture), wanted, atol=1e-5)


@pytest.mark.isa
def test_fitting_finds_channels_that_others_can_stand_in_for():
    network = _network(dead=())
    with torch.no_grad():  # channel 5 is twice channel 2
        network[0].weight[5] = network[0].weight[2]
        network[1].weight[5], network[1].bias[5] = 2 * network[1].weight[2], 2 * network[1].bias[2]
    plan = _plan_without(network, (5,))
    cut = apply_pruning(network, plan).eval()
    batches = _batches()
    picture = batches[0][0]
    with torch.no_grad():
        wanted = network(picture)
        before = (cut(picture) - wanted).abs().max()
        after = (reconstruct(network, cut, plan, batches)(picture) - wanted).abs().max()
    assert after < 0.02 * before


def test_norms_estimated_anew_are_those_of_the_pictures():
    network, batches = _network(), _batches()
    fresh = reestimate_norms(network, batches)
    with torch.no_grad():
        seen = torch.cat([network[0](pictures) for pictures, _ in batches])
    assert torch.allclose(fresh[1].running_mean, seen.mean((0, 2, 3)), atol=1e-4)
    assert not fresh.training
    assert torch.equal(network[1].running_mean, torch.zeros(8)), "the network given is left as it is"


@pytest.mark.parametrize("importance", ["taylor", "activation", "apoz", "reconstruction"])
def test_dead_channels_matter_least(importance):
    network = _network()
    with torch.no_grad():  # silent, not only constant
        network[1].bias[[1, 4, 6]] = -1.0
        network[0].weight[[1, 4, 6]] = network[0].weight[0] + 0.01 * network[0].weight[[1, 4, 6]]
    prunable = Prunable(network, SHAPE, importance=importance, batches=_batches(), floor=0.0)
    first = next(layer for layer in prunable.layers if layer.name == "0")
    slot = next(s for s in prunable.channels.slots if (s.name, s.axis) == ("0.weight", 0))
    places = [int(np.flatnonzero(prunable.channels.set_of(slot.labels) == which)[0]) for which in first.sets]
    assert set(places[:3]) == {1, 4, 6}


def test_filters_near_others_can_be_spared():
    network = _network(dead=())
    with torch.no_grad():
        network[0].weight[[1, 4, 6]] = network[0].weight[0] + 0.01 * network[0].weight[[1, 4, 6]]
    prunable = Prunable(network, SHAPE, importance="geometric-median", floor=0.0)
    slot = next(s for s in prunable.channels.slots if (s.name, s.axis) == ("0.weight", 0))
    near = prunable.scores[prunable.channels.set_of(slot.labels)].argsort()[:4]
    assert set(near.tolist()) == {0, 1, 4, 6}


def test_gradients_are_left_as_they_were():
    network = _network()
    network[0].weight.requires_grad_(False)
    network[8].weight.grad = torch.ones_like(network[8].weight)
    Prunable(network, SHAPE, importance="taylor", batches=_batches(labels=False))
    assert network[0].weight.grad is None
    assert not network[0].weight.requires_grad
    assert torch.equal(network[8].weight.grad, torch.ones_like(network[8].weight))


def test_layers_that_are_to_be_left_are():
    plan = plan_pruning(_network(), SHAPE, macs=0.8, keep=["0"])
    assert set(plan.removed) == {"3"}


def test_prune_with_pictures_is_nearer_than_without():
    network, batches = _network(dead=()), _batches()
    cut = {
        told: prune(network, SHAPE, macs=0.6, importance="l2", batches=given)
        for told, given in (("with", batches), ("without", ()))
    }
    picture = batches[1][0]
    with torch.no_grad():
        wanted = network(picture)
        errors = {told: float((each.eval()(picture) - wanted).abs().mean()) for told, each in cut.items()}
    assert errors["with"] < 0.7 * errors["without"]


def test_pictures_that_are_needed_and_not_there():
    with pytest.raises(
        GossamerError, match=r"^importance 'taylor' is told from pictures and none were given"
    ):
        plan_pruning(_network(), SHAPE, macs=0.5, importance="taylor")
