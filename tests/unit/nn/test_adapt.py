"""Other bands and other classes: what was learnt is kept, in each of the three ways."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.adapt import adapt
from gossamer.nn.network import last_layer
from gossamer.zoo.build import build

NAME = "efficientnet_lite0_0.5"


@pytest.mark.parametrize("bands", [1, 2, 4, 6, 13])
def test_bands_repeat_the_learnt_kernels_and_keep_the_size_of_activations(bands):
    network = build(NAME, num_classes=3, seed=1)
    old = network.stem[0]
    weight = old.weight.clone()
    with torch.no_grad():
        before = old(torch.full((1, 3, 32, 32), 0.7))
        adapt(network, in_channels=bands)
        new = network.stem[0]
        after = new(torch.full((1, bands, 32, 32), 0.7))
    assert type(new) is type(old)
    for band in range(bands):
        assert torch.allclose(new.weight[:, band], weight[:, band % 3] * 3 / bands)
    if bands % 3 == 0:
        assert torch.allclose(before, after, atol=1e-5)


def test_bands_of_the_mean_are_all_alike():
    network = build(NAME, num_classes=3, seed=1)
    mean = network.stem[0].weight.detach().mean(1)
    adapt(network, in_channels=5, bands="mean")
    weight = network.stem[0].weight
    assert all(torch.allclose(weight[:, band], mean * 3 / 5) for band in range(5))


def test_new_bands_of_zero_change_nothing_until_trained():
    network = build(NAME, num_classes=3, seed=1).eval()
    picture = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = network(picture)
        adapt(network, in_channels=5, bands="zero")
        more = torch.cat([picture, torch.randn(1, 2, 64, 64, generator=torch.Generator().manual_seed(1))], 1)
        assert torch.allclose(network(more), before, rtol=1e-4, atol=0)


def test_classes_and_bands_together():
    network = build(NAME, num_classes=3, seed=1)
    body = {k: v.clone() for k, v in network.state_dict().items() if not k.startswith(("stem.0", "head.4"))}
    adapt(network, in_channels=4, num_classes=9)
    assert last_layer(network)[1].out_features == 9
    assert network.eval()(torch.zeros(1, 4, 64, 64)).shape == (1, 9)
    assert all(torch.equal(network.state_dict()[k], v) for k, v in body.items())


@pytest.mark.parametrize("name", ["espnet_v2_0.5", "repvgg_a0", "mobileone_s0"])
def test_every_layer_that_looks_at_the_picture_is_adapted(name):
    network = build(name, num_classes=3)
    layers = network.image_layers()
    assert len(layers) > 1
    adapt(network, in_channels=4)
    assert all(network.get_submodule(layer).weight.shape[1] == 4 for layer in layers)
    assert network.eval()(torch.zeros(1, 4, 64, 64)).shape == (1, 3)


def test_weights_with_bands_by_name_of_the_way(tmp_path):
    torch.save(build(NAME, seed=3).state_dict(), tmp_path / "w.pth")
    network = build(f"{NAME}@{tmp_path / 'w.pth'}", in_channels=5, bands="zero")
    assert not network.stem[0].weight[:, 3:].any()


def test_what_cannot_be_adapted():
    with pytest.raises(ModelError, match="bands is repeat, mean or zero, got 'copy'"):
        adapt(build(NAME), in_channels=4, bands="copy")
    with pytest.raises(ModelError, match="at least 1 band, got in_channels=0"):
        adapt(build(NAME), in_channels=0)
    with pytest.raises(ModelError, match="other bands need a convolution to adapt, Linear has none"):
        adapt(nn.Linear(3, 3), in_channels=4)
