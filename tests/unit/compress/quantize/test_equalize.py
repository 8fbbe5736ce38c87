"""Equalization: which layers are followed, outputs stay, channels come to one range, and clips are minded."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from gossamer.compress.quantize.equalize import equalize, relax_relu6
from gossamer.compress.quantize.flow import Reader, follow
from gossamer.errors import DataError, ModelError
from gossamer.nn.edits.fuse import fuse

SHAPE = (1, 3, 24, 24)


def test_readers_are_found_through_concatenation_pool_and_mean(little):
    flow = follow(fuse(little), SHAPE)
    assert flow.layers == (
        "stem.0",
        "left.0",
        "right.0",
        "depthwise.0",
        "point.0",
        "branch",
        "classifier",
    )
    assert flow.readers == {
        "stem.0": (Reader("left.0", 0, 1), Reader("right.0", 0, 1)),
        "left.0": (Reader("depthwise.0", 0, 1),),
        "right.0": (Reader("depthwise.0", 6, 1),),
        "depthwise.0": (Reader("point.0", 0, 1),),
    }  # point and branch meet in an addition


def test_a_flattened_map_is_read_at_all_its_pixels():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 9, 2))
    assert follow(network, (1, 3, 5, 5)).readers["0"] == (Reader("3", 0, 9),)
    _same(network, (1, 3, 5, 5))


def _same(network, shape):
    edited = equalize(network, shape)
    example = torch.randn(4, *shape[1:], generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        before, after = network.eval()(example), edited(example)
    assert torch.allclose(before, after, atol=1e-4 * float(before.abs().max()))
    return edited


def test_outputs_stay_and_ranges_meet(planted):
    before = copy.deepcopy(planted.state_dict())
    edited = _same(planted, SHAPE)
    assert all(torch.equal(tensor, before[name]) for name, tensor in planted.state_dict().items())
    written = edited.depthwise[0].weight.detach().abs().amax((1, 2, 3))
    read = edited.point[0].weight.detach().abs().amax((0, 2, 3))
    assert torch.allclose(written, read, rtol=0.02)
    assert float(planted.point[0].weight.detach().abs().amax((0, 2, 3)).log10().std()) > 0.5
    assert float(read.log10().std()) < 0.3


@pytest.mark.parametrize("act", [nn.PReLU, nn.LeakyReLU])
def test_other_homogeneous_activations_let_scales_through(with_act, act):
    network = with_act(act)
    assert len(follow(fuse(network), SHAPE).readers) == 4
    _same(network, SHAPE)


@pytest.mark.parametrize("act", [nn.Hardswish, nn.SiLU, nn.ReLU6, nn.Sigmoid])
def test_nothing_passes_any_other(with_act, act):
    network = with_act(act)
    assert follow(fuse(network), SHAPE).readers == {}
    plain = fuse(network).state_dict()
    assert all(torch.equal(t, plain[name]) for name, t in equalize(network, SHAPE).state_dict().items())


def test_groups_are_read_group_by_group():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, groups=4), nn.ReLU(), nn.Conv2d(12, 2, 1)
    )
    with torch.no_grad():
        network[0].weight[5] *= 100
    edited = _same(network, (1, 3, 6, 6))
    scales = edited[0].weight.detach().abs().amax((1, 2, 3))
    assert float(scales.max() / scales.min()) < 30


def test_a_dead_channel_keeps_its_scale(little):
    with torch.no_grad():
        little.depthwise[0].weight[4] = 0
        little.point[0].weight[:, 7] = 0
    edited = _same(little, SHAPE)
    assert all(torch.isfinite(tensor).all() for tensor in edited.state_dict().values())


def test_a_layer_that_runs_twice_is_left_alone():
    conv = nn.Conv2d(3, 3, 1)
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), conv, nn.ReLU(), conv)
    assert follow(network, (1, 3, 4, 4)).readers == {}


def test_relu6_becomes_relu_only_where_the_network_says_the_same(with_act, pictures):
    network = with_act(nn.ReLU6)
    small = relax_relu6(network, pictures)
    assert not any(isinstance(m, nn.ReLU6) for m in small.modules())
    with torch.no_grad():
        network.point[0].weight *= 500  # this one is clipped
    clipped = relax_relu6(network, pictures, min_agreement=1.01)
    assert isinstance(clipped.point[1], nn.ReLU6)
    assert isinstance(clipped.left[1], nn.ReLU)
    with torch.no_grad():
        assert torch.allclose(network(pictures), clipped(pictures), atol=1e-5)


def test_bad_input_gives_one_error(little, with_act, pictures):
    with pytest.raises(DataError, match="calibration needs prepared pictures"):
        relax_relu6(little, pictures[:0])
    with pytest.raises(DataError, match="finite numbers"):
        relax_relu6(little, pictures / 0)
    with pytest.raises(ModelError, match="does not run on calibration pictures of shape"):
        relax_relu6(with_act(nn.ReLU6), pictures[:, :2])
    with pytest.raises(ModelError, match="cannot follow Little at"):
        equalize(little, (1, 2, 24, 24))
    with torch.no_grad():
        little.branch.weight[0] = float("nan")
    with pytest.raises(ModelError, match=r"NaN or infinity in branch\.weight"):
        equalize(little, SHAPE)
