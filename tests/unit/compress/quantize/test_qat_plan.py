"""Plans of bits: who gets how many and why, what that costs, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from gossamer.compress.quantize.qat_layers import LayerSize
from gossamer.compress.quantize.qat_plan import BitPlan, plan_bits
from gossamer.errors import ModelError
from gossamer.nn.edits.quantize import quantize_layers
from gossamer.nn.layer_bits import LayerBits
from gossamer.testing.networks import tiny_networks
from gossamer.zoo.build import build

SHAPE = (1, 3, 32, 32)


@pytest.fixture(scope="module")
def resnet():
    return build("resnet20_cifar", num_classes=10)


def test_first_and_last_and_depthwise_layers_stay_at_8(resnet):
    plan = plan_bits(resnet, SHAPE, bits=3)
    assert len(plan.layers) == 20
    assert "stem.0" in plan.spared
    assert len(plan.spared) == 2
    assert sum(bits.bits == 3 for bits in plan.layers.values()) == 18
    mobile = plan_bits(tiny_networks()["plain"], SHAPE, weights="binary", activation_bits=1)
    depthwise = [n for n, why in mobile.spared.items() if why.startswith("it is depthwise")]
    assert len(depthwise) == 1
    assert mobile.layers[depthwise[0]] == LayerBits("uniform", 8, True, 8)
    few = {n: why for n, why in mobile.spared.items() if "too few for signs" in why}
    assert set(few) == {"stages.0.0.expand.0", "head.0.0"}
    assert set(few.values()) == {"16 products in a sum are too few for signs"}
    assert sum(bits.weights == "binary" for bits in mobile.layers.values()) == 1


def test_none_leaves_layers_in_float_and_single_layers_can_be_told(resnet):
    some = {"stages.0.0.first.0": LayerBits("pot", 4), "stages.0.0.second.0": None}
    plan = plan_bits(resnet, SHAPE, bits=2, first_last=None, layers=some)
    assert plan.layers["stages.0.0.first.0"] == LayerBits("pot", 4)
    assert plan.left["stages.0.0.second.0"] == "as asked"
    assert len(plan.left) == 3
    assert len(plan.layers) == 17


def test_costs_by_hand(resnet):
    sizes = {"a": LayerSize(100, 10, 1000), "b": LayerSize(90, 9, 500), "c": LayerSize(7, 1, 70)}
    layers = {"a": LayerBits("binary", 1, True, 1), "b": LayerBits("pot", 5, False, 8)}
    costs = BitPlan(layers, sizes).costs()
    assert (costs.xnors, costs.shifts, costs.macs, costs.adds) == (1000, 500, 70, 0)
    assert costs.weight_bytes == (13 + 40) + (57 + 4) + 28
    assert costs.weight_bytes_before == 4 * 197
    assert costs.bops == 1000 + 500 * 40 + 70 * 1024
    assert costs.bops_before == 1570 * 1024
    around = BitPlan({**layers, "a": LayerBits("binary", 1, True, 1, shortcut=True)}, sizes).costs()
    more = replace(costs, adds=100, weight_bytes=costs.weight_bytes + 40)
    assert around == more, "1000 products, 10 in a sum; a gain for each of 10 channels"
    ternary = plan_bits(resnet, SHAPE, weights="ternary").costs()
    assert ternary.adds + ternary.macs == 40_551_040  # of the meter; 3 x 3 x 3 x 16 x 32 x 32 + 640 stay macs
    assert ternary.macs == 442_368 + 640


def test_a_product_with_a_sum_of_two_powers_is_two_shifts_and_an_addition(resnet):
    apot = plan_bits(resnet, SHAPE, weights="apot", activation_bits=8).costs()
    pot = plan_bits(resnet, SHAPE, weights="pot", activation_bits=8).costs()
    assert (apot.shifts, apot.adds) == (2 * pot.shifts, pot.shifts)
    assert apot.macs == pot.macs == 442_368 + 640
    assert apot.weight_bytes < pot.weight_bytes


def test_a_plan_is_json(resnet):
    plan = plan_bits(resnet, SHAPE, weights="pot", first_last=None, fold=True)
    document = json.loads(json.dumps(plan.to_json()))
    assert document["edit"] == "quantize"
    assert BitPlan.from_json(document) == plan
    assert plan.only(["stages.0.0.first.0"]).costs().weight_bytes > plan.costs().weight_bytes
    with pytest.raises(
        ModelError, match=r"a plan of bits needs layers, sizes, left, spared and folded \(KeyError"
    ):
        BitPlan.from_json({"layers": {}})


def test_branches_that_fuse_folds_are_left():
    plan = plan_bits(build("repvgg_a0", num_classes=4), (1, 3, 64, 64))
    assert len(plan.layers) == 1
    assert all("fuse the network first" in why for why in plan.left.values())
    shared = nn.Linear(4, 4)
    plan = plan_bits(nn.Sequential(nn.Linear(4, 4), shared, shared), (1, 4))
    assert plan.left == {"1": "it stands in several places, or shares its weight"}


def test_what_cannot_be_planned(resnet):
    done = quantize_layers(resnet, {"stem.0": LayerBits("pot", 5)})
    with pytest.raises(
        ModelError, match=r"'stem.0' and 0 others of this one have few bits already \(pot 5\)"
    ):
        plan_bits(done, SHAPE)
    with pytest.raises(ModelError, match="uniform weights have 2 to 8 bits, got 9"):
        plan_bits(resnet, SHAPE, bits=9)
    with pytest.raises(ModelError, match=r"weights are uniform, .* got 'octal'"):
        plan_bits(resnet, SHAPE, weights="octal")
    with pytest.raises(ModelError, match=r"the network has no layer 'stem.1x'; did you mean"):
        plan_bits(resnet, SHAPE, layers={"stem.1x": None})
    with pytest.raises(
        ModelError, match=r"convolutions and linear layers inside a network are quantized, ReLU has none"
    ):
        plan_bits(nn.ReLU(), SHAPE)
    with pytest.raises(ModelError, match="every layer would stay in float"):
        plan_bits(nn.Sequential(nn.Conv2d(3, 4, 1)), SHAPE, first_last=None)
    broken = build("resnet20_cifar", num_classes=10)
    with torch.no_grad():
        broken.stem[0].weight[0] = float("nan")
    with pytest.raises(ModelError, match=r"NaN or infinity in stem.0.weight"):
        plan_bits(broken, SHAPE)
