"""Networks of others: several outputs, forwards with numbers of their own, norms and convolutions of other kinds."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from timm.layers import MixedConv2d, ScaledStdConv2d, StdConv2d
from torch import Tensor, nn

import gossamer as gs
from gossamer.compress.prune.apply import apply_pruning, masked
from gossamer.compress.prune.plan import PrunePlan
from gossamer.compress.prune.prunable import Prunable
from gossamer.compress.trace.channels import find_channels
from gossamer.nn.standardised import plain_convolutions
from gossamer.testing.networks import enliven
from gossamer.zoo.build import build
from gossamer.zoo.spec import ModelSpec

SHAPE = (1, 3, 32, 32)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def _row(*parts: nn.Module) -> nn.Module:
    network = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(4)).eval()
    with torch.no_grad():
        network(torch.zeros(SHAPE))
    return enliven(network, SHAPE[1:])


def _macs(network: nn.Module) -> int:
    return gs.measure(network, SHAPE).macs


def _same_as_masked(network: nn.Module, share: float = 0.6) -> nn.Module:
    prunable = Prunable(network, SHAPE)
    plan = PrunePlan.from_json(json.loads(json.dumps(prunable.plan(prunable.choose(share)).to_json())))
    cut, x = (
        apply_pruning(network, plan).eval(),
        torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)),
    )
    with torch.no_grad():
        ours, theirs = cut(x), masked(network, plan)(x)
    assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()
    assert theirs.std() > 0
    assert plan.macs <= share * plan.macs_before
    return cut


class _Two(nn.Module):
    """Gives its scores and a map, in the form that is asked for."""

    def __init__(self, form):
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3), nn.Linear(16, 4)
        self.form = form

    def forward(self, x: Tensor):
        x = self.second(self.first(x).relu())
        return self.form(self.last(x.mean((2, 3))), x)


@pytest.mark.parametrize(
    "form",
    [
        lambda y, x: (y, x), lambda y, x: [y, x], lambda y, x: {"out": y, "aux": x},
        lambda y, x: {"out": (y, [x]), "which": x.flatten(1).argmax(1)},
    ],
    ids=["tuple", "list", "dict", "nested"],
)  # fmt: skip
def test_networks_that_give_several_things(form):
    network = _Two(form).eval()
    cut = gs.prune(network, SHAPE, macs=0.5)
    assert cut.first.out_channels < 16
    assert cut.second.out_channels == 16, "it is given as it is"
    assert torch.utils._pytree.tree_structure(cut(torch.zeros(SHAPE))) is not None


class _Split(nn.Module):
    """Splits what comes at a number of its own."""

    def __init__(self, size):
        super().__init__()
        self.size = size
        self.left, self.right = nn.Conv2d(size, 12, 3), nn.Conv2d(size, 12, 3)

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.split(self.size, 1)
        return self.left(left) + self.right(right)


def test_a_stubborn_layer_is_kept_whole_by_name_and_the_others_are_cut():
    network = _row(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 16, 3), _Split(8), nn.Conv2d(12, 32, 3))
    channels = find_channels(network, SHAPE)
    assert channels.frozen["around 3.left (Conv2d), whose forward has numbers of its own"] == 16
    cut = _same_as_masked(network)
    assert (cut[2].out_channels, cut[3].left.in_channels) == (16, 8)
    assert cut[0].out_channels < 32
    assert cut[4].out_channels < 32


class _Reshaped(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Conv2d(16, 24, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x)
        return x.flatten(2).reshape(x.shape[0], 24, *x.shape[2:])


def test_a_number_in_a_reshape_is_found_too():
    network = _row(nn.Conv2d(3, 16, 3), nn.ReLU(), _Reshaped(), nn.Conv2d(24, 8, 1))
    frozen = find_channels(network, SHAPE).frozen
    assert frozen["around 2 (_Reshaped), whose forward has numbers of its own"] == 24
    assert _same_as_masked(network)[0].out_channels < 16


def test_nothing_is_frozen_where_every_trial_runs():
    assert set(find_channels(build("mobilenet_v2_0.25", num_classes=4), SHAPE).frozen) == {
        "outputs of the network"
    }


@pytest.mark.parametrize("tracked", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_instance_norms_go_with_their_channels(affine, tracked):
    norm = nn.InstanceNorm2d(16, affine=affine, track_running_stats=tracked)
    network = _row(nn.Conv2d(3, 16, 3), norm, nn.ReLU(), nn.Conv2d(16, 16, 3))
    if affine:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
    prunable = Prunable(network, SHAPE)
    cut = apply_pruning(network, prunable.plan(prunable.choose(0.5))).eval()
    with torch.no_grad():
        cut(torch.zeros(SHAPE))
    assert cut[1].num_features == cut[0].out_channels < 16
    assert not affine or len(cut[1].weight) == cut[0].out_channels


@pytest.mark.parametrize("depthwise", [True, False])
def test_kernels_mixed_by_timm(depthwise):
    mixed = MixedConv2d(24, 24, [3, 5, 7], padding="", depthwise=depthwise)
    network = _row(nn.Conv2d(3, 24, 3), nn.ReLU(), mixed, nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 8, 1))
    assert set(find_channels(network, SHAPE).frozen) == {"outputs of the network"}
    cut = _same_as_masked(network)
    assert sum(cut[2].splits) == cut[0].out_channels < 24


def test_kernels_mixed_by_the_zoo_and_rebuilt():
    network = enliven(build("mixnet_s", num_classes=4), SHAPE[1:])
    prunable = Prunable(network, SHAPE)
    assert set(prunable.channels.frozen) == {"outputs of the network"}
    cut = _same_as_masked(network)
    again = build(ModelSpec.from_json(json.loads(json.dumps(cut.spec.to_json()))))
    again.load_state_dict(cut.state_dict())
    x = torch.randn(SHAPE)
    with torch.no_grad():
        assert torch.equal(again.eval()(x), cut(x))


@pytest.mark.parametrize("kind", [StdConv2d, ScaledStdConv2d])
def test_standardised_convolutions_become_plain_ones(kind):
    network = _row(
        kind(3, 16, 3, bias=True), nn.ReLU(), kind(16, 24, 3, groups=2), nn.ReLU(), kind(24, 16, 1)
    )
    if kind is ScaledStdConv2d:
        nn.init.uniform_(network[2].gain, 0.5, 1.5)
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    plain = plain_convolutions(network)
    with torch.no_grad():
        assert torch.allclose(plain(x), network(x), atol=1e-5)
    assert type(plain[0]) is nn.Conv2d
    assert type(network[0]) is kind
    cut = _same_as_masked(network)
    assert cut[0].out_channels < 16
    whole = gs.prune(network, SHAPE, macs=0.5)
    assert _macs(whole) <= 0.5 * _macs(network)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["skresnet18", "cspdarknet53", "lambda_resnet26t", "mixnet_s", "nfnet_l0", "res2net50_14w_8s"]
)
def test_networks_of_timm_are_cut_to_seven_tenths(name):
    network = build(f"timm:{name}", num_classes=7).eval()
    shape = (1, 3, 96, 96)
    cut = gs.prune(network, shape, macs=0.7)
    assert gs.measure(cut, shape).macs <= 0.7 * gs.measure(network, shape).macs
    again = build(cut.spec)
    again.load_state_dict(cut.state_dict())
    x = torch.from_numpy(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    with torch.no_grad():
        assert torch.equal(again.eval()(x), cut.eval()(x))
