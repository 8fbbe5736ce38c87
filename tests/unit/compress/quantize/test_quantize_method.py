"""Few bits as a method: read from a line, proposed, applied, shaped, made milder, read back from a plan file."""

from __future__ import annotations

import json

import pytest
import torch

from gossamer.compress.method import TrainedMethod, Work
from gossamer.compress.methods import parse_method, read_plan
from gossamer.compress.prune.targets import plan_pruning
from gossamer.compress.quantize.method import Quantize
from gossamer.compress.quantize.schedule import Incremental
from gossamer.errors import DataError, GossamerError
from gossamer.nn.edits.quantize import quantized_layers
from gossamer.nn.shortcut import ShortcutConv2d
from gossamer.testing.networks import enliven, noise
from gossamer.zoo.build import build

SHAPE = (1, 3, 16, 16)


@pytest.fixture(scope="module")
def network():
    return enliven(build("resnet20_cifar", depth=8, width=0.5, num_classes=4), SHAPE[1:])


WORK = Work(SHAPE, [(torch.from_numpy(noise(8, SHAPE[1:])), None)])


def test_a_line_becomes_a_network(network, tmp_path):
    method = parse_method("quantize:weights=pot,bits=4,activation_bits=8,first_last=32")
    assert method == Quantize(weights="pot", bits=4, first_last=32)
    assert isinstance(method, TrainedMethod)
    proposal = method.propose(network, WORK)
    assert "M shifts" in proposal.notes[0]
    assert "2 stay in float" in proposal.notes[1]
    plan = proposal.plan(proposal.parts[:3])
    made = method.apply(network, plan, WORK)
    assert sorted(quantized_layers(made)) == sorted(proposal.parts[:3])
    assert method.shaping(made, plan) == Incremental()
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan.to_json()))
    again, read = read_plan(file)
    assert (again.name, read) == ("quantize", plan)


def test_the_usual_bits_and_uniform_needs_no_shaping(network):
    for kind, bits in {"uniform": 4, "pot": 5, "ternary": 2, "binary": 1}.items():
        method = Quantize(weights=kind)
        proposal = method.propose(network, WORK)
        plan = proposal.plan(proposal.parts)
        assert {b.bits for n, b in plan.layers.items() if n not in plan.spared} == {bits}
        if kind == "uniform":
            assert method.shaping(method.apply(network, plan, WORK), plan) is None


@pytest.mark.parametrize(("told", "count"), [("", 6), (",shortcut=no", 0)])
def test_shortcuts_go_around_binary_inputs_unless_told_otherwise(network, told, count):
    method = parse_method(f"quantize:weights=binary,activation_bits=1{told}")
    proposal = method.propose(network, WORK)
    plan = method.read(json.loads(json.dumps(proposal.plan(proposal.parts).to_json())))
    assert sum(bits.shortcut for bits in plan.layers.values()) == count
    made = method.apply(network, plan, WORK)
    assert sum(isinstance(m, ShortcutConv2d) for m in made.modules()) == count
    assert not any(bits.shortcut for bits in _layers("quantize:weights=binary", network).values())


def _layers(line, network):
    proposal = parse_method(line).propose(network, WORK)
    return proposal.plan(proposal.parts).layers


def test_milder_is_more_bits():
    assert Quantize(bits=4).milder(0.5).bits == 6
    assert Quantize(weights="pot", bits=3).milder(0.3).bits == 6
    assert Quantize(weights="apot").milder(0.5) == Quantize(weights="apot", bits=6)
    binary = Quantize(weights="binary", activation_bits=1).milder(0.6)
    assert (binary.weights, binary.bits, binary.activation_bits) == ("uniform", 4, 4)
    assert Quantize(bits=8).milder(0.3) == Quantize(bits=8)


def test_what_is_refused(network):
    method = Quantize()
    proposal = method.propose(network, WORK)
    with pytest.raises(DataError, match="whose ranges come from pictures, got none"):
        method.apply(network, proposal.plan(proposal.parts), Work(SHAPE))
    with pytest.raises(GossamerError, match="quantize applies plans of its own, got a PrunePlan"):
        method.apply(network, plan_pruning(build("mobilenet_v1_0.25"), (1, 3, 64, 64), macs=0.8), WORK)
    with pytest.raises(
        GossamerError, match=r"quantize: weights is one of uniform, pot, .* did you mean 'ternary'"
    ):
        parse_method("quantize:weights=trinary")
