"""Only ranks that save are offered; where there are none the reason is told."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.compress.lowrank.layers import find_layers
from gossamer.compress.lowrank.options import Option, dense_costs, options_of
from gossamer.cost.meter import measure


def _layer(module, *shape):
    (layer,), _ = find_layers(nn.Sequential(module), shape)
    return layer


def test_dense_costs_are_measured_ones():
    conv = nn.Conv2d(3, 5, 3, 2)
    cost = measure(nn.Sequential(conv), (2, 3, 9, 9))
    assert dense_costs(_layer(conv, 2, 3, 9, 9)) == (cost.macs, cost.params)


@pytest.mark.parametrize(("into", "out"), [(12, 24), (30, 30), (7, 2)])
def test_pointwise_ranks_stay_below_io_by_i_plus_o(into, out):
    options, _ = options_of(_layer(nn.Conv2d(into, out, 1, bias=False), 1, into, 4, 4), ["svd"])
    most = (into * out) / (into + out)
    assert [option.ranks[0] for option in options] == [
        r for r in range(1, into) if r <= most and r * (into + out) != into * out
    ]


def test_multiples_and_kinds():
    layer = _layer(nn.Conv2d(32, 32, 3), 1, 32, 6, 6)
    options, _ = options_of(layer, ["svd", "spatial-svd", "tucker2"], multiple=8)
    assert {option.kind for option in options} == {"spatial-svd", "tucker2"}
    assert all(rank % 8 == 0 for option in options for rank in option.ranks)


@pytest.mark.parametrize(
    ("module", "kinds", "reason"),
    [
        (nn.Conv2d(8, 8, 3), ["svd", "cp"], "none of svd, cp is for its kernel"),
        (nn.Conv2d(2, 1, 1), ["svd"], "no rank saves anything"),
        (nn.Conv2d(12, 12, 5), ["cp"], "its factors come to no relative error below 0.5"),
    ],
)
def test_reasons(module, kinds, reason):
    torch.manual_seed(0)
    module.reset_parameters()
    layer = _layer(module, 1, module.in_channels, 8, 8)
    assert options_of(layer, kinds) == ([], reason)


def test_loss_is_the_log_of_what_is_kept():
    option = Option("svd", (1,), 0.6, 1, 1)
    assert option.loss == pytest.approx(0.4462871, abs=1e-6)
    assert Option("svd", (1,), 0.0, 1, 1).loss == 0


def test_a_layer_of_zeros_loses_nothing():
    conv = nn.Conv2d(6, 6, 3)
    nn.init.zeros_(conv.weight)
    options, _ = options_of(_layer(conv, 1, 6, 4, 4), ["spatial-svd", "tucker2"])
    assert {option.error for option in options} == {0.0}
