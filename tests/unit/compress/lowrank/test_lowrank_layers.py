"""What can be factorised is found; what cannot is named with the reason."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from gossamer.compress.lowrank.layers import find_layers
from gossamer.errors import ModelError
from gossamer.nn.layers import SamePadConv2d
from gossamer.zoo.build import build

SHAPE = (1, 4, 8, 8)


class _Wayward(nn.Module):
    """Every way to use a layer that factors could not follow."""

    def __init__(self):
        super().__init__()
        self.good = nn.Conv2d(4, 4, 3, padding=1)
        self.twice = nn.Conv2d(4, 4, 1)
        self.read = nn.Conv2d(4, 4, 1)
        self.peeked = nn.Conv2d(4, 4, 1)
        self.bent = nn.Conv2d(4, 4, 1)
        self.bent.forward = lambda x: x
        self.named = nn.Conv2d(4, 4, 1)
        self.unused = nn.Linear(4, 4)
        self.tied, self.tied_too = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.tied_too.weight = self.tied.weight

    def forward(self, x):
        x = self.twice(self.twice(self.good(x)))
        x = F.conv2d(x, self.read.weight) + self.peeked(x).to(self.peeked.weight.dtype)
        return self.tied_too(self.tied(self.named(input=self.bent(x))))


def test_wayward_uses_are_named():
    found, dense = find_layers(_Wayward(), SHAPE)
    assert [(each.name, each.input, each.output) for each in found] == [("good", SHAPE, SHAPE)]
    assert dense == {
        "bent": "Conv2d has a forward of its own",
        "named": "it is not called with one tensor",
        "peeked": "its parameters are read outside of it",
        "read": "it is not called as a module, its weights may be read elsewhere",
        "tied": "it shares parameters with another layer",
        "tied_too": "it shares parameters with another layer",
        "twice": "it runs 2 times in one forward",
        "unused": "it is not called as a module, its weights may be read elsewhere",
    }


class _Quiet(nn.Conv2d):
    """A class of its own that computes what its parent does."""


class _Loud(nn.Conv2d):
    def _conv_forward(self, input, weight, bias):
        return 2 * super()._conv_forward(input, weight, bias)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (_Quiet(4, 4, 1), ""),
        (_Loud(4, 4, 1), "_Loud has a forward of its own"),
        (SamePadConv2d(4, 4, 3, 2), "SamePadConv2d has a forward of its own"),
        (nn.Conv2d(4, 4, 3, groups=4), "depthwise"),
        (nn.Conv2d(4, 4, 3, groups=2), "it has 2 groups"),
        (parametrizations.weight_norm(nn.Conv2d(4, 4, 1)), "its weight is parametrized"),
        (parametrizations.spectral_norm(nn.Conv2d(4, 4, 1)), "its weight is parametrized"),
    ],
)
def test_kinds_of_layers(layer, reason):
    found, dense = find_layers(nn.Sequential(layer), SHAPE)
    assert [each.name for each in found] == ([] if reason else ["0"])
    assert dense == ({"0": reason} if reason else {})


def test_hooks_are_named_and_left_alone():
    layer = nn.Conv2d(4, 4, 1)
    layer.register_forward_pre_hook(lambda module, args: None)
    _, dense = find_layers(nn.Sequential(layer), SHAPE)
    assert dense == {"0": "it has hooks (weight or spectral norm, or your own)"}


def test_a_module_in_two_places_is_named_in_both():
    layer = nn.Conv2d(4, 4, 1)
    _, dense = find_layers(nn.Sequential(layer, nn.ReLU(), layer), SHAPE)
    assert dense == dict.fromkeys(("0", "2"), "it stands in several places of the network")


def test_a_bare_layer_is_told_to_be_wrapped():
    assert find_layers(nn.Linear(4, 4), (2, 4)) == (
        [],
        {"": "it is the whole network; put it into nn.Sequential"},
    )


def test_attention_keeps_the_projection_that_it_reads():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    found, dense = find_layers(layer, (1, 5, 8))
    assert found == []
    assert set(dense) == {"self_attn.out_proj", "linear1", "linear2"}


def test_branches_are_fused_first():
    network = build("repvgg_a0", num_classes=4)
    found, dense = find_layers(network, (1, 3, 32, 32))
    assert [each.name for each in found] == ["head.2"]
    assert set(dense.values()) == {"it is a branch that `fuse` folds; fuse the network first"}


def test_a_network_that_decides_by_values_is_followed_with_values():
    class Deciding(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3)

        def forward(self, x):
            return self.conv(x) if float(x.sum()) < 1e9 else x

    found, _ = find_layers(Deciding(), SHAPE)
    assert [each.name for each in found] == ["conv"]


def test_a_wrong_example_is_told():
    with pytest.raises(
        ModelError, match=r"Sequential does not run on an input of shape \(1, 5, 8, 8\): .*give another"
    ):
        find_layers(nn.Sequential(nn.Conv2d(4, 4, 3)), torch.zeros(1, 5, 8, 8))
