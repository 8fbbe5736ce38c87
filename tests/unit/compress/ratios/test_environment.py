"""Policies become counts that meet the budget; equal ones are measured once."""

from __future__ import annotations

import re

import pytest
import torch

from gossamer.compress.prune.apply import apply_pruning
from gossamer.compress.ratios.environment import Environment
from gossamer.cost.meter import measure
from gossamer.errors import GossamerError, ModelError
from gossamer.testing.networks import enliven
from gossamer.zoo.build import build


def _zoo(name="resnet20_cifar", side=32, **settings):
    network = enliven(build(name), (3, side, side))
    return Environment(network, (1, 3, side, side), metric=lambda _: 0.5, repair="none", **settings)


@pytest.mark.parametrize("name", ["resnet20_cifar", "mobilenet_v2_0.5"])
@pytest.mark.parametrize("macs", [0.3, 0.5, 0.8])
def test_any_policy_meets_the_budget_from_below_within_half_a_percent(name, macs):
    environment = _zoo(name, macs=macs)
    generator = torch.Generator().manual_seed(3)
    for _ in range(4):
        policy = (0.05 + 0.95 * torch.rand(len(environment.layers), generator=generator)).tolist()
        share = environment.macs(environment.settle(policy)) / environment.whole_macs
        assert macs * 0.995 <= share <= macs


def test_counts_cost_what_the_cut_network_costs():
    environment = _zoo(macs=0.5)
    counts = environment.uniform()
    cut = environment.cut(counts)
    assert measure(cut, environment.shape).macs == environment.macs(counts)
    assert environment.plan(counts).macs == environment.macs(counts)


def test_uniform_keeps_the_same_share_of_every_layer():
    shares = _zoo(macs=0.5).shares(_zoo(macs=0.5).uniform())
    assert max(shares) - min(shares) <= 1 / 16 + 1e-9


def test_counts_keep_to_the_multiple_and_the_floor():
    environment = _zoo(macs=0.5, multiple=4, floor=0.3)
    counts = environment.settle([0.01, *[1.0] * (len(environment.layers) - 1)])
    assert all(count % 4 == 0 for count in counts)
    assert counts[0] == environment.least[0] >= 0.3 * environment.whole[0]


def test_the_wall_leaves_room_for_later_layers_at_their_least():
    environment = _zoo(macs=0.5)
    walked: list[int] = []
    for number in range(len(environment.layers)):
        walked.append(environment.wall(walked, 1.0))
        assert environment.macs((*walked, *environment.least[number + 1 :])) <= environment.limit
    assert walked[-1] < environment.whole[-1], "who keeps all at first must give it up at the end"
    low = [environment.wall(walked[:2], 0.01), environment.wall(walked[:2], 0.5)]
    assert low[0] == environment.least[2] <= low[1] <= -(-environment.whole[2] // 2)


def test_equal_counts_are_measured_once(make):
    asked = []
    environment = make(metric=lambda network: float(len(asked) or asked.append(network) or 0.0))
    first = environment.evaluate(environment.shares(environment.uniform()))
    assert environment.evaluate([0.5] * len(environment.layers)) is first
    assert (environment.evaluations, len(asked)) == (1, 1)


def test_norms_are_estimated_anew_on_the_batches(make, planted_network):
    batches = [(5 + torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(2)), None)]
    counts = make().uniform()
    bare, fresh = make().cut(counts), make(repair="norms", batches=batches).cut(counts)
    assert not torch.equal(bare.norm.running_mean, fresh.norm.running_mean)
    assert torch.equal(
        bare.norm.running_mean, apply_pruning(planted_network, make().plan(counts)).norm.running_mean
    )


def test_fitted_layers_are_nearer_to_the_whole_network(make):
    pictures = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    settings = {"macs": 0.4, "batches": [(pictures, None)]}
    scores = {kind: make(repair=kind, **settings).evaluate([1.0] * 3).score for kind in ("none", "fitted")}
    assert scores["fitted"] > scores["none"] + 0.1


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"repair": "all"}, GossamerError, "repair is one of norms, fitted, none; got 'all', take norms"),
        ({"macs": 0.0}, GossamerError, "macs is a share above 0 and at most 1 of what stays, got 0"),
        ({"macs": 1.5}, GossamerError, "got 1.5; give e.g. 0.5"),
        ({"macs": 0.05, "floor": 0.5}, ModelError, "5% of the macs cannot be reached"),
    ],
)
def test_bad_settings_are_named(make, settings, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        make(**settings)


@pytest.mark.parametrize("policy", [[0.5], [float("nan")] * 3])
def test_a_policy_is_a_number_a_layer(make, policy):
    with pytest.raises(GossamerError, match="a policy is a finite share for each of 3 layers"):
        make().settle(policy)


def test_a_metric_must_give_a_number(make):
    with pytest.raises(GossamerError, match="a metric is a finite number, a pruned network gave nan"):
        make(metric=lambda _: float("nan")).evaluate([0.5] * 3)
