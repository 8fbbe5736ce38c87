"""Grids: never off by more than half a scale inside the range, exact at zero, and rounding twice is rounding once."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.compress.quantize.ranges import find_range
from gossamer.compress.quantize.simulate import asymmetric_grid, fake_quantize, symmetric_grid

numbers = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
rows = st.integers(1, 12).flatmap(
    lambda width: st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=1, max_size=6)
)


@given(rows, st.integers(2, 8), st.booleans())
@settings(deadline=None)
def test_weights_are_off_by_half_a_scale_at_most(values, bits, per_channel):
    weight = torch.tensor(values)
    grid = symmetric_grid(weight, bits=bits, per_channel=per_channel)
    rounded = fake_quantize(weight, grid)
    slack = 1 + 1e-4
    assert ((rounded - weight).abs() <= 0.5 * slack * grid.scale).all()
    assert torch.equal(rounded[weight == 0], weight[weight == 0])
    assert torch.allclose(fake_quantize(rounded, grid), rounded)


@given(rows, st.integers(2, 8))
@settings(deadline=None)
def test_activations_are_off_by_half_a_scale_at_most(values, bits):
    seen = torch.tensor(values)
    grid = asymmetric_grid(*find_range(seen), bits=bits)
    rounded = fake_quantize(seen, grid)
    # the zero point is rounded too: at an end of the range up to half a code is clipped on top of half a code of rounding
    inside = (seen >= (grid.low - grid.zero_point) * grid.scale) & (
        seen <= (grid.high - grid.zero_point) * grid.scale
    )
    assert ((rounded - seen).abs()[inside] <= 0.5 * (1 + 1e-4) * grid.scale).all()
    assert ((rounded - seen).abs() <= (1 + 1e-4) * grid.scale).all()
    assert (fake_quantize(torch.zeros(3), grid) == 0).all()


@given(rows, st.sampled_from(["percentile", "mse", "entropy"]))
@settings(deadline=None, max_examples=25)
def test_ranges_lie_inside_what_was_seen_and_hold_zero(values, method):
    seen = torch.tensor(values)
    low, high = find_range(seen, method)
    assert min(0.0, float(seen.min())) <= low <= 0 <= high <= max(0.0, float(seen.max()))
