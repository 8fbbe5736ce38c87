"""Stem, stages, head: the pyramid is what the network says it is, cuts share weights, heads are replaced."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.layers import ConvNormAct
from gossamer.nn.network import Network, Stage, classifier, last_layer, replace_classifier, truncate
from gossamer.zoo.build import build

FAMILIES = [
    "mobilenet_v2_0.35",
    "mobilenet_v3_small_0.5",
    "mobilenet_v3_large_0.75",
    "shufflenet_v2_0.5",
    "efficientnet_lite0_0.5",
]


def _network(classes=7):
    stem = ConvNormAct(3, 4, 3, 2)
    stages = [
        Stage([ConvNormAct(4, 6)], channels=6, reduction=2),
        Stage([ConvNormAct(6, 8)], channels=8, reduction=2),
        Stage([ConvNormAct(8, 10, 3, 2), ConvNormAct(10, 10)], channels=10, reduction=4),
    ]
    return Network(stem, stages, classifier(10, classes)).eval()


def test_the_pyramid_holds_the_last_stage_of_each_reduction():
    network = _network()
    assert network.channels == (8, 10)
    assert network.reductions == (2, 4)
    maps = network.features(torch.zeros(2, 3, 16, 16))
    assert [tuple(m.shape) for m in maps] == [(2, 8, 8, 8), (2, 10, 4, 4)]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_describes_its_own_maps(name):
    network = build(name, num_classes=3).eval()
    with torch.no_grad():
        maps = network.features(torch.zeros(1, 3, 64, 64))
    assert tuple(m.shape[1] for m in maps) == network.channels
    assert tuple(64 // m.shape[2] for m in maps) == network.reductions
    assert list(network.reductions) == sorted(set(network.reductions))
    assert network.reductions[-1] == 32


@pytest.mark.parametrize(
    ("name", "sides"), [("squeezenet_1.0", (26, 13, 6)), ("squeezenet_1.1", (27, 13, 6))]
)
def test_squeezenets_unpadded_maps_are_near_their_reductions(name, sides):
    network = build(name, num_classes=3).eval()
    with torch.no_grad():
        maps = network.features(torch.zeros(1, 3, 112, 112))
    assert tuple(m.shape[1] for m in maps) == network.channels
    assert tuple(m.shape[2] for m in maps) == sides
    assert network.reductions == (4, 8, 16)


def test_forward_is_head_of_the_last_map():
    network = _network()
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network(x), network.head(network.features(x)[-1]))


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_a_cut_network_keeps_classes_and_shares_what_it_keeps(stages):
    network = _network(classes=7)
    cut = truncate(network, stages)
    assert len(cut.stages) == stages
    assert cut.stem is network.stem
    assert all(a is b for a, b in zip(cut.stages, network.stages, strict=False))
    assert cut.eval()(torch.zeros(2, 3, 16, 16)).shape == (2, 7)
    assert cut.channels[-1] == network._stages()[stages - 1].channels
    assert len(network.stages) == 3


@pytest.mark.parametrize("stages", [0, 4, -1])
def test_a_cut_outside_the_network_is_refused(stages):
    with pytest.raises(ModelError, match=rf"cut after stage 1 to 3, got {stages}; write e\.g\. 'NAME\[:2\]'"):
        truncate(_network(), stages)


def test_a_new_classifier_changes_the_last_layer_alone():
    network = _network(classes=7)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    replace_classifier(network, 3)
    name, layer = last_layer(network)
    assert network(torch.zeros(1, 3, 16, 16)).shape == (1, 3)
    assert not layer.bias.any()
    after = network.state_dict()
    changed = {k for k in before if before[k].shape != after[k].shape or not torch.equal(before[k], after[k])}
    assert changed == {f"{name}.weight", f"{name}.bias"}


def test_a_new_convolutional_classifier_keeps_its_padding():
    network = build("squeezenet_1.0", num_classes=10).eval()
    replace_classifier(network, 4)
    _, layer = last_layer(network)
    assert isinstance(layer, nn.Conv2d)
    assert layer.padding == (1, 1)
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 4)


def test_a_classifier_without_bias_stays_without():
    network = build("shufflenet_v2_0.5", num_classes=10)
    replace_classifier(network, 4)
    assert last_layer(network)[1].bias is None


def test_a_network_without_classifier_is_refused():
    with pytest.raises(ModelError, match="needs a linear or convolution layer, got ReLU with none"):
        replace_classifier(nn.ReLU(), 3)


def test_the_head_takes_its_parts_in_order():
    head = classifier(8, 5, conv_channels=16, hidden_channels=12, dropout=0.1)
    assert [type(m).__name__ for m in head] == [
        "ConvNormAct", "AdaptiveAvgPool2d", "Flatten", "Linear", "ReLU6", "Dropout", "Linear",
    ]  # fmt: skip
    assert head.eval()(torch.zeros(2, 8, 4, 4)).shape == (2, 5)
