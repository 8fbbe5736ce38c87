"""The deploy form gives the same outputs, has no norms left where they fold, and is a value like the rest."""

from __future__ import annotations

import json

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn

from gossamer.cost.meter import measure
from gossamer.errors import ModelError
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.network import last_layer
from gossamer.testing.networks import enliven, noise, scores, tiny_networks
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CLASSIFIERS
from gossamer.zoo.counted import counted
from gossamer.zoo.spec import ModelSpec

CHEAPEST = sorted(
    {
        builder: min(
            (n for n, e in CLASSIFIERS.items() if e.builder == builder), key=lambda n: counted(n, 64)
        )
        for builder in {entry.builder for entry in CLASSIFIERS.values()}
    }.values()
)
UNFOLDABLE = {"densenet121": 62, "starnet_s1": 1, "espnet_v2_0.5": 17}
"""Norms that stay, since no convolution stands directly before them."""


def _trained(network):
    """Norms as after training, scores of size one at most."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
                (module.weight, 0.7, 1.3),
                (module.bias, -0.2, 0.2),
            ):
                tensor.data = low + (high - low) * torch.rand(tensor.shape, generator=generator)
    network.eval()
    top = float(scores(network, noise(2, (3, 64, 64))).abs().max())
    _, last = last_layer(network)
    last.weight.data /= max(1.0, top)
    return network


def _norms(network):
    return sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())


def _relative(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("name", CHEAPEST)
def test_the_outputs_stay(name):
    network = enliven(build(name, num_classes=5), (3, 64, 64))
    inputs = noise(8, (3, 64, 64))[:2]
    before = {k: v.clone() for k, v in network.state_dict().items()}
    fused = fuse(network)
    assert fused is not network
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in before.items())
    assert _relative(scores(fused, inputs), scores(network, inputs)) <= 1e-4, (
        "norms fitted to eight pictures amplify"
    )
    assert type(fused) is type(network)
    network, inputs = network.double(), inputs.astype(np.float64)
    fused = fuse(network)
    assert _relative(scores(fused, inputs), scores(network, inputs)) <= 1e-11
    with torch.no_grad():
        ours, theirs = (net.features(torch.from_numpy(inputs)) for net in (fused, network))
    assert all(_relative(a, b) <= 1e-11 for a, b in zip(ours, theirs, strict=True))
    assert (fused.channels, fused.reductions) == (network.channels, network.reductions)


@pytest.mark.parametrize("name", CHEAPEST)
def test_the_outputs_stay_in_single_precision(name):
    network = _trained(build(name, num_classes=5))
    inputs = noise(2, (3, 64, 64))
    assert float((scores(fuse(network), inputs) - scores(network, inputs)).abs().max()) <= 1e-5


@pytest.mark.parametrize("name", CHEAPEST)
def test_no_norm_is_left_that_could_fold(name):
    with torch.device("meta"):
        network = build(name)
    assert _norms(fuse(network)) == UNFOLDABLE.get(name, 0)


@pytest.mark.parametrize(
    ("trained", "deployed"),
    [(n, f"{n}_deploy") for n in CLASSIFIERS if f"{n}_deploy" in CLASSIFIERS],
)
def test_a_fused_network_is_the_deploy_entry(trained, deployed):
    with torch.device("meta"):
        fused, built = fuse(build(trained)), build(deployed).eval()
    assert [tuple(p.shape) for p in fused.state_dict().values()] == [
        tuple(p.shape) for p in built.state_dict().values()
    ]
    ours, theirs = (measure(net, (1, 3, 64, 64)) for net in (fused, built))
    assert (ours.params, ours.macs) == (theirs.params, theirs.macs)


def test_the_deploy_entry_takes_the_fused_weights():
    network = enliven(build("repvgg_a0", num_classes=5), (3, 64, 64))
    deployed = build("repvgg_a0_deploy", num_classes=5).eval()
    tensors = list(fuse(network).state_dict().values())
    deployed.load_state_dict(dict(zip(deployed.state_dict(), tensors, strict=True)))
    inputs = noise(8, (3, 64, 64))[:2]
    assert _relative(scores(deployed, inputs), scores(network, inputs)) <= 1e-4


def test_the_fused_form_is_a_value():
    network = enliven(build("mobileone_s0", num_classes=5), (3, 64, 64))
    fused = fuse(network)
    spec = ModelSpec.from_json(json.loads(json.dumps(fused.spec.to_json())))
    assert spec.edits == ({"edit": "fuse"},)
    rebuilt = build(spec, seed=7)
    rebuilt.load_state_dict(fused.state_dict())
    inputs = noise(2, (3, 64, 64))
    assert torch.equal(scores(rebuilt, inputs), scores(fused, inputs))


def test_fusing_twice_changes_nothing_more():
    network = enliven(build("repvgg_a0", num_classes=5), (3, 64, 64))
    once = fuse(network)
    inputs = noise(2, (3, 64, 64))
    assert torch.equal(scores(fuse(once), inputs), scores(once, inputs))


@pytest.mark.parametrize("name", sorted(tiny_networks()))
def test_exporters_stumbling_blocks(name):
    network = tiny_networks()[name]
    inputs = noise(2, (3, 33, 33))
    fused = fuse(network)
    assert _norms(fused) == 0
    assert _relative(scores(fused, inputs), scores(network, inputs)) <= 1e-5


@pytest.mark.parametrize(
    ("origin", "name", "left"),
    [
        ("torchvision", "resnet18", 0),
        ("torchvision", "mobilenet_v2", 0),
        ("torchvision", "shufflenet_v2_x0_5", 0),
        ("timm", "mobilenetv3_small_050", 0),
        ("timm", "regnety_002", 0),
    ],
)
def test_strangers_networks(origin, name, left):
    torch.manual_seed(0)
    network = (
        torchvision.models.get_model(name, weights=None)
        if origin == "torchvision"
        else timm.create_model(name)
    )
    network = enliven(network, (3, 64, 64))
    inputs = noise(8, (3, 64, 64))[:2]
    fused = fuse(network)
    assert _norms(fused) == left < _norms(network)
    assert _relative(scores(fused, inputs), scores(network, inputs)) <= 1e-4


class _Shared(nn.Module):
    """One convolution before two norms: neither may be folded."""

    def __init__(self):
        super().__init__()
        self.conv, self.a, self.b = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.conv(x)
        return self.a(y) + self.b(y).relu()


def test_an_output_that_goes_to_two_places_is_not_folded():
    network = _Shared().eval()
    nn.init.uniform_(network.a.running_var, 0.5, 2.0)
    x = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    fused = fuse(network)
    assert _norms(fused) == 2
    assert torch.equal(fused(x), network(x))


class _Wilful(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_what_cannot_be_followed_is_named():
    with pytest.raises(ModelError, match=r"torch\.fx cannot follow _Wilful: .*; fold its norms before"):
        fuse(_Wilful())
