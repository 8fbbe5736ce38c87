"""Whatever the channels, kernels and maps: formulas are whole, add up, scale with the map and shrink as they say."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gossamer.cost import block_formulas as cost
from gossamer.cost.meter import measure
from gossamer.nn.blocks import DepthwiseSeparable, InvertedResidual

CHANNELS = st.integers(1, 512)
KERNELS = st.sampled_from([1, 3, 5, 7, 9])
SIDES = st.integers(1, 64)


@st.composite
def ends(draw: st.DrawFn, multiple: int = 1) -> dict[str, int]:
    """in_channels and out_channels, multiples of a number."""
    return {name: multiple * draw(CHANNELS) for name in ("in_channels", "out_channels")}


MAPS = st.fixed_dictionaries({"height": SIDES, "width": SIDES})


@given(ends(), KERNELS, MAPS)
def test_a_separable_convolution_is_its_parts_and_its_ratio(channels, kernel, at):
    separable = cost.depthwise_separable_macs(**channels, kernel=kernel, **at)
    depthwise = cost.depthwise_macs(channels=channels["in_channels"], kernel=kernel, **at)
    assert separable == depthwise + cost.pointwise_macs(**channels, **at)
    standard = cost.standard_convolution_macs(**channels, kernel=kernel, **at)
    assert Fraction(separable, standard) == Fraction(1, channels["out_channels"]) + Fraction(1, kernel**2)


@given(st.integers(1, 64), st.data(), KERNELS, MAPS)
def test_groups_divide_exactly(groups, data, kernel, at):
    channels = data.draw(ends(groups))
    whole = cost.standard_convolution_macs(**channels, kernel=kernel, **at)
    assert groups * cost.standard_convolution_macs(**channels, kernel=kernel, groups=groups, **at) == whole


@given(ends(64), st.integers(1, 64), st.integers(1, 64), MAPS)
def test_the_width_multiplier_lies_between_alpha_squared_and_alpha(channels, numerator, side, at):
    alpha = Fraction(numerator, 64)
    full = cost.depthwise_separable_macs(**channels, **at)
    thin = cost.scaled_depthwise_separable_macs(**channels, **at, width_multiplier=alpha)
    assert alpha**2 <= Fraction(thin, full) <= alpha
    small = cost.scaled_depthwise_separable_macs(
        **channels, height=64 * side, width=64, resolution_multiplier=alpha
    )
    assert Fraction(small, cost.depthwise_separable_macs(**channels, height=64 * side, width=64)) == alpha**2


EACH = {
    "standard": (cost.standard_convolution_macs, {"in_channels": 24, "out_channels": 40}),
    "separable": (cost.depthwise_separable_macs, {"in_channels": 24, "out_channels": 40}),
    "v1": (
        cost.shuffle_unit_v1_macs,
        {"in_channels": 24, "out_channels": 24, "hidden_channels": 6, "groups": 3},
    ),
    "v2": (cost.shuffle_unit_v2_macs, {"channels": 24}),
    "fire": (
        cost.fire_macs,
        {"in_channels": 24, "squeeze_channels": 4, "expand1_channels": 8, "expand3_channels": 9},
    ),
    "inverted": (
        cost.inverted_residual_macs,
        {"in_channels": 24, "out_channels": 40, "hidden_channels": 72, "kernel": (3, 5)},
    ),
    "universal": (
        cost.universal_inverted_bottleneck_macs,
        {
            "in_channels": 24,
            "out_channels": 40,
            "hidden_channels": 72,
            "start_kernel": 5,
            "middle_kernel": 3,
        },
    ),
    "ghost": (cost.ghost_bottleneck_macs, {"in_channels": 24, "out_channels": 41, "hidden_channels": 73}),
    "sandglass": (cost.sandglass_macs, {"in_channels": 24, "out_channels": 40, "hidden_channels": 4}),
    "esp": (cost.esp_macs, {"in_channels": 24, "out_channels": 41}),
    "eesp": (cost.eesp_macs, {"in_channels": 24, "out_channels": 48}),
    "mixed": (cost.mixed_depthwise_macs, {"channels": 25, "kernels": (3, 5, 7)}),
    "rep": (cost.rep_conv_macs, {"in_channels": 24, "out_channels": 40, "branches": 3}),
    "basic": (cost.basic_block_macs, {"in_channels": 24, "out_channels": 40}),
    "bottleneck": (
        cost.bottleneck_macs,
        {"in_channels": 24, "out_channels": 40, "hidden_channels": 8, "groups": 2},
    ),
    "dense": (cost.dense_layer_macs, {"in_channels": 24, "growth": 5}),
}


@given(st.sampled_from(sorted(EACH)), SIDES, SIDES)
def test_every_pixel_costs_the_same(name, height, width):
    formula, arguments = EACH[name]
    macs = formula(**arguments, height=height, width=width)
    assert isinstance(macs, int)
    assert macs == height * width * formula(**arguments, height=1, width=1)


@given(ends(), st.integers(1, 8), KERNELS, MAPS)
def test_an_inverted_residual_is_the_formula_of_the_paper(channels, expand, kernel, at):
    """h w d' t (d' + k^2 + d'') (MobileNetV2, section 3.3)."""
    narrow, out = channels["in_channels"], channels["out_channels"]
    macs = cost.inverted_residual_macs(
        **channels, hidden_channels=expand * narrow, kernel=kernel, always_expand=True, **at
    )
    assert macs == at["height"] * at["width"] * narrow * expand * (narrow + kernel**2 + out)


@given(CHANNELS, st.lists(KERNELS, min_size=1, max_size=5), MAPS)
def test_mixed_kernels_cost_between_the_smallest_and_the_largest(channels, kernels, at):
    mixed = cost.mixed_depthwise_macs(channels=channels, kernels=kernels, **at)
    least, most = (
        cost.depthwise_macs(channels=channels, kernel=k, **at) for k in (min(kernels), max(kernels))
    )
    assert least <= mixed <= most


@given(ends(), KERNELS, st.integers(1, 6), MAPS)
def test_fusing_leaves_one_convolution_whatever_was_trained(channels, kernel, branches, at):
    fused = cost.rep_conv_macs(**channels, kernel=kernel, branches=branches, fused=True, **at)
    trained = cost.rep_conv_macs(**channels, kernel=kernel, branches=branches, **at)
    assert fused == cost.standard_convolution_macs(**channels, kernel=kernel, **at) <= trained


@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 48), st.integers(1, 12), st.integers(1, 12))
def test_two_blocks_of_any_shape_are_what_is_counted(in_channels, out_channels, hidden, height, width):
    shape = {"in_channels": in_channels, "out_channels": out_channels, "height": height, "width": width}
    input = (1, in_channels, height, width)
    separable = measure(DepthwiseSeparable(in_channels, out_channels), input)
    assert cost.depthwise_separable_macs(**shape) == separable.macs
    inverted = measure(InvertedResidual(in_channels, out_channels, hidden), input)
    assert cost.inverted_residual_macs(**shape, hidden_channels=hidden) == inverted.macs
