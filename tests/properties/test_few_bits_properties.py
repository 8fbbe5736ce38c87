"""Few bits: never off by more than half a step inside the range, codes within their bits, exact powers, exact baking."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import nn

from gossamer.compress.quantize.qat_apply import apply_bits, best_step
from gossamer.compress.quantize.qat_codes import bake, codes, decode
from gossamer.compress.quantize.qat_plan import plan_bits
from gossamer.nn.edits.quantize import quantize_layers, quantized_layers, read_bits, written_bits
from gossamer.nn.layer_bits import KINDS, LayerBits
from gossamer.nn.quantizers import (
    apot_codes,
    apot_levels,
    apot_terms,
    apot_values,
    pot_codes,
    pot_count,
    pot_top,
    pot_values,
    round_apot,
    round_uniform,
    spread,
)

numbers = st.floats(-1e4, 1e4, width=32, allow_subnormal=False)
rows = st.integers(2, 12).flatmap(
    lambda width: st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=1, max_size=6)
)
kinds = st.sampled_from(KINDS).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        {
            "uniform": st.integers(2, 8),
            "pot": st.integers(2, 6),
            "apot": st.integers(4, 8),
            "ternary": st.just(2),
            "binary": st.just(1),
        }[kind],
        st.booleans(),
    )
)


@given(rows, st.floats(1e-3, 1e3), st.integers(2, 8), st.integers(0, 255))
@settings(deadline=None)
def test_inputs_are_off_by_half_a_step_inside_the_range(values, step, bits, zero):
    x, high = torch.tensor(values), 2**bits - 1
    zero = min(zero, high)
    rounded = round_uniform(x, torch.tensor(step), torch.tensor(float(zero)), 0, high)
    inside = (x >= -zero * step) & (x <= (high - zero) * step)
    slack = 1e-6 * x.abs() + 1e-12
    assert ((rounded - x).abs() <= 0.5 * step + slack)[inside].all()
    assert (rounded >= -zero * step * (1 + 1e-6)).all()
    assert (rounded <= (high - zero) * step * (1 + 1e-6)).all()
    assert (rounded[x == 0] == 0).all()


@given(rows, st.integers(2, 8), st.booleans())
@settings(deadline=None)
def test_weights_are_off_by_half_a_step_inside_the_range(values, bits, per_channel):
    weight = torch.tensor(values)
    step = best_step(weight, LayerBits("uniform", bits, per_channel))
    size = spread(torch.where(step > 0, step, 1.0), weight)
    half = 2 ** (bits - 1)
    rounded = round_uniform(weight, size, torch.zeros_like(size), -half, half - 1)
    inside = (weight >= -half * size) & (weight <= (half - 1) * size)
    assert ((rounded - weight).abs() <= (0.5 * size + 1e-6 * weight.abs()))[inside].all()
    assert torch.allclose(round_uniform(rounded, size, torch.zeros_like(size), -half, half - 1), rounded)


@given(rows, st.integers(2, 6), st.booleans())
@settings(deadline=None)
def test_powers_of_two_are_exact_and_within_a_third(values, bits, per_channel):
    weight = torch.tensor(values)
    top = pot_top(weight, per_channel=per_channel)
    found = pot_codes(weight, top, bits)
    powers = pot_values(found, top, bits)
    assert (torch.frexp(powers[powers != 0].abs()).mantissa == 0.5).all()
    assert (found.abs() <= pot_count(bits)).all()
    assert torch.equal(pot_codes(powers, top, bits), found)
    smallest = spread(top, weight) * 2.0 ** (1 - pot_count(bits))
    off = (powers - weight).abs()
    assert (off <= torch.maximum(weight.abs() / 3, smallest / 2) * (1 + 1e-5))[
        weight.abs() >= smallest / 2
    ].all()
    assert (powers == 0)[weight.abs() < smallest / 2].all()


@given(rows, st.integers(4, 8), st.floats(1e-3, 1e3))
@settings(deadline=None)
def test_sums_of_powers_are_the_nearest_level_and_stay_what_they_are(values, bits, size):
    weight, top = torch.tensor(values), torch.tensor(size)
    found = apot_codes(weight, top, bits)
    sums = apot_values(found, top, bits)
    levels = torch.tensor(apot_levels(bits))
    nearest = (weight.abs().clamp(max=size)[..., None] - levels * size).abs().amin(-1)
    assert torch.allclose(
        (sums - weight).abs(), nearest + (weight.abs() - size).clamp(min=0), atol=1e-5 * size
    )
    assert torch.equal(apot_codes(sums, top, bits), found)
    assert torch.equal(round_apot(weight, top, bits), sums)


@pytest.mark.parametrize("bits", range(4, 9))
def test_every_level_is_a_sum_of_that_many_powers_of_two(bits):
    levels = apot_levels(bits)
    assert (len(levels), levels[0], levels[-1]) == (2 ** (bits - 1), 0.0, 1.0)
    assert len(set(levels)) == len(levels)
    unit = levels[1]
    whole = [round(level / unit) for level in levels]
    assert [number * unit for number in whole] == pytest.approx(levels)
    assert max(number.bit_count() for number in whole) == apot_terms(bits)


@given(rows, kinds)
@settings(deadline=None, max_examples=60)
def test_baked_layers_decode_from_their_codes_and_survive_a_file(values, kind):
    weight = torch.tensor(values)
    network = nn.Sequential(nn.Linear(weight.shape[1], len(weight)))
    with torch.no_grad():
        network[0].weight.copy_(weight)
    bits = LayerBits(*kind)
    changed = quantize_layers(network, {"0": bits}).eval()
    layer = quantized_layers(changed)["0"]
    found, scale = codes(layer)
    assert len(set(found.ravel().tolist())) <= 2**bits.bits
    assert abs(found.astype(int)).max() <= 2 ** (bits.bits - 1)
    baked = bake(changed)
    assert torch.equal(decode(found, scale, bits), baked[0].weight)
    x = torch.linspace(-1, 1, 2 * weight.shape[1]).reshape(2, -1)
    with torch.no_grad():
        assert torch.equal(baked(x), changed(x))
    again = quantize_layers(nn.Sequential(nn.Linear(weight.shape[1], len(weight))), {"0": bits}).eval()
    again.load_state_dict(load(save(changed.state_dict())))
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in changed.state_dict().items())
    with torch.no_grad():
        assert torch.equal(again(x), changed(x))


@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([1, 3, 5]),
    st.integers(1, 3),
    st.integers(5, 9),
    st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_a_shortcut_is_what_comes_in_and_off_where_a_layer_has_none(
    channels, times, kernel, stride, side, normed
):
    torch.manual_seed(side)
    conv = nn.Conv2d(channels, channels * times, kernel, stride, kernel // 2)
    norm = [nn.BatchNorm2d(channels * times)] if normed else []
    network = nn.Sequential(conv, *norm, nn.Flatten(), nn.LazyLinear(2)).eval()
    x = torch.randn(2, channels, side, side)
    network(x)
    told = [LayerBits("binary", 1, activation_bits=1, shortcut=shortcut) for shortcut in (True, False)]
    around, plain = (quantize_layers(network, {"0": bits})[: 1 + len(norm)] for bits in told)
    entry = {k: v for k, v in written_bits({"0": told[1]})["0"].items() if k != "shortcut"}
    old = quantize_layers(network, read_bits({"layers": {"0": entry}}))[: 1 + len(norm)]
    with torch.no_grad():
        added = (around(x) - plain(x)) / around[0].gain[:, None, None]
        assert torch.equal(old(x), plain(x))
        repeated = added.reshape(2, times, channels, *added.shape[2:])
        assert torch.allclose(repeated, repeated[:, :1].expand_as(repeated), atol=1e-5)
        if stride == 1:
            assert torch.allclose(repeated[:, 0], x, atol=1e-5)
        inside = repeated[:, 0, :, : side // stride, : side // stride]
        assert torch.allclose(inside, nn.functional.avg_pool2d(x, stride), atol=1e-5)


@given(st.integers(0, 99), st.integers(2, 8))
@settings(deadline=None, max_examples=15)
def test_more_bits_never_cost_less_and_lose_more(seed, bits):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 1))
    shape = (1, 3, 8, 8)
    plans = [plan_bits(network, shape, bits=b, activation_bits=None) for b in (bits, 8)]
    assert plans[0].costs().weight_bytes <= plans[1].costs().weight_bytes
    assert plans[0].costs().bops <= plans[1].costs().bops
    lost = []
    for plan in plans:
        weight = bake(apply_bits(network, plan))[2].weight
        lost.append(float((weight - network[2].weight).detach().norm()))
    assert lost[1] <= lost[0]
