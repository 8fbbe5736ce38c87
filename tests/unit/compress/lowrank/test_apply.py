"""Factorised networks cost what the plan says, run, export, and are rebuilt from their spec bit by bit."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn

from gossamer.compress.lowrank.apply import apply_factors, check_factorised, factorise
from gossamer.compress.lowrank.plan import FactorPlan, Factors, plan_factors
from gossamer.cost.meter import measure
from gossamer.deploy.runtimes import get_runtime
from gossamer.errors import ModelError
from gossamer.nn.edits.factorise import full_ranks, suits
from gossamer.nn.edits.fuse import fuse
from gossamer.testing.networks import enliven
from gossamer.timing.table.blocks_of import whole
from gossamer.zoo.build import build

SHAPE = (1, 3, 64, 64)
NETWORKS = {
    "torchvision:resnet18": 0.5,
    "squeezenet_1.1": 0.5,
    "mobilenet_v2": 0.75,
    "efficientnet_lite0": 0.8,
    "timm:regnety_002": 0.75,
}
PICTURE = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))


def _scores(network):
    with torch.no_grad():
        return network.eval()(PICTURE)


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.slow if name.endswith("resnet18") else ()) for name in NETWORKS
    ],
    scope="module",
)
def case(request):
    network = enliven(build(request.param), SHAPE[1:]).eval()
    plan = plan_factors(network, SHAPE, macs=NETWORKS[request.param])
    return network, plan, apply_factors(network, plan)


def test_costs_are_as_planned(case):
    network, plan, factored = case
    cost = measure(factored, SHAPE)
    assert (cost.macs, cost.params) == (plan.macs, plan.params)
    assert measure(network, SHAPE).macs == plan.macs_before, "the network given is left as it is"
    check_factorised(network, factored, SHAPE)


def test_a_spec_rebuilds_it(case):
    _, _, factored = case
    spec = type(factored.spec).from_json(json.loads(json.dumps(factored.spec.to_json())))
    again = build(spec)
    again.load_state_dict(factored.state_dict())
    assert torch.equal(_scores(again), _scores(factored))
    assert again.spec == factored.spec


def test_it_is_exported(case, tmp_path):
    _, _, factored = case
    file = tmp_path / "factored.onnx"
    file.write_bytes(whole(factored, SHAPE, "factored").model)
    scores = get_runtime("onnxruntime").load(file, threads=1).run(PICTURE.numpy())[0]
    expected = _scores(factored).numpy()
    assert np.abs(scores - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_plan_at_full_rank_gives_the_networks_scores(case):
    network, plan, _ = case
    layers = {}
    for name in (*plan.layers, *plan.dense):
        layer = network.get_submodule(name)
        if layer.weight.numel() > 100_000:
            continue  # their decompositions take seconds
        kind = next((kind for kind in ("svd", "spatial-svd") if suits(layer, kind)), None)
        if kind is not None and "forward" not in plan.dense.get(name, ""):
            layers[name] = Factors(kind, full_ranks(layer, kind), 0.0, 0, 0, 0, 0)
    factored = apply_factors(network, FactorPlan(layers, {}, 0, 0, 0, 0))
    expected = _scores(network)
    assert len(layers) > 5
    assert float((_scores(factored) - expected).abs().max()) <= 1e-4 * float(expected.abs().max())


def test_it_trains_and_fuses():
    factored = factorise(build("mobilenet_v2_0.25", num_classes=5), SHAPE, macs=0.85)
    factored.train()(torch.randn(2, *SHAPE[1:])).square().sum().backward()
    assert [name for name, p in factored.named_parameters() if p.grad is None] == []
    fused = fuse(factored)
    assert torch.allclose(_scores(fused), _scores(factored), atol=1e-4)
    assert [edit["edit"] for edit in fused.spec.edits] == ["factorise", "fuse"]


def test_pictures_lower_the_error_of_the_scores():
    network = enliven(build("squeezenet_1.1", num_classes=10), SHAPE[1:])
    pictures = torch.randn(8, *SHAPE[1:], generator=torch.Generator().manual_seed(2)).cumsum(3) / 8
    errors = []
    for calibration in (None, pictures):
        factored = factorise(network, SHAPE, macs=0.6, calibration=calibration)
        with torch.no_grad():
            errors.append(float((factored.eval()(pictures) - network.eval()(pictures)).norm()))
    assert errors[1] < 0.8 * errors[0]


def test_a_plan_with_pictures_needs_them_again():
    network = build("squeezenet_1.1", num_classes=4)
    plan = plan_factors(network, SHAPE, macs=0.8, calibration=PICTURE)
    with pytest.raises(ModelError, match="made with calibration pictures; give calibration="):
        apply_factors(network, plan)


def test_a_plan_of_another_network():
    plan = plan_factors(build("squeezenet_1.1", num_classes=4), SHAPE, macs=0.8)
    with pytest.raises(ModelError, match="to be factorised, which Sequential does not have"):
        apply_factors(nn.Sequential(nn.Conv2d(3, 4, 1)), plan)


def test_cp_takes_a_five_by_five():
    torch.manual_seed(0)
    conv = nn.Conv2d(12, 16, 5, padding=2)
    parts = [torch.randn(size, 3) for size in conv.weight.shape]
    conv.weight.data = torch.einsum("or,ir,hr,wr->oihw", *parts) + 0.01 * torch.randn(conv.weight.shape)
    network = nn.Sequential(conv)
    factored = factorise(network, (1, 12, 9, 9), macs=0.2, kinds=["cp"], multiple=1)
    x = torch.randn(2, 12, 9, 9)
    with torch.no_grad():
        dense, ours = network(x), factored(x)
    assert len(factored[0]) == 4
    assert float((ours - dense).norm() / dense.norm()) < 0.2


class _Reads(nn.Module):
    """Its forward asks a layer for a number that factors do not have."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(32, 32, 3)

    def forward(self, x):
        return self.conv(x).flatten(1)[:, : self.conv.out_channels]


def test_a_forward_that_asks_for_more_is_refused():
    with pytest.raises(ModelError, match="does not run with factors: its forward asks of a layer"):
        factorise(_Reads(), (1, 32, 8, 8), macs=0.9)


def test_numbers_that_are_not_finite_are_refused():
    network = nn.Sequential(nn.Conv2d(3, 8, 3))
    broken = copy.deepcopy(network)
    nn.init.constant_(broken[0].weight, float("nan"))
    with pytest.raises(ModelError, match="numbers that are not finite"):
        check_factorised(network, broken, (1, 3, 8, 8))
