"""Plans meet their budget, foretell costs exactly, say what stays dense and why, and travel as JSON."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from gossamer.compress.lowrank.plan import FactorPlan, plan_factors
from gossamer.errors import GossamerError, ModelError
from gossamer.zoo.build import build

SHAPE = (1, 3, 64, 64)


def _small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, 2),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3),
        nn.Conv2d(32, 64, 1),
        nn.Conv2d(64, 64, 3, groups=64),
    )


@pytest.mark.parametrize("target", [{"macs": 0.5}, {"macs": 0.35}, {"params": 0.5}])
def test_a_target_is_met_closely(target):
    plan = plan_factors(build("squeezenet_1.1", num_classes=10), SHAPE, **target, multiple=1)
    ((what, share),) = target.items()
    reached = getattr(plan, what) / getattr(plan, f"{what}_before")
    assert share - 0.002 < reached <= share
    assert plan.note == ""


def test_all_is_nothing_to_do():
    plan = plan_factors(_small(), (1, 3, 24, 24), macs=1.0)
    assert (plan.layers, plan.macs) == ({}, plan.macs_before)
    assert plan.dense["2"] == "the budget is met without it"
    assert plan.dense["4"] == "depthwise"


def test_layers_that_stay_dense_are_named():
    plan = plan_factors(_small(), (1, 3, 24, 24), macs=0.6, kinds=["tucker2"])
    assert set(plan.layers) | set(plan.dense) == {"0", "2", "3", "4"}
    assert plan.dense["3"] == "none of tucker2 is for its kernel"


def test_a_plan_is_json_and_comes_back():
    plan = plan_factors(build("squeezenet_1.1", num_classes=4), SHAPE, macs=0.6)
    assert FactorPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert plan.to_json()["edit"] == "factorise"


def test_factors_that_are_not_faster_leave_the_layer_dense_and_the_truth_is_told():
    network = _small()
    asked = []

    def timer(dense, factors, shape):
        asked.append((type(dense), len(factors), shape))
        return (1.0, 1.0) if dense.in_channels == 32 and dense.kernel_size == (3, 3) else (1.0, 0.5)

    state = torch.get_rng_state()
    wanted = plan_factors(network, (1, 3, 24, 24), macs=0.5)
    plan = plan_factors(network, (1, 3, 24, 24), macs=0.5, timer=timer)
    assert torch.equal(torch.get_rng_state(), state)
    assert set(plan.layers) == set(wanted.layers) - {"2"}
    assert plan.dense["2"] == "its factors are not faster (1.000 ms, dense 1.000 ms)"
    assert len(asked) == len(wanted.layers)
    share = plan.macs / plan.macs_before
    assert share > 0.5
    assert plan.note == f"macs come to {share:.1%}, not 50.0%: factors of 1 layers are not faster"


@pytest.mark.isa
def test_the_last_share_that_can_be_reached_is_told_and_is_true():
    network = _small()
    with pytest.raises(
        ModelError, match=r"1\.0% of the macs cannot be reached by these factors: (\S+)% stays"
    ) as caught:
        plan_factors(network, (1, 3, 24, 24), macs=0.01)
    least = float(str(caught.value).split("factors: ")[1].split("%")[0]) / 100
    plan = plan_factors(network, (1, 3, 24, 24), macs=least + 0.001)
    assert plan.macs / plan.macs_before == pytest.approx(least, abs=0.001)
    with pytest.raises(ModelError, match="cannot be reached"):
        plan_factors(network, (1, 3, 24, 24), macs=least - 0.001)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "one target, macs or params, got 0"),
        ({"macs": 0.5, "params": 0.5}, "got 2"),
        ({"macs": 0.0}, "a share above 0 and at most 1 of what stays, got 0"),
        ({"macs": 1.5}, "got 1.5"),
        ({"macs": 0.5, "kinds": ["svd", "qr"]}, "kinds are some of svd, spatial-svd, tucker2, cp, got qr"),
        ({"macs": 0.5, "kinds": []}, "got none"),
        ({"macs": 0.5, "multiple": 0}, "multiple is at least 1"),
        ({"macs": 0.5, "cp_error": 1.0}, "cp_error between 0 and 1, got 8 and 1"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(GossamerError, match=message):
        plan_factors(_small(), (1, 3, 24, 24), **arguments)


def test_a_network_without_values():
    with torch.device("meta"):
        network = _small()
    with pytest.raises(ModelError, match="factors are made of weights, got a network on the meta device"):
        plan_factors(network, (1, 3, 24, 24), macs=0.5)


@pytest.mark.parametrize("key", ["layers", "dense", "macs", "seed"])
def test_a_plan_that_lacks_a_key(key):
    document = plan_factors(_small(), (1, 3, 24, 24), macs=0.6).to_json()
    del document[key]
    with pytest.raises(ModelError, match="write it with"):
        FactorPlan.from_json(document)
