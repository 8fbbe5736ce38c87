"""Schedules: shares are fixed at powers of two and stay, in the average too; a training goes on where it was killed."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from gossamer.compress.quantize.qat_apply import apply_bits
from gossamer.compress.quantize.qat_plan import plan_bits
from gossamer.compress.quantize.schedule import BinaryStages, Incremental, shaping_of
from gossamer.deploy.contract import InputContract
from gossamer.errors import GossamerError
from gossamer.nn.edits.quantize import quantized_layers
from gossamer.nn.layer_bits import LayerBits
from gossamer.nn.quantized import FREE, ROUND
from gossamer.nn.shaping import Together
from gossamer.testing.networks import enliven, noise
from gossamer.train.loop import train_until
from gossamer.train.recipe import Recipe
from gossamer.train.training import Pictures, Steps, Training
from gossamer.zoo.build import build

SHAPE = (1, 3, 32, 32)


def _quantized(kind, activation_bits=None):
    network = enliven(build("resnet20_cifar", depth=8, width=0.5, num_classes=3), SHAPE[1:])
    plan = plan_bits(network, SHAPE, weights=kind, activation_bits=activation_bits)
    pictures = torch.from_numpy(noise(8, SHAPE[1:]))
    return apply_bits(network, plan, [(pictures, None)]), plan


def _held(network):
    return {n: m.held.clone() for n, m in quantized_layers(network).items() if m.bits.weights == "pot"}


def test_the_largest_weights_are_fixed_first_and_stay():
    network, _ = _quantized("pot")
    average, shaping = copy.deepcopy(network), Incremental()
    fixed = {}
    for progress, share in ((0.0, 0.5), (0.2, 0.5), (0.3, 0.75), (0.6, 0.875), (0.99, 1.0)):
        before = _held(network)
        sizes = {n: m.weight.detach().abs() for n, m in quantized_layers(network).items() if n in before}
        shaping.after_step(network, average, progress, 1e-3)
        for name, held in _held(network).items():
            now = held > FREE
            assert int(now.sum()) == round(share * held.numel())
            assert torch.equal(held, quantized_layers(average)[name].held)
            if name in fixed:
                assert bool((held[fixed[name]] == before[name][fixed[name]]).all())
            new = now & ~fixed.get(name, torch.zeros_like(now))
            if bool(new.any()) and not bool(now.all()):
                assert float(sizes[name][new].min()) >= float(sizes[name][~now].max())
            fixed[name] = now
        with torch.no_grad():  # a step of an optimiser, which knows nothing of what is fixed
            for layer in quantized_layers(network).values():
                layer.weight += 0.05 * torch.randn_like(layer.weight)
    for name in fixed:
        layer, twin = (quantized_layers(n)[name] for n in (network, average))
        shaping.after_step(network, average, 1.0, 0.0)
        assert torch.equal(layer.weight, twin.weight)
        assert torch.equal(layer.weight, layer.rounded_weight())
        powers = layer.weight.detach().abs()
        assert bool((torch.frexp(powers[powers > 0]).mantissa == 0.5).all())


def test_binary_stages_and_what_they_leave_alone():
    network, plan = _quantized("binary", 1)
    average, shaping = copy.deepcopy(network), shaping_of(plan.layers)
    assert isinstance(shaping, BinaryStages)
    for progress, value in ((0.1, FREE), (0.5, ROUND)):
        shaping.after_step(network, average, progress, 0.1)
        for each in (network, average):
            found = {int(m.held) for m in quantized_layers(each).values() if m.bits.weights == "binary"}
            assert found == {value}
    _, plain = _quantized("binary", 8)
    assert shaping_of(plain.layers) is None
    assert shaping_of(_quantized("uniform", 8)[1].layers) is None
    assert shaping_of({"a": LayerBits("pot", 5)}) == Incremental()
    both = shaping_of({"a": LayerBits("pot", 5), "b": LayerBits("binary", 1, activation_bits=1)})
    assert both == Together((Incremental(), BinaryStages()))
    assert (both.settled, BinaryStages().settled) == (0.75, 0.4)
    both.after_step(network, average, 0.0, 0.1)
    assert int(quantized_layers(network)["stages.0.0.first.0"].held) == FREE


@pytest.mark.parametrize(
    ("shares", "starts"),
    [
        ((0.5, 0.9), (0.0, 0.5)),
        ((1.0, 0.5), (0.0, 0.5)),
        ((0.5, 1.0), (0.5, 0.1)),
        ((1.0,), (1.0,)),
        ((), ()),
    ],
)
def test_schedules_that_do_not_rise_to_all(shares, starts):
    with pytest.raises(GossamerError, match="shares rise to 1"):
        Incremental(shares, starts)


@pytest.fixture
def training(tmp_path):
    network, plan = _quantized("pot", 8)
    rng = np.random.default_rng(0)
    labels = np.arange(36, dtype=np.int64) % 3
    pixels = (np.eye(3)[labels][:, None, None] * 120 + rng.uniform(0, 100, (36, 32, 32, 3))).astype(np.uint8)
    recipe = Recipe("test", learning_rate=3e-3, batch=12, ema_decay=0.9, start_resolution=1.0, patience=1000)
    return Training(
        network=network,
        contract=InputContract.of("imagenet", 32),
        recipe=recipe,
        pictures=Pictures(pixels, labels, pixels[:12], labels[:12]),
        folder=tmp_path / "whole",
        length=Steps(12),
        labels=("red", "green", "blue"),
        shaping=shaping_of(plan.layers),
    )


def test_a_killed_training_ends_in_the_same_weights(training, tmp_path):
    start = copy.deepcopy(training.network)
    train_until(training, 12)
    parts = replace(training, network=copy.deepcopy(start), folder=tmp_path / "parts")
    train_until(parts, 6)
    train_until(replace(parts, network=start), 12)
    ours, theirs = training.network.state_dict(), start.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    held = _held(start)
    assert held
    assert all(bool((each > FREE).all()) for each in held.values())
    final = [(folder / "final.safetensors").read_bytes() for folder in (training.folder, parts.folder)]
    assert final[0] == final[1]
