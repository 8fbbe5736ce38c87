"""Real-valued shortcuts around binary convolutions: what they add by hand, where there are none, and what stays as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gossamer.compress.prune.targets import plan_pruning
from gossamer.compress.quantize.qat_apply import apply_bits
from gossamer.compress.quantize.qat_plan import plan_bits
from gossamer.cost.meter import measure
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.deploy.runtimes.onnxruntime.run import load
from gossamer.errors import ModelError
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.edits.quantize import RPReLU, quantize_layers, read_bits, written_bits
from gossamer.nn.layer_bits import LayerBits
from gossamer.nn.layers import SamePadConv2d
from gossamer.nn.quantized import QuantizedConv2d
from gossamer.nn.shortcut import ShortcutConv2d, norm_behind, why_no_shortcut
from gossamer.testing.networks import enliven, noise, scores
from gossamer.zoo.build import build

WITH = LayerBits("binary", 1, activation_bits=1, shortcut=True)
WITHOUT = LayerBits("binary", 1, activation_bits=1)


def _row(conv):
    torch.manual_seed(0)
    network = nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU())
    with torch.no_grad():
        network[1].running_mean.normal_()
        network[1].bias.normal_()
    return network.eval()


def _resnet(side=32):
    network = enliven(build("resnet20_cifar", depth=8, width=0.5, num_classes=4), (3, side, side))
    plan = plan_bits(network, (1, 3, side, side), weights="binary", activation_bits=1)
    return network, plan, apply_bits(network, plan, [(torch.from_numpy(noise(8, (3, side, side))), None)])


@pytest.mark.parametrize(
    ("conv", "around"),
    [
        (nn.Conv2d(4, 4, 3, padding=1), lambda x: x),
        (nn.Conv2d(4, 4, 1), lambda x: x),
        (nn.Conv2d(4, 4, (5, 1), padding=(4, 0), dilation=2), lambda x: x),
        (nn.Conv2d(4, 4, 3, padding="same"), lambda x: x),
        (nn.Conv2d(4, 8, 3, padding=1), lambda x: torch.cat([x, x], 1)),
        (nn.Conv2d(4, 4, 3, 2, padding=1), lambda x: F.avg_pool2d(F.pad(x, (0, 1, 0, 1), "replicate"), 2)),
        (
            SamePadConv2d(4, 12, 3, 2),
            lambda x: torch.cat([F.avg_pool2d(F.pad(x, (0, 1, 0, 1), "replicate"), 2)] * 3, 1),
        ),
    ],
)
def test_what_comes_in_is_added_behind_the_norm(conv, around):
    row = _row(conv)
    x = torch.randn(2, 4, 7, 9)
    assert why_no_shortcut(row, "0") == ""
    plain = quantize_layers(row, {"0": WITHOUT})
    with_shortcut = quantize_layers(row, {"0": WITH})
    with torch.no_grad():
        with_shortcut[0].gain.copy_(torch.linspace(-1, 2, conv.out_channels))
    bare, added = plain[1](plain[0](x)), with_shortcut[0].gain[:, None, None] * around(x)
    assert torch.allclose(with_shortcut[0](x), bare + added, atol=1e-6)
    assert torch.allclose(with_shortcut(x), (bare + added).relu(), atol=1e-6)
    assert isinstance(with_shortcut[0], ShortcutConv2d)
    assert isinstance(with_shortcut[2], RPReLU)
    assert not isinstance(plain[0], ShortcutConv2d)


def test_the_real_input_has_a_gradient_of_its_own():
    network = quantize_layers(_row(nn.Conv2d(4, 8, 3, 2, padding=1)), {"0": WITH}).train()
    x = torch.full((2, 4, 8, 8), 100.0, requires_grad=True)  # far from every sign's change
    network[0](x).sum().backward()
    assert torch.allclose(x.grad, torch.full_like(x, 0.2 * 2 / 4), atol=1e-4)
    assert torch.allclose(network[0].gain.grad, torch.full((8,), 100.0 * 2 * 4 * 4))
    network[0].norm(torch.randn(2, 8, 4, 4)).square().sum().backward()
    assert float(network[0].norm.weight.grad.abs().sum()) > 0


def test_without_a_norm_it_goes_around_the_layer_alone():
    torch.manual_seed(0)
    row = nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)
    ).eval()
    assert norm_behind(row, "0") == ""
    assert norm_behind(row, "1") == "2"
    assert norm_behind(nn.ModuleDict({"0": row}), "0") == ""
    x = torch.randn(1, 4, 5, 5)
    plain, changed = (quantize_layers(row, {"0": bits}) for bits in (WITHOUT, WITH))
    assert torch.equal(changed[0](x), plain[0](x) + changed[0].gain[:, None, None] * x)
    assert isinstance(changed[2], nn.BatchNorm2d)


@pytest.mark.parametrize(
    ("conv", "why"),
    [
        (nn.Conv2d(6, 4, 1), "6 channels cannot be repeated to 4"),
        (nn.Conv2d(4, 6, 1), "4 channels cannot be repeated to 6"),
        (nn.Conv2d(4, 4, 3), "does not lie on every pixel"),
        (nn.Conv2d(4, 4, 2, 2), "does not lie on every pixel"),
        (nn.Conv2d(4, 4, 3, (2, 1), padding=1), "does not lie on every pixel"),
        (nn.Linear(4, 4), "it is no convolution"),
    ],
)
def test_where_there_is_none(conv, why):
    row = nn.Sequential(conv, nn.Identity(), nn.Linear(3, 3))
    assert why in why_no_shortcut(row, "0")
    with pytest.raises(ModelError, match=f"'0' is to have a shortcut around it: .*{why}.*; plan anew"):
        quantize_layers(row, {"0": WITH})
    block = nn.ModuleDict({"conv": nn.Conv2d(4, 4, 1), "norm": nn.BatchNorm2d(4)})
    assert "does not stand in one row with its norm" in why_no_shortcut(block, "conv")


def test_a_layer_that_gives_the_scores_has_none():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
    with pytest.raises(ModelError, match=r"'2' is to have a shortcut around it: it gives the scores"):
        quantize_layers(network, {"2": WITH})


def test_only_around_binary_inputs():
    with pytest.raises(ModelError, match=r"shortcuts go around binary inputs, got activations of 8 bits"):
        LayerBits("binary", 1, activation_bits=8, shortcut=True)
    with pytest.raises(ModelError, match=r"got activations of 32 bits; give activation_bits=1"):
        LayerBits("binary", 1, shortcut=True)


def test_documents_of_before_have_none():
    network = _row(nn.Conv2d(4, 4, 3, padding=1))
    old = {"layers": {"0": {"weights": "binary", "bits": 1, "per_channel": True, "activation_bits": 1}}}
    assert read_bits(old) == {"0": WITHOUT}
    changed = quantize_layers(network, read_bits(old))
    assert type(changed[0]) is QuantizedConv2d
    assert isinstance(changed[1], nn.BatchNorm2d)
    told = json.loads(json.dumps({"layers": written_bits({"0": WITH})}))
    assert read_bits(told) == {"0": WITH}


def test_a_spec_rebuilds_it_and_fusing_leaves_it():
    _, plan, changed = _resnet()
    assert sum(bits.shortcut for bits in plan.layers.values()) > 0
    again = build(changed.spec)
    again.load_state_dict(changed.state_dict())
    x = noise(8, (3, 32, 32), seed=3)
    assert torch.equal(scores(again, x), scores(changed, x))
    fused = fuse(changed)
    assert torch.equal(scores(fused, x), scores(changed, x))
    found = {n for n, m in fused.named_modules() if isinstance(m, ShortcutConv2d)}
    assert found == {n for n, bits in plan.layers.items() if bits.shortcut}


def test_it_is_counted():
    network, plan, changed = _resnet()
    bare = quantize_layers(
        network, {n: LayerBits(b.weights, b.bits, True, b.activation_bits) for n, b in plan.layers.items()}
    )
    counted, without = (measure(each, (1, 3, 32, 32)) for each in (changed, bare))
    around = [plan.sizes[n] for n, bits in plan.layers.items() if bits.shortcut]
    outputs = sum(size.outputs for size in around)
    assert plan.costs().adds == outputs
    assert counted.uncounted == without.uncounted
    assert counted.macs == without.macs
    assert counted.elementwise - without.elementwise >= 2 * outputs, "multiplied by the gain and added"
    assert counted.params - without.params == sum(size.out_channels for size in around)


def test_pruning_says_that_it_comes_before():
    with pytest.raises(ModelError, match=r"Network has no channel that may go \(.*into ge\)"):
        plan_pruning(_resnet()[2], (1, 3, 32, 32), macs=0.8)


@pytest.mark.parametrize("side", [32, 33])
def test_the_file_computes_what_torch_does_at_odd_sizes_too(side, tmp_path):
    _, plan, changed = _resnet(side)
    strides = {changed.get_submodule(n).stride[0] for n, bits in plan.layers.items() if bits.shortcut}
    assert strides == {1, 2}
    export(changed, InputContract.of("imagenet", side), tmp_path / "net.onnx")
    session, inputs = load(tmp_path / "net.onnx", threads=1), noise(20, (3, side, side), seed=11)
    ours = np.concatenate([session.run(each[None])[0] for each in inputs])
    theirs = scores(changed, inputs).numpy()
    off = np.abs(ours - theirs).max(1)
    assert np.mean(off <= 1e-4 * np.abs(theirs).max()) >= 0.8
    assert np.mean(ours.argmax(1) == theirs.argmax(1)) >= 0.95
