"""Grids: the worked numbers of the docstrings, channels, and what is refused."""

from __future__ import annotations

import pytest
import torch

from gossamer.compress.quantize.ranges import find_range
from gossamer.compress.quantize.simulate import (
    asymmetric_grid,
    fake_quantize,
    quantize,
    sqnr_db,
    symmetric_grid,
)
from gossamer.errors import ModelError


def test_int8_of_weights():
    grid = symmetric_grid(torch.tensor([[-0.5, 1.27]]))
    assert grid.scale.item() == pytest.approx(0.01)
    assert quantize(torch.tensor([[-0.5, 1.27, -9.0]]), grid).tolist() == [[-50, 127, -127]]


def test_uint8_of_activations_holds_zero():
    grid = asymmetric_grid(-1.0, 4.1)
    assert grid.scale.item() == pytest.approx(0.02)
    assert grid.zero_point.item() == 50
    assert fake_quantize(torch.zeros(1), grid).item() == 0
    positive = asymmetric_grid(2.0, 5.1)
    assert positive.scale.item() == pytest.approx(0.02)
    assert positive.zero_point.item() == 0


def test_a_scale_a_channel_is_finer_where_channels_differ():
    weight = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    weight *= torch.logspace(-3, 0, 6).reshape(-1, 1, 1, 1)
    own, one = symmetric_grid(weight), symmetric_grid(weight, per_channel=False)
    assert own.scale.shape == (6, 1, 1, 1)
    assert one.scale.shape == ()
    first = [sqnr_db(weight[:1], fake_quantize(weight, grid)[:1]) for grid in (own, one)]
    assert first[0] > 35 > 5 > first[1]


def test_a_dead_channel_is_exact_and_divides_by_nothing():
    weight = torch.stack([torch.zeros(5), torch.full((5,), 1e-42), torch.linspace(-1, 1, 5)])
    rounded = fake_quantize(weight, symmetric_grid(weight))
    assert torch.isfinite(rounded).all()
    assert rounded[0].tolist() == [0.0] * 5
    assert (rounded[2] - weight[2]).abs().max() <= 0.5 / 127 + 1e-7


def test_bits_and_numbers_are_checked():
    with pytest.raises(ModelError, match="2 to 16 bits, got 1"):
        symmetric_grid(torch.ones(2, 2), bits=1)
    with pytest.raises(ModelError, match="finite, got NaN"):
        symmetric_grid(torch.tensor([[float("nan")]]))
    with pytest.raises(ModelError, match="low <= high"):
        asymmetric_grid(2.0, 1.0)


def _long_tailed():
    values = torch.randn(20_000, generator=torch.Generator().manual_seed(0)).relu()
    values[7] = 60.0
    return values


@pytest.mark.parametrize("method", ["percentile", "mse", "entropy"])
def test_narrow_ranges_leave_an_outlier_out_and_round_the_rest_better(method):
    values = _long_tailed()
    rest = values[values < 10]
    low, high = find_range(values, method, bits=4)
    assert low == 0
    assert rest.max() * 0.5 < high < 40
    assert find_range(values) == (0.0, 60.0)
    errors = [
        (rest - fake_quantize(rest, asymmetric_grid(0.0, top, bits=4))).square().mean()
        for top in (high, 60.0)
    ]
    assert errors[0] < 0.5 * errors[1]


def test_ranges_hold_zero_and_refuse_what_is_no_range():
    assert find_range(torch.tensor([2.0, 3.0])) == (0.0, 3.0)
    assert find_range(torch.zeros(4), "mse") == (0.0, 0.0)
    with pytest.raises(ModelError, match="minmax, percentile, mse, entropy, got 'max'"):
        find_range(torch.ones(2), "max")
    with pytest.raises(ModelError, match="finite values"):
        find_range(torch.empty(0))
