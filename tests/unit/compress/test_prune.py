"""Plans meet their budget, and what is cut gives the scores of the network with those channels at zero."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from gossamer.compress.prune.apply import apply_pruning, check_pruned, masked
from gossamer.compress.prune.budget import Budget
from gossamer.compress.prune.plan import PrunePlan
from gossamer.compress.prune.prunable import Prunable, _rank
from gossamer.compress.prune.targets import plan_pruning, prune
from gossamer.cost.meter import measure
from gossamer.errors import GossamerError, ModelError
from gossamer.testing.networks import enliven
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CLASSIFIERS

SHAPE = (1, 3, 64, 64)
LARGE = {"alexnet": 67, "resnet20_cifar": 32}
"""Networks whose heads want more than 64 pixels, or less."""
THIN = {"alexnet": 0.5, "vgg16": 0.25, "xception": 0.5, "densenet121": 0.5}
"""Networks of many channels at a part of their width: which are tied is the same."""
COARSE = {"espnet_v2_0.5": 0.35}
"""Fusion ties nearly all channels of a block together there, so that the next cut is a large one."""


def _one_a_family():
    found = {}
    for name, entry in CLASSIFIERS.items():
        if not entry.arguments.get("deploy"):
            found.setdefault(entry.family, name)
    return sorted(found.values())


def _shape(name):
    side = LARGE.get(name, 64)
    return (1, 3, side, side)


@pytest.mark.parametrize("name", _one_a_family())
def test_every_family_is_cut_in_half(name):
    shape = _shape(name)
    width = {"width": THIN[name]} if name in THIN else {}
    network = build(name, num_classes=10, **width) if name != "resnet20_cifar" else build(name)
    enliven(network, shape[1:])
    plan = plan_pruning(network, shape, macs=0.5)
    assert COARSE.get(name, 0.49) < plan.macs / plan.macs_before <= 0.5
    pruned = apply_pruning(network, plan)
    cost = measure(pruned, shape)
    assert (cost.macs, cost.params) == (plan.macs, plan.params)
    check_pruned(network, pruned, plan, shape)
    assert measure(network, shape).macs == plan.macs_before, "the network given is left as it is"


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v2_0.5", "ghostnet_0.5", "repvgg_a0"])
def test_a_pruned_network_trains_and_is_rebuilt_from_its_spec(name):
    network = enliven(build(name, num_classes=10), SHAPE[1:])
    pruned = prune(network, SHAPE, macs=0.6)
    again = build(type(pruned.spec).from_json(json.loads(json.dumps(pruned.spec.to_json()))))
    again.load_state_dict(pruned.state_dict())
    picture = torch.randn(2, *SHAPE[1:])
    with torch.no_grad():
        assert torch.equal(pruned.eval()(picture), again.eval()(picture))
    pruned.train()(picture).sum().backward()
    assert all(p.grad is not None for p in pruned.parameters())
    assert [m.shape[1] for m in pruned.features(picture)] == list(pruned.channels)


@pytest.mark.parametrize("importance", ["l1", "l2", "norm-scale", "random"])
@pytest.mark.parametrize("scope", ["global", "layer"])
def test_every_importance_and_scope_meets_the_budget(importance, scope):
    network = enliven(build("mobilenet_v2_0.5", num_classes=10), SHAPE[1:])
    plan = plan_pruning(network, SHAPE, macs=0.5, importance=importance, scope=scope)
    assert 0.495 < plan.macs / plan.macs_before <= 0.5
    check_pruned(network, apply_pruning(network, plan), plan, SHAPE)


def test_params_are_a_target_too():
    network = enliven(build("squeezenet_1.1", num_classes=10), SHAPE[1:])
    plan = plan_pruning(network, SHAPE, params=0.3)
    assert 0.295 < plan.params / plan.params_before <= 0.3
    assert sum(p.numel() for p in apply_pruning(network, plan).parameters()) == plan.params


def test_channels_come_in_multiples():
    network = enliven(build("mobilenet_v2", num_classes=10), SHAPE[1:])
    plan = plan_pruning(network, SHAPE, macs=0.5, multiple=8)
    assert 0.48 < plan.macs / plan.macs_before <= 0.5
    widths = Counter(after % 8 for after, before in plan.removed.values() if before >= 8)
    assert set(widths) == {0}


def _greedy(prunable, target, scope):
    """What `choose` is to give, told the slow way: every rank anew before each bundle; (sets kept, gone, budget)."""
    budget = Budget(prunable.channels, "macs")
    limit = budget.total * target
    kept, gone = prunable.whole, []
    at = [0] * len(prunable.layers)
    while budget.total > limit:
        ranks = [
            (_rank(budget, layer, at[number], scope), number)
            for number, layer in enumerate(prunable.layers)
            if at[number] < len(layer.bundles)
        ]
        number = min(ranks)[1]
        bundle = prunable.layers[number].bundles[at[number]]
        kept[list(bundle)] = False
        budget.change(bundle, -1)
        gone.append((number, at[number]))
        at[number] += 1
    return kept, gone, budget, limit


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("name", ["mobilenet_v2_0.25", "resnet20_cifar"])
def test_channels_go_in_the_order_of_ranks_that_are_up_to_date(name, scope):
    """A channel saves less once others are gone: a rank from before must not decide."""
    shape = _shape(name)
    prunable = Prunable(enliven(build(name), shape[1:]), shape, importance="l2")
    for target in (0.7, 0.4):
        kept, gone, budget, limit = _greedy(prunable, target, scope)
        prunable._fill(budget, limit, gone, kept)
        assert (prunable.choose(target, scope=scope) == kept).all()


@pytest.mark.parametrize("multiple", [1, 4])
def test_what_still_fits_comes_back(multiple):
    """The last bundle to go is large: many smaller ones fit into what it leaves, and after the choice none does."""
    network = enliven(build("mobilenet_v2_0.25"), SHAPE[1:])
    prunable = Prunable(network, SHAPE, multiple=multiple)
    for target in (0.7, 0.4):
        _, _, before, limit = _greedy(prunable, target, "layer")
        kept = prunable.choose(target, scope="layer")
        budget = Budget(prunable.channels, "macs")
        bundles = [
            bundle for layer in prunable.layers for bundle in layer.bundles if not kept[list(bundle)].any()
        ]
        for bundle in bundles:
            budget.change(bundle, -1)
        assert before.total < budget.total == pytest.approx(prunable.cost(kept))
        assert all(budget.total + budget.growth(bundle) > limit for bundle in bundles)


def test_the_same_share_of_every_layer():
    network = enliven(build("mobilenet_v1_0.25", num_classes=10), SHAPE[1:])
    plan = plan_pruning(network, SHAPE, macs=0.5, scope="layer")
    shares = [after / before for after, before in plan.removed.values() if before >= 32]
    assert max(shares) - min(shares) < 0.1


def test_everything_kept_is_the_network():
    network = enliven(build("mobilenet_v2_0.35", num_classes=10), SHAPE[1:])
    plan = plan_pruning(network, SHAPE, macs=1.0)
    assert (plan.kept, plan.removed) == ({}, {})
    picture = torch.randn(SHAPE)
    with torch.no_grad():
        assert torch.equal(apply_pruning(network, plan).eval()(picture), network.eval()(picture))


def test_channels_of_zeros_go_first_and_change_nothing():
    network = enliven(build("mobilenet_v1_0.25", num_classes=10), SHAPE[1:])
    dead = plan_pruning(network, SHAPE, macs=0.7, importance="random", seed=3)
    zeroed = masked(network, dead)
    pruned = prune(zeroed, SHAPE, macs=0.7, importance="l2", scope="global", floor=0.0)
    picture = torch.randn(SHAPE)
    with torch.no_grad():
        assert torch.allclose(pruned.eval()(picture), zeroed(picture), atol=1e-4)


def test_a_plan_survives_json():
    network = build("shufflenet_v2_0.25", num_classes=10)
    plan = plan_pruning(network, SHAPE, macs=0.5)
    again = PrunePlan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    with pytest.raises(ModelError, match=r"^a pruning plan needs kept, outputs"):
        PrunePlan.from_json({"kept": 3})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"^a plan has one target of macs, params, bytes, got 0"),
        ({"macs": 0.5, "params": 0.5}, r"^a plan has one target of macs, params, bytes, got 2"),
        ({"macs": 0.0}, r"^a target is a share above 0 and at most 1 of what stays, .* got 0;"),
        ({"macs": 1.5}, r"^a target is a share above 0 and at most 1 of what stays, .* got 1.5;"),
        ({"macs": 1e12}, r"^the network has .* macs and the target is 1000000000000: there is nothing"),
        ({"macs": 0.5, "keep": ["nowhere.*"]}, r"^no layer that can be pruned matches 'nowhere"),
        ({"macs": 0.5, "importance": "taylor"}, r"^importance 'taylor' is told from pictures"),
        ({"macs": 0.5, "importance": "l3"}, r"^importance is one of l1, l2"),
        ({"macs": 0.5, "multiple": 0}, r"^multiple is at least 1"),
        (
            {"macs": 0.01, "floor": 0.5},
            r"^1% of the macs cannot be reached: .* stays with every layer at its least",
        ),
    ],
)
def test_targets_that_cannot_be(arguments, message):
    with pytest.raises(GossamerError, match=message):
        plan_pruning(build("mobilenet_v2_0.35", num_classes=10), SHAPE, **arguments)


def test_nothing_to_prune_is_an_error():
    with pytest.raises(
        ModelError, match=r"^Sequential has no channel that may go \(4 outputs of the network\)"
    ):
        plan_pruning(nn.Sequential(nn.Conv2d(3, 4, 3)), SHAPE, macs=0.5)


def test_a_plan_of_another_network_is_an_error():
    plan = plan_pruning(build("mobilenet_v2_0.35", num_classes=10), SHAPE, macs=0.5)
    with pytest.raises(ModelError, match=r"^channels of '.*' are to be kept that Network does not have"):
        apply_pruning(build("resnet18", num_classes=10), plan)


class _FixedView(nn.Module):
    """A forward with a number of its own, which no plan can change."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        return self.b(self.a(x).view(x.shape[0], 8, *x.shape[2:]))


def test_a_forward_whose_own_number_leaves_nothing_to_cut_is_named():
    with pytest.raises(
        ModelError,
        match=r"^_FixedView has no channel that may go \(.* around the network \(_FixedView\), whose forward has numbers of its",
    ):
        prune(_FixedView(), SHAPE, macs=0.5)


class _NoFour(nn.Module):
    """Runs without a third of its channels, and not without half of them."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        x = self.a(x)
        if x.shape[1] <= 4:
            raise ValueError("more than four")
        return self.b(x)


def test_a_forward_that_does_not_run_as_it_was_cut_is_refused():
    with pytest.raises(
        ModelError,
        match=r"^_NoFour cannot be pruned so: its forward has numbers of its own that do not fit \(more than four\)",
    ):
        prune(_NoFour(), SHAPE, macs=0.5)


def test_foreign_networks():
    torchvision = pytest.importorskip("torchvision")
    network = torchvision.models.shufflenet_v2_x0_5(num_classes=10).eval()
    pruned = prune(network, SHAPE, macs=0.5)
    assert 0.49 < measure(pruned, SHAPE).macs / measure(network, SHAPE).macs <= 0.5
    assert np.isfinite(pruned(torch.randn(SHAPE)).detach().numpy()).all()
