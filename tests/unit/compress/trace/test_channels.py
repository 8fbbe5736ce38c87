"""Coupled channels: small networks whose sets can be written down, and what is frozen by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from gossamer.compress.prune.targets import plan_pruning, prune
from gossamer.compress.trace.channels import find_channels
from gossamer.cost.meter import measure
from gossamer.errors import ModelError
from gossamer.zoo.build import build

SHAPE = (1, 3, 16, 16)


def _sets(channels, name, axis):
    (slot,) = (slot for slot in channels.slots if (slot.name, slot.axis) == (name, axis))
    return np.where(slot.labels < 0, -1, channels.sets[slot.labels]).tolist()


def test_a_convolution_feeds_the_next():
    channels = find_channels(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 1)), SHAPE
    )
    assert channels.count == 4
    assert (
        _sets(channels, "0.weight", 0)
        == _sets(channels, "1.running_var", 0)
        == _sets(channels, "3.weight", 1)
    )
    assert _sets(channels, "0.weight", 1) == [-1] * 3
    assert _sets(channels, "3.weight", 0) == [-1] * 5
    assert channels.frozen == {"outputs of the network": 5}


class _Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        return self.c(x + self.b(x))


def test_what_is_added_goes_together():
    channels = find_channels(_Residual(), SHAPE)
    assert channels.count == 4
    assert _sets(channels, "a.weight", 0) == _sets(channels, "b.weight", 0) == _sets(channels, "b.weight", 1)


def test_depthwise_filters_go_with_their_channel():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(8, 2, 1))
    channels = find_channels(network, SHAPE)
    assert channels.count == 4
    assert _sets(channels, "1.weight", 0) == [s for s in _sets(channels, "0.weight", 0) for _ in range(2)]


def test_groups_stay_of_one_size():
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 12, 3, groups=2), nn.Conv2d(12, 2, 1))
    channels = find_channels(network, SHAPE)
    assert channels.count == 4 + 6
    first = _sets(channels, "0.weight", 0)
    assert first[:4] == first[4:]
    assert _sets(channels, "1.weight", 1) == first[:4]


def test_a_flattened_map_repeats_its_channels():
    channels = find_channels(nn.Sequential(nn.Conv2d(3, 4, 15), nn.Flatten(), nn.Linear(16, 2)), SHAPE)
    assert channels.count == 4
    assert _sets(channels, "2.weight", 1) == [s for s in _sets(channels, "0.weight", 0) for _ in range(4)]


class _Concatenated(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.last = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 3, 1), nn.Conv2d(5, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.cat([self.a(x), self.b(x)], 1))


def test_a_concatenation_puts_channels_side_by_side():
    channels = find_channels(_Concatenated(), SHAPE)
    assert channels.count == 5
    both = _sets(channels, "a.weight", 0) + _sets(channels, "b.weight", 0)
    assert _sets(channels, "last.weight", 1) == both


class _Unknown(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.cumsum(self.a(x), 1))


def test_an_unknown_operator_freezes_what_goes_into_it():
    channels = find_channels(_Unknown(), SHAPE)
    assert channels.count == 0
    assert channels.frozen["into cumsum"] == 4


class _Deciding(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_control_flow_by_values_is_an_error():
    with pytest.raises(ModelError, match=r"^cannot follow _Deciding at \(1, 3, 16, 16\): "):
        find_channels(_Deciding(), SHAPE)


def test_a_shape_that_does_not_fit_is_an_error():
    with pytest.raises(ModelError, match=r"^cannot follow Sequential at \(1, 4, 8, 8\): .*; give an example"):
        find_channels(nn.Sequential(nn.Conv2d(3, 4, 1)), (1, 4, 8, 8))


@pytest.mark.parametrize(
    "name", ["mobilenet_v2", "ghostnet_1.0", "shufflenet_v2_1.0", "densenet121", "regnet_y_200mf", "mixnet_s"]
)
def test_costs_of_the_whole_are_the_meters(name):
    with torch.device("meta"):
        network = build(name)
    channels, shape = find_channels(network, (1, 3, 64, 64)), (1, 3, 64, 64)
    whole = np.ones(channels.count, np.bool_)
    assert channels.macs(whole) == measure(network, shape).macs
    assert channels.params(whole) == sum(p.numel() for p in network.parameters())


class _Shared(nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(n, 8, 3, padding=1) for n in (3, 8, 8))
        self.c.weight = self.b.weight
        self.d, self.head = nn.Conv2d(8, 16, 1), nn.Conv2d(16, 5, 1)

    def forward(self, x):
        return self.head(self.d(self.c(self.b(self.a(x))))).mean((2, 3))


def test_a_weight_that_layers_share_is_frozen_by_name():
    found = find_channels(_Shared(), (1, 3, 8, 8))
    assert found.frozen["of a weight that several layers share"] == 24
    assert set(plan_pruning(_Shared(), (1, 3, 8, 8), params=0.9).removed) == {"d"}


def test_a_group_of_a_group_norm_goes_whole():
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.GroupNorm(4, 16), nn.Conv2d(16, 5, 1)).eval()
    pruned = prune(network, (1, 3, 8, 8), macs=0.6)
    assert (pruned[1].num_groups, pruned[1].num_channels, pruned[0].out_channels) == (2, 8, 8)


def test_channels_of_a_pixel_shuffle_go_by_the_square():
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.PixelShuffle(2), nn.Conv2d(4, 5, 1)).eval()
    pruned = prune(network, (1, 3, 8, 8), macs=0.6)
    assert (pruned[0].out_channels, pruned[2].in_channels) == (8, 2)


@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_weights_that_are_made_anew_are_frozen_by_name(wrap):
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), wrap(nn.Conv2d(8, 8, 3)), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 5, 1)
    )
    plan = plan_pruning(network, (1, 3, 9, 9), macs=0.95)
    assert plan.frozen["into a convolution whose weight or input is no plain one"] == 8
    assert set(plan.removed) == {"2"}


def test_hooks_of_the_old_weight_norm_are_told_to_be_taken_off():
    with pytest.warns(FutureWarning):
        layer = torch.nn.utils.weight_norm(nn.Conv2d(3, 8, 3))
    with pytest.raises(
        ModelError, match=r"take the hook off first, e\.g\. torch.nn.utils.remove_weight_norm"
    ):
        find_channels(nn.Sequential(layer, nn.Conv2d(8, 5, 1)), (1, 3, 9, 9))
