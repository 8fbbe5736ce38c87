"""Calibrating in the order that layers run in: each sees what those before it make, norms follow, hooks are gone after."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.compress.quantize.qat_apply import apply_bits
from gossamer.compress.quantize.qat_order import calibrate_in_order, hooked
from gossamer.compress.quantize.qat_plan import plan_bits
from gossamer.errors import ModelError
from gossamer.testing.networks import enliven, noise
from gossamer.zoo.build import build


def _network():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.Conv2d(4, 1, 1))
    return network.eval()


def test_each_layer_sees_what_those_before_it_make_by_then():
    network, pictures = _network(), torch.randn(5, 2, 6, 6)
    seen = {}

    def calibrate(name, x):
        seen[name] = x
        network.get_submodule(name).weight.data *= 2  # what comes behind it sees the change

    assert calibrate_in_order(network, ["2", "0"], pictures, calibrate) == []
    assert list(seen) == ["0", "2"]
    with torch.no_grad():
        made = network[0](pictures)
        normed = network[1](made)
    assert torch.allclose(seen["2"], normed, atol=1e-5)
    assert torch.allclose(network[1].running_mean, made.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(network[1].running_var, made.var((0, 2, 3), correction=0), rtol=1e-4)
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_layers_that_no_picture_reaches_are_told():
    network = nn.ModuleDict({"used": _network(), "other": nn.Conv2d(2, 2, 1)}).eval()
    network.forward = lambda x: network["used"](x)
    found = calibrate_in_order(network, ["other", "used.0"], torch.randn(2, 2, 4, 4), lambda name, x: None)
    assert found == ["other"]


def test_hooks_go_when_something_breaks():
    network = _network()
    with pytest.raises(ZeroDivisionError), hooked(network, {"0": lambda module, args: 1 / 0}):
        network(torch.randn(1, 2, 3, 3))
    assert not network[0]._forward_pre_hooks
    with pytest.raises(ModelError, match="does not run on calibration pictures"):
        calibrate_in_order(network, ["0"], torch.randn(1, 7, 3, 3), lambda name, x: None)
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_statistics_are_those_of_all_batches_of_one_size():
    network = enliven(build("resnet20_cifar", depth=8, width=0.5, num_classes=4), (3, 16, 16))
    plan = plan_bits(network, (1, 3, 16, 16), weights="binary", activation_bits=1)
    pictures = torch.from_numpy(noise(12, (3, 16, 16), seed=8))
    batches = [(pictures[:5], None), (torch.randn(3, 3, 20, 20), None), (pictures[5:], None)]
    whole, parts = (apply_bits(network, plan, each) for each in ([(pictures, None)], batches))
    ours, theirs = whole.state_dict(), parts.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    some = apply_bits(network, plan, [(pictures[:5], None)]).state_dict()
    assert not torch.equal(some["stem.1.running_mean"], ours["stem.1.running_mean"])
