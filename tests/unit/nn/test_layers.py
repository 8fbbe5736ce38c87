"""The smallest parts against plain torch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gossamer.nn.layers import (
    ConvNormAct,
    SamePadConv2d,
    SqueezeExcite,
    channel_shuffle,
    init_convolutional,
    make_divisible,
)


@pytest.mark.parametrize(
    ("value", "divisor", "expected"),
    [
        (32, 8, 32),
        (11.2, 8, 16),
        (8.4, 8, 8),
        (12, 8, 16),
        (3, 8, 8),
        (91, 8, 88),
        (44.8, 8, 48),
        (16 * 0.35, 8, 8),
        (30, 4, 32),
    ],
)
def test_make_divisible(value, divisor, expected):
    assert make_divisible(value, divisor) == expected


def test_make_divisible_never_loses_a_tenth():
    for value in range(8, 2000):
        rounded = make_divisible(value)
        assert rounded % 8 == 0
        assert rounded >= 0.9 * value


@pytest.mark.parametrize(
    ("size", "kernel", "pads"),
    [
        ((8, 8), 3, (0, 1, 0, 1)),
        ((9, 9), 3, (1, 1, 1, 1)),
        ((8, 9), 3, (1, 1, 0, 1)),
        ((224, 224), 5, (1, 2, 1, 2)),
        ((7, 7), 5, (2, 2, 2, 2)),
        ((5, 6), 1, (0, 0, 0, 0)),
    ],
)
def test_same_padding_at_stride_two(size, kernel, pads):
    """`pads` are left, right, top, bottom: the odd pixel goes right and below."""
    conv = SamePadConv2d(3, 4, kernel, 2, padding=kernel // 2)
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = F.conv2d(F.pad(x, pads), conv.weight, conv.bias, 2)
    assert torch.equal(conv(x), expected)
    assert conv(x).shape[2:] == (-(-size[0] // 2), -(-size[1] // 2))


def test_same_padding_keeps_groups():
    conv = SamePadConv2d(6, 6, 3, 2, groups=6, bias=False)
    x = torch.randn(1, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(conv(x), F.conv2d(F.pad(x, (0, 1, 0, 1)), conv.weight, stride=2, groups=6))


@pytest.mark.parametrize(("channels", "groups"), [(8, 2), (12, 3), (12, 4), (6, 6)])
def test_channel_shuffle_is_a_permutation_with_an_inverse(channels, groups):
    x = torch.arange(channels, dtype=torch.float32).view(1, -1, 1, 1).expand(2, -1, 3, 2)
    shuffled = channel_shuffle(x, groups)
    order = shuffled[0, :, 0, 0].long().tolist()
    assert sorted(order) == list(range(channels))
    per_group = channels // groups
    assert order == [g * per_group + i for i in range(per_group) for g in range(groups)]
    assert torch.equal(channel_shuffle(shuffled, per_group), x)


def test_conv_norm_act_leaves_out_what_it_is_told():
    assert [type(m) for m in ConvNormAct(3, 4)] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert [type(m) for m in ConvNormAct(3, 4, act=None)] == [nn.Conv2d, nn.BatchNorm2d]
    bare = ConvNormAct(3, 4, norm=None, act=None)
    assert [type(m) for m in bare] == [nn.Conv2d]
    assert bare[0].bias is not None
    assert ConvNormAct(3, 4)[0].bias is None


@pytest.mark.parametrize(
    ("same", "stride", "kind"), [(True, 2, SamePadConv2d), (True, 1, nn.Conv2d), (False, 2, nn.Conv2d)]
)
def test_same_matters_only_where_it_strides(same, stride, kind):
    layer = ConvNormAct(3, 4, 3, stride, same=same)
    assert type(layer[0]) is kind
    assert layer(torch.zeros(1, 3, 9, 9)).shape == (1, 4, 9 if stride == 1 else 5, 9 if stride == 1 else 5)


def test_squeeze_excite_scales_channels_by_their_means():
    layer = SqueezeExcite(4, 2)
    x = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    hidden = F.relu(F.linear(x.mean((2, 3)), layer.reduce.weight[:, :, 0, 0], layer.reduce.bias))
    gate = F.hardsigmoid(F.linear(hidden, layer.expand.weight[:, :, 0, 0], layer.expand.bias))
    assert torch.allclose(layer(x), x * gate[:, :, None, None], atol=1e-6)


def test_initialisation_by_kind():
    network = nn.Sequential(nn.Conv2d(16, 64, 3), nn.BatchNorm2d(64), nn.Linear(64, 100))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        init_convolutional(network)
    assert network[0].weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert network[2].weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not any(bias.any() for bias in (network[0].bias, network[1].bias, network[2].bias))
    assert (network[1].weight == 1).all()
