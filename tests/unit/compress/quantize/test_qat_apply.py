"""Applying a plan of bits: usable at 8 bits as it is, calibrated on pictures, one clear error for what cannot be."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.compress.quantize.qat_apply import apply_bits, best_step
from gossamer.compress.quantize.qat_plan import plan_bits
from gossamer.errors import DataError, ModelError
from gossamer.nn.edits.quantize import quantized_layers
from gossamer.nn.layer_bits import LayerBits
from gossamer.nn.quantizers import apot_codes, apot_values
from gossamer.testing.networks import enliven, noise, tiny_networks
from gossamer.zoo.build import build

SHAPE = (1, 3, 33, 33)
PICTURES = torch.from_numpy(noise(24, SHAPE[1:], seed=5))
BATCHES = [(PICTURES[:12], None), (PICTURES[12:], None)]


def _scores(network, pictures=PICTURES):
    with torch.no_grad():
        return network.eval()(pictures)


def _error(network, changed):
    exact = _scores(network)
    return float((_scores(changed) - exact).norm() / exact.norm())


@pytest.mark.parametrize("name", tiny_networks())
def test_8_bits_need_no_training(name):
    network = tiny_networks()[name]
    changed = apply_bits(network, plan_bits(network, SHAPE, bits=8), BATCHES)
    assert _error(network, changed) < 0.05
    four = apply_bits(network, plan_bits(network, SHAPE, bits=2, activation_bits=2), BATCHES)
    assert _error(network, four) > 3 * _error(network, changed)


def test_calibrated_inputs_beat_those_that_are_not():
    network = tiny_networks()["plain"]
    plan = plan_bits(network, SHAPE, bits=8, activation_bits=4, first_last=4, depthwise=4)
    changed = apply_bits(network, plan, BATCHES)
    once = _error(network, changed)
    for layer in quantized_layers(changed).values():
        layer.input_log_step.data += 1.0
    assert once < 0.6 * _error(network, changed)


def test_an_input_with_two_signs_gets_a_zero_point_and_one_behind_relu_none():
    network = enliven(build("resnet20_cifar", depth=8, width=0.5, num_classes=4), (3, 16, 16))
    pictures = torch.from_numpy(noise(8, (3, 16, 16)))
    changed = apply_bits(network, plan_bits(network, (1, 3, 16, 16)), [(pictures, None)])
    layers = quantized_layers(changed)
    assert 64 < int(layers["stem.0"].input_zero) < 192
    assert int(layers["stages.0.0.first.0"].input_zero) == 0
    rounded = layers["stem.0"].rounded_input(pictures).detach()
    assert float((rounded - pictures).abs().max()) < 0.25
    assert rounded.unique().numel() <= 256


def test_binary_inputs_start_at_the_mean_of_their_channels():
    network = enliven(build("resnet20_cifar", depth=8, width=0.5, num_classes=4), (3, 16, 16))
    pictures = torch.from_numpy(noise(8, (3, 16, 16), seed=4))
    before = network.stem[1].running_mean.clone()
    plan = plan_bits(network, (1, 3, 16, 16), weights="binary", activation_bits=1)
    changed = apply_bits(network, plan, [(pictures, None)])
    binary = {n: m for n, m in quantized_layers(changed).items() if m.bits.activation_bits == 1}
    assert len(binary) == 6
    seen = {}
    for name, layer in binary.items():
        layer.register_forward_pre_hook(lambda _, args, name=name: seen.update({name: args[0]}))
    norm = changed.stages[1][0].first[0].norm
    norm.register_forward_hook(lambda _, args, out: seen.update(normed=out))
    _scores(changed, pictures)
    for name, layer in binary.items():  # behind layers that round already, not as in the float network
        mean = seen[name].mean((0, 2, 3))
        assert torch.allclose(layer.input_shift.detach(), mean, rtol=1e-3, atol=1e-3 * float(mean.std()))
        signs = torch.sign(layer.rounded_input(seen[name]).detach())
        assert 0.2 < float((signs > 0).float().mean()) < 0.8
    assert torch.allclose(seen["normed"].mean((0, 2, 3)), norm.bias, atol=1e-3)
    assert torch.allclose(seen["normed"].std((0, 2, 3)), norm.weight.abs(), rtol=1e-2)
    assert torch.equal(network.stem[1].running_mean, before)


class _Places(nn.Module):
    """A linear layer over the channels of every place, as in networks with channels last."""

    def __init__(self):
        super().__init__()
        self.first, self.mix = nn.Conv2d(3, 32, 3), nn.Linear(32, 6)
        self.last = nn.Linear(6, 4)

    def forward(self, x):
        return self.last(self.mix(self.first(x).movedim(1, -1)).mean((1, 2)))


def test_linear_layers_take_channels_last():
    torch.manual_seed(0)
    network = _Places().eval()
    pictures = torch.randn(8, 3, 9, 9)
    plan = plan_bits(network, (1, 3, 9, 9), weights="binary", activation_bits=1)
    changed = apply_bits(network, plan, [(pictures, None)])
    with torch.no_grad():
        inputs = changed.first(pictures)
    assert plan.layers["mix"].activation_bits == 1
    assert torch.allclose(changed.mix.input_shift.detach(), inputs.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    assert float((_scores(changed, pictures) - _scores(network, pictures)).abs().max()) < 1


def test_steps_are_better_than_the_largest_magnitudes_and_lsqs():
    weight = torch.randn(6, 50, generator=torch.Generator().manual_seed(3)) ** 3
    step = best_step(weight, LayerBits(bits=4))[:, None]

    def lost(size):
        return ((weight / size).round().clamp(-8, 7) * size - weight).square().sum(1)

    assert (lost(step) <= lost(weight.abs().amax(1, keepdim=True) / 7) + 1e-6).all()
    assert (lost(step) <= lost(2 * weight.abs().mean(1, keepdim=True) / 7**0.5) + 1e-6).all()
    assert float(lost(step).sum()) < 0.8 * float(lost(weight.abs().amax(1, keepdim=True) / 7).sum())
    assert best_step(torch.zeros(2, 3), LayerBits(bits=4)).tolist() == [0, 0]
    assert best_step(weight, LayerBits(per_channel=False)).shape == ()


def test_sums_of_powers_start_where_they_lose_least():
    weight = torch.randn(6, 50, generator=torch.Generator().manual_seed(3))

    def lost(top, bits):
        return float((apot_values(apot_codes(weight, top, bits), top, bits) - weight).square().sum())

    for bits in (4, 5, 8):
        top = best_step(weight, LayerBits("apot", bits))
        assert lost(top, bits) <= lost(weight.abs().amax(1), bits)
    even, uneven = (best_step(weight, LayerBits(kind, 4)) for kind in ("uniform", "apot"))
    flat = float(((weight / even[:, None]).round().clamp(-8, 7) * even[:, None] - weight).square().sum())
    assert lost(uneven, 4) < 1.4 * flat
    assert best_step(torch.zeros(2, 3), LayerBits("apot", 4)).tolist() == [0, 0]


def test_the_network_given_is_left_and_the_spec_tells_the_edit():
    network = build("resnet20_cifar", num_classes=4)
    plan = plan_bits(network, (1, 3, 16, 16), weights="pot", activation_bits=None)
    changed = apply_bits(network, plan)
    assert not changed.training
    assert not quantized_layers(network)
    assert changed.spec.edits[-1]["edit"] == "quantize"
    again = build(changed.spec)
    again.load_state_dict(changed.state_dict())
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(_scores(again, x), _scores(changed, x))


def test_with_norms_folded_layers_alone_are_left():
    network = tiny_networks()["plain"]
    changed = apply_bits(network, plan_bits(network, SHAPE, bits=8, fold=True), BATCHES)
    assert not [m for m in changed.modules() if isinstance(m, nn.BatchNorm2d)]
    assert _error(network, changed) < 0.05
    resnet = build("resnet20_cifar", num_classes=4)
    folded = apply_bits(resnet, plan_bits(resnet, (1, 3, 16, 16), activation_bits=None, fold=True))
    assert [edit["edit"] for edit in folded.spec.edits] == ["fuse", "quantize"]
    again = build(folded.spec)
    again.load_state_dict(folded.state_dict())
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(_scores(again, x), _scores(folded, x))


def test_what_cannot_be_applied():
    network = tiny_networks()["plain"]
    plan = plan_bits(network, SHAPE)
    with pytest.raises(DataError, match=r"whose ranges come from pictures, got none; give a few hundred"):
        apply_bits(network, plan)
    with pytest.raises(DataError, match="calibration pictures are finite numbers"):
        apply_bits(network, plan, [(PICTURES * float("nan"), None)])
    with pytest.raises(ModelError, match=r"does not run on calibration pictures of shape \(2, 5, 9, 9\)"):
        apply_bits(network, plan, [(torch.randn(2, 5, 9, 9), None)])
    with pytest.raises(ModelError, match="is to be quantized, which Sequential does not have"):
        apply_bits(nn.Sequential(nn.Linear(3, 3)), plan, BATCHES)
    with pytest.raises(ModelError, match="is quantized already"):
        apply_bits(apply_bits(network, plan, BATCHES), plan, BATCHES)
    with torch.no_grad():
        network.stem[0].weight[0] = float("inf")
    with pytest.raises(ModelError, match=r"weights to be quantized are finite"):
        apply_bits(network, plan, BATCHES)
