"""Layers of few bits, the edit that puts them in, and what it refuses."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.edits.quantize import RPReLU, quantize_layers, quantized_layers, read_bits, written_bits
from gossamer.nn.layer_bits import KINDS, LayerBits
from gossamer.nn.layers import SamePadConv2d
from gossamer.nn.network import last_layer
from gossamer.nn.quantized import FREE, ROUND, QuantizedConv2d
from gossamer.nn.quantizers import round_apot
from gossamer.testing.networks import enliven
from gossamer.zoo.build import build

USUAL = {"uniform": 4, "pot": 5, "apot": 4, "ternary": 2, "binary": 1}


def _row():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        SamePadConv2d(8, 6, 3, 2),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding=1, groups=6, padding_mode="reflect"),
        nn.Flatten(),
        nn.Linear(6 * 16, 4),
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_layer_computes_with_its_rounded_weight(kind, per_channel):
    network = _row().eval()
    bits = LayerBits(kind, USUAL[kind], per_channel)
    changed = quantize_layers(network, dict.fromkeys(("0", "3", "5", "7"), bits))
    plain = copy.deepcopy(network)
    for name, layer in quantized_layers(changed).items():
        plain[int(name)].weight.data = layer.rounded_weight().detach()
        assert layer.rounded_weight().detach().unique().numel() <= 6 * 2**layer.bits.bits * (
            8 if per_channel else 1
        )
        assert not torch.equal(layer.rounded_weight(), network[int(name)].weight)
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(changed(x), plain(x))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation_bits", [None, 1, 4, 8])
def test_everything_that_is_learned_has_a_gradient(kind, activation_bits):
    bits = LayerBits(kind, USUAL[kind], activation_bits=activation_bits)
    network = quantize_layers(_row(), dict.fromkeys(("0", "3", "5", "7"), bits)).train()
    network(torch.randn(4, 3, 8, 8)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
    assert float(network[0].weight.grad.abs().sum()) > 0
    assert ("0.input_log_step" in dict(network.named_parameters())) == (activation_bits is not None)


def test_what_is_held_is_fixed_and_what_is_free_floats_in_training_only():
    layer = quantize_layers(_row(), {"3": LayerBits("pot", 4)})[3]
    weight, rounded = layer.weight.detach().clone(), layer.rounded_weight().detach()
    layer.held.fill_(FREE)
    assert torch.equal(layer.train().rounded_weight(), weight)
    assert torch.equal(layer.eval().rounded_weight(), rounded)
    layer.held[0].fill_(3)
    value = 2.0 ** (3 - 7) * layer.weight_top[0]
    for mode in (True, False):
        layer.zero_grad()
        found = layer.train(mode).rounded_weight()
        found.sum().backward()
        assert bool((found[0] == value).all())
        assert float(layer.weight.grad[0].abs().sum()) == 0
        assert bool((layer.weight.grad[1:] == 1).all())


def test_sums_of_powers_learn_where_they_are_clipped():
    """Equation 7 of 1909.13144 by hand: value over top less what was inside, scaled by 1 / sqrt(3 weights x 7)."""
    weight = torch.tensor([0.2, 0.9, 1.7], requires_grad=True)
    top = torch.tensor(1.0, requires_grad=True)
    rounded = round_apot(weight, top, 4)
    rounded.sum().backward()
    assert rounded.tolist() == pytest.approx([1 / 6, 1, 1])
    assert weight.grad.tolist() == [1, 1, 0]
    assert float(top.grad) == pytest.approx((1 / 6 - 0.2 + 1 - 0.9 + 1) / 21**0.5)


def test_dead_channels_stay_zero():
    for kind in KINDS:
        network = _row()
        with torch.no_grad():
            network[3].weight[2] = 0
            network[7].weight.zero_()
        layers = quantized_layers(
            quantize_layers(network, dict.fromkeys(("3", "7"), LayerBits(kind, USUAL[kind])))
        )
        third, last = (layers[name].rounded_weight().detach() for name in ("3", "7"))
        assert float(third[2].abs().sum()) == 0 < float(third.abs().sum())
        assert float(last.abs().sum()) == 0


def test_the_network_given_is_left_as_it_is_and_keys_are_kept():
    network = _row()
    before = copy.deepcopy(network.state_dict())
    changed = quantize_layers(network, {"0": LayerBits("uniform", 3, activation_bits=8)})
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in before.items())
    assert set(before) <= set(changed.state_dict())
    assert not isinstance(changed[0], nn.Conv2d), "norms would be folded into it"
    assert int(quantize_layers(network, {"7": LayerBits("binary", 1)})[7].held) == ROUND


def test_behind_binary_inputs_relu_becomes_one_that_moves():
    network = _row()
    changed = quantize_layers(
        network, {"0": LayerBits("binary", 1, activation_bits=1), "3": LayerBits("binary", 1)}
    )
    assert isinstance(changed[2], RPReLU)
    assert isinstance(changed[4], nn.ReLU)
    x = torch.randn(2, 8, 3, 3)
    assert torch.equal(changed[2](x), x.relu())


def test_a_convolution_that_gives_the_scores_is_found():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1), nn.AdaptiveAvgPool2d(1)
    )
    changed = quantize_layers(network, dict.fromkeys(("0", "2"), LayerBits()))
    assert last_layer(changed)[0] == "2"
    assert isinstance(changed[2], QuantizedConv2d)


def test_a_spec_rebuilds_it_bit_by_bit(tmp_path):
    network = enliven(build("resnet20_cifar", depth=8, width=0.5, num_classes=4), (3, 16, 16))
    for kind in KINDS:
        layers = {
            n: LayerBits(kind, USUAL[kind], activation_bits=1 if kind == "binary" else 8)
            for n, m in network.named_modules()
            if isinstance(m, nn.Conv2d | nn.Linear)
        }
        changed = quantize_layers(network, layers).eval()
        with torch.no_grad():
            for parameter in changed.parameters():
                parameter += 0.01 * torch.randn_like(parameter)
        edit = json.loads(json.dumps({"edit": "quantize", "layers": written_bits(layers)}))
        again = build(network.spec.with_edit(edit)).eval()
        torch.save(changed.state_dict(), tmp_path / "state.pt")
        again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        x = torch.randn(2, 3, 16, 16)
        assert torch.equal(again(x), changed(x))
        assert read_bits(edit) == layers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("uniform", 9), r"uniform weights have 2 to 8 bits, got 9; give 8"),
        (("uniform", 0), r"uniform weights have 2 to 8 bits, got 0"),
        (("pot", 8), r"pot weights have 2 to 6 bits, got 8"),
        (("apot", 3), r"apot weights have 4 to 8 bits, got 3"),
        (("binary", 2), r"binary weights have 1 bits, got 2"),
        (("octal", 3), r"weights are uniform, pot, apot, ternary, binary, got 'octal'"),
        (("uniform", 4, True, 9), r"activations have 1 to 8 bits or stay in float, got 9"),
        (("uniform", 4, True, 0), r"activations have 1 to 8 bits or stay in float, got 0"),
    ],
)
def test_bits_that_there_are_not(arguments, message):
    with pytest.raises(ModelError, match=message):
        LayerBits(*arguments)


def test_layers_that_cannot_be_quantized():
    network = quantize_layers(_row(), {"0": LayerBits("pot", 5)})
    with pytest.raises(ModelError, match=r"'0' is quantized already, to pot of 5 bits"):
        quantize_layers(network, {"0": LayerBits()})
    with pytest.raises(ModelError, match=r"'9' is to be quantized, which Sequential does not have"):
        quantize_layers(network, {"9": LayerBits()})
    with pytest.raises(ModelError, match=r"'1' is a BatchNorm2d; plan anew"):
        quantize_layers(network, {"1": LayerBits()})
    for document in (
        {},
        {"layers": {"0": {"weights": "pot"}}},
        {"layers": {"0": {"weights": "pot", "bits": "x"}}},
    ):
        with pytest.raises(ModelError, match="a quantize edit tells layers with weights"):
            read_bits(document)
