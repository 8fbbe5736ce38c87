"""Factors: at full rank the very layer, monotone in rank, better on the pictures that they were fitted to."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gossamer.compress.lowrank.apply import apply_factors
from gossamer.compress.lowrank.choose import Choice, choose
from gossamer.compress.lowrank.layers import Found, find_layers
from gossamer.compress.lowrank.moments import second_moments
from gossamer.compress.lowrank.options import factor_costs, options_of
from gossamer.compress.lowrank.plan import FactorPlan, Factors
from gossamer.cost.meter import measure
from gossamer.nn.edits.factorise import KINDS, full_ranks, make_factors

SIDE = 13


def _plan(network, kind, ranks, *, calibrated=False):
    return FactorPlan(
        {"0": Factors(kind, ranks, 0.0, 0, 0, 0, 0)}, {}, 0, 0, 0, 0, calibrated=calibrated, cp_error=0.999
    )


def _pair(draw, low, high):
    return draw(st.integers(low, high)), draw(st.integers(low, high))


@st.composite
def networks(draw, kind, *, linear=True):
    """A convolution (or linear layer) that suits the kind, alone in a network, and an input shape."""
    torch.manual_seed(draw(st.integers(0, 99)))
    bias = draw(st.booleans())
    if kind == "svd" and linear and draw(st.booleans()):
        into, out = _pair(draw, 1, 9)
        return nn.Sequential(nn.Linear(into, out, bias=bias)), draw(
            st.sampled_from([(2, into), (2, 3, into)])
        )
    into, out = _pair(draw, 1, 3 if kind == "cp" else 7)
    kernel = (1, 1) if kind == "svd" else _pair(draw, 5, 6) if kind == "cp" else _pair(draw, 1, 4)
    if kernel == (1, 1) and kind != "svd":
        kernel = (1, 3)
    conv = nn.Conv2d(
        into,
        out,
        kernel,
        stride=_pair(draw, 1, 3),
        padding=_pair(draw, 0, 2),
        dilation=_pair(draw, 1, 2),
        bias=bias,
        padding_mode=draw(st.sampled_from(["zeros", "reflect", "circular", "replicate"])),
    )
    if draw(st.integers(0, 5)) == 0:
        conv = nn.Conv2d(into, out, kernel, padding="same", dilation=_pair(draw, 1, 2), bias=bias)
    return nn.Sequential(conv), (2, into, SIDE, SIDE)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(data=st.data())
def test_at_full_rank_factors_are_the_layer(kind, calibrated, data):
    network, shape = data.draw(networks(kind, linear=not calibrated))
    ranks = full_ranks(network[0], kind)
    pictures = torch.randn(4, *shape[1:]) if calibrated else None
    factored = apply_factors(
        network, _plan(network, kind, ranks, calibrated=calibrated), calibration=pictures
    )
    x = torch.randn(shape)
    with torch.no_grad():
        dense, ours = network(x), factored(x)
    assert ours.shape == dense.shape
    assert float((ours - dense).abs().max()) <= 1e-4 * max(1e-2, float(dense.abs().max()))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(data=st.data())
def test_costs_are_those_that_are_measured(kind, data):
    network, shape = data.draw(networks(kind))
    ranks = tuple(data.draw(st.integers(1, most)) for most in full_ranks(network[0], kind))
    (layer,), _ = find_layers(network, shape)
    found = measure(nn.Sequential(make_factors(network[0], kind, ranks)), shape)
    assert factor_costs(layer, kind, ranks) == (found.macs, found.params)


@pytest.mark.parametrize("kind", ["svd", "spatial-svd", "tucker2"])
@settings(max_examples=15)
@given(data=st.data())
def test_a_higher_rank_never_loses_more(kind, data):
    torch.manual_seed(data.draw(st.integers(0, 99)))
    conv = nn.Conv2d(12, 10, 1 if kind == "svd" else 3)
    network = nn.Sequential(conv)
    layer = Found("0", conv, (1, 12, 8, 8), tuple(conv(torch.zeros(1, 12, 8, 8)).shape))
    moment = None
    if data.draw(st.booleans()):
        moment = second_moments(network, torch.randn(2, 12, 8, 8), ["0"])["0"]
    options, _ = options_of(layer, [kind], moment)
    assert len(options) > 2
    for one in options:
        for other in options:
            if all(a <= b for a, b in zip(one.ranks, other.ranks, strict=True)):
                assert other.error <= one.error


@pytest.mark.parametrize("kind", ["svd", "spatial-svd", "tucker2"])
@settings(max_examples=15)
@given(data=st.data())
def test_with_pictures_the_outputs_on_them_are_not_worse(kind, data):
    torch.manual_seed(data.draw(st.integers(0, 99)))
    into, out = data.draw(st.integers(4, 12)), data.draw(st.integers(4, 12))
    conv = nn.Conv2d(into, out, 1 if kind == "svd" else (3, data.draw(st.integers(1, 4))), padding=1)
    network = nn.Sequential(conv)
    ranks = tuple(data.draw(st.integers(1, max(1, most // 2))) for most in full_ranks(conv, kind))
    mixing = torch.randn(into, into)
    pictures = torch.einsum("nchw,dc->ndhw", torch.randn(3, into, 9, 9).cumsum(-1), mixing)

    def error(calibration):
        plan = _plan(network, kind, ranks, calibrated=calibration is not None)
        factored = apply_factors(network, plan, calibration=calibration)
        with torch.no_grad():
            return float((factored(pictures) - network(pictures)).norm())

    assert error(pictures) <= error(None) * (1 + 1e-4)


@given(
    st.lists(
        st.lists(st.builds(Choice, st.integers(1, 50), st.floats(0, 5)), max_size=6), min_size=1, max_size=5
    ),
    st.floats(0, 1),
)
def test_a_choice_meets_what_is_needed_and_is_near_the_best(menus, share):
    most = sum(max((choice.saved for choice in menu), default=0) for menu in menus)
    needed = int(share * most)
    taken = choose(menus, needed)
    picked = [menu[place] for menu, place in zip(menus, taken, strict=True) if place is not None]
    assert sum(choice.saved for choice in picked) >= needed
    best = {0: 0.0}
    for menu in menus:
        grown = dict(best)
        for saved, lost in best.items():
            for choice in menu:
                key = saved + choice.saved
                grown[key] = min(grown.get(key, float("inf")), lost + choice.lost)
        best = grown
    least = min(lost for saved, lost in best.items() if saved >= needed)
    worst_choice = max((choice.lost for menu in menus for choice in menu), default=0.0)
    assert sum(choice.lost for choice in picked) <= least + worst_choice + 1e-9
