"""What a count keeps: one network after the other, more pictures, wider networks, and the fused form."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gossamer.cost.meter import measure
from gossamer.nn.blocks import DepthwiseSeparable, GhostModule, InvertedResidual, RepConv
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.layers import ConvNormAct
from gossamer.nn.network import Network, Stage, classifier

channels = st.sampled_from([4, 8, 12, 16])
sides = st.integers(8, 20)


def _block(kind, inside, outside):
    return {
        "conv": lambda: ConvNormAct(inside, outside, 3),
        "separable": lambda: DepthwiseSeparable(inside, outside),
        "inverted": lambda: InvertedResidual(inside, outside, 3 * inside),
        "ghost": lambda: GhostModule(inside, outside),
        "branches": lambda: RepConv(inside, outside, branches=2),
    }[kind]()


kinds = st.sampled_from(["conv", "separable", "inverted", "ghost", "branches"])


@settings(deadline=None, max_examples=30)
@given(kinds, kinds, channels, channels, channels, sides)
def test_a_then_b_costs_a_plus_b(first, second, a, b, c, side):
    with torch.device("meta"):
        one, two = _block(first, a, b).eval(), _block(second, b, c).eval()
    costs = [measure(one, (1, a, side, side)), measure(two, (1, b, side, side))]
    both = measure(nn.Sequential(one, two).eval(), (1, a, side, side))
    for figure in ("params", "macs", "param_bytes", "activation_bytes_read", "activation_bytes_written"):
        assert getattr(both, figure) == sum(getattr(cost, figure) for cost in costs)
    assert both.peak_bytes >= max(cost.peak_bytes for cost in costs)


@settings(deadline=None, max_examples=30)
@given(kinds, channels, channels, sides, st.integers(2, 5))
def test_pictures_cost_alike(kind, inside, outside, side, batch):
    with torch.device("meta"):
        block = _block(kind, inside, outside).eval()
    one, many = (measure(block, (count, inside, side, side)) for count in (1, batch))
    assert many.macs == batch * one.macs
    assert many.peak_bytes == batch * one.peak_bytes
    assert many.activation_bytes_written == batch * one.activation_bytes_written
    assert many.params == one.params


@settings(deadline=None, max_examples=30)
@given(kinds, channels, channels, sides)
def test_fusing_never_raises_a_cost(kind, inside, outside, side):
    with torch.device("meta"):
        stem = ConvNormAct(3, inside, 3)
        stage = Stage([_block(kind, inside, outside)], channels=outside, reduction=1)
        network = Network(stem, [stage], classifier(outside, 5)).eval()
    whole, fused = (measure(net, (1, 3, side, side)) for net in (network, fuse(network)))
    for figure in ("params", "macs", "activation_bytes_read", "activation_bytes_written", "peak_bytes"):
        assert getattr(fused, figure) <= getattr(whole, figure)
    assert fused.params < whole.params


@pytest.mark.parametrize("batch", [1, 3])
def test_twice_the_side_is_four_times_the_work_of_convolutions(batch):
    with torch.device("meta"):
        block = _block("inverted", 8, 8).eval()
    small, large = (measure(block, (batch, 8, side, side)) for side in (10, 20))
    assert large.macs == 4 * small.macs
