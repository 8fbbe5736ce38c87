"""Necks give what they say, from maps of any size; trunks give the maps that a detector looks at."""

from __future__ import annotations

import pytest
import torch

from gossamer.errors import ModelError
from gossamer.tasks.detect.parts.backbones.csp_darknet import csp_darknet
from gossamer.tasks.detect.parts.backbones.trunk import Trunk, keep_last_conv, widen_before
from gossamer.tasks.detect.parts.necks import (
    CSPPAN,
    AddPAN,
    BiFPN,
    ExtraLayers,
    GhostPAN,
    PicoPAN,
    SingleScale,
    TopDown,
)
from gossamer.tasks.detect.parts.necks.context import ContextEnhancement
from gossamer.zoo.build import build

MAPS = (8, 12, 20)
NECKS = {
    "add": lambda: AddPAN(MAPS, channels=16),
    "csp": lambda: CSPPAN(MAPS, channels=(16, 24, 32)),
    "csp, parted": lambda: CSPPAN(MAPS, channels=(16, 24, 32), depthwise=True),
    "ghost": lambda: GhostPAN(MAPS, channels=16),
    "ghost of three": lambda: GhostPAN(MAPS, channels=16, extra=False),
    "pico": lambda: PicoPAN(MAPS, channels=16),
    "bifpn": lambda: BiFPN(MAPS, channels=16, cells=2),
    "bifpn of sums": lambda: BiFPN(MAPS, channels=16, cells=2, weighted=False),
    "single": lambda: SingleScale(MAPS, channels=16),
    "top down": lambda: TopDown(MAPS, channels=16, pools=(5, 3)),
    "top down, all": lambda: TopDown(MAPS, channels=16, lateral=8, fine=24),
    "extra": lambda: ExtraLayers(MAPS, extra=(16, 8)),
    "context": lambda: ContextEnhancement(MAPS[1:], channels=16),
}


@pytest.mark.parametrize("name", NECKS)
@pytest.mark.parametrize(
    "sides", [((12, 20), (6, 10), (3, 5)), ((15, 13), (7, 6), (3, 2)), ((4, 4), (2, 2), (1, 1))]
)
def test_levels_are_what_channels_and_strides_say(name, sides):
    neck = NECKS[name]().eval()
    pyramid = [torch.randn(2, channels, *side) for channels, side in zip(MAPS, sides, strict=True)]
    pyramid = pyramid[1:] if name == "context" else pyramid
    with torch.no_grad():
        levels = neck(pyramid)
    assert [level.shape[1] for level in levels] == list(neck.channels)
    assert len(levels) == len(neck.strides)
    for level, stride in zip(levels, neck.strides, strict=True):
        if stride <= 32:
            side = sides[(8, 16, 32).index(stride)]
            assert tuple(level.shape[2:]) == side
        assert torch.isfinite(level).all()


def test_shares_of_a_bifpn_are_learnt():
    neck = BiFPN(MAPS, channels=16, cells=1)
    shares = [name for name, _ in neck.named_parameters() if name.endswith("shares")]
    assert len(shares) == 8
    assert not [n for n, _ in BiFPN(MAPS, channels=16, weighted=False).named_parameters() if "shares" in n]


def test_a_trunk_gives_the_maps_it_was_asked_for():
    network = build("mobilenet_v2_0.35")
    before = sum(p.numel() for p in network.parameters())
    expected = dict(zip(network.reductions, network.eval().features(torch.ones(1, 3, 64, 96)), strict=True))
    trunk = Trunk(network, (8, 16)).eval()
    maps = trunk.features(torch.ones(1, 3, 64, 96))
    assert torch.equal(maps[0], expected[8])
    assert torch.equal(maps[1], expected[16])
    assert trunk.channels == (maps[0].shape[1], maps[1].shape[1])
    assert sum(p.numel() for p in trunk.parameters()) < before / 4, "the head and the last stages are gone"


def test_a_map_inside_a_block():
    network, plain = build("mobilenet_v2_0.35", seed=1).eval(), build("mobilenet_v2_0.35", seed=1).eval()
    inputs = torch.rand(1, 3, 64, 64)
    widen_before(network, 32)
    with torch.no_grad():
        assert torch.equal(network(inputs), plain(inputs))
        maps = network.features(inputs)
        block = next(stage for stage in plain.stages if stage.reduction == 32)[0]
        assert torch.equal(maps[-2], block.expand(plain.features(inputs)[-2]))
    assert network.channels[-2] == maps[-2].shape[1] > plain.channels[-2]
    with pytest.raises(ModelError, match="the expansion of an inverted residual, got DepthwiseSeparable"):
        widen_before(build("mobilenet_v1_0.25"), 32)


def test_the_last_convolution_of_a_classifier():
    network = build("mobilenet_v2_0.35").eval()
    keep_last_conv(network)
    assert network.channels[-1] == network.features(torch.rand(1, 3, 64, 64))[-1].shape[1] == 1280
    with pytest.raises(ModelError, match="begins with no 1x1 convolution"):
        keep_last_conv(build("mobilenet_v1_0.25"))


def test_csp_darknet_pools_before_or_behind_the_last_layer():
    before = csp_darknet(width=0.125, depth=0.33)
    behind = csp_darknet(width=0.125, depth=0.33, repeats=(3, 6, 9, 3), pool_last=True)
    names = [[type(block).__name__ for block in network.stages[-1]] for network in (before, behind)]
    assert names[0] == ["ConvNormAct", "PyramidPooling", "CSPLayer"]
    assert names[1] == ["ConvNormAct", "CSPLayer", "PyramidPooling"]
    assert [len(network.stages[1][1].blocks) for network in (before, behind)] == [3, 2]
