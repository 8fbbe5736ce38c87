"""Every formula gives what is counted of the block to the last multiply-accumulate, and the papers' ratios hold."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gossamer.cost import block_formulas as cost
from gossamer.cost.meter import measure
from gossamer.errors import ModelError
from gossamer.nn.blocks import (
    EESP,
    ESP,
    BasicBlock,
    Bottleneck,
    DenseLayer,
    DepthwiseSeparable,
    Fire,
    GhostBottleneck,
    GhostModule,
    Inception,
    InvertedResidual,
    LongRangeGate,
    RepConv,
    Sandglass,
    ShuffleUnitV1,
    ShuffleUnitV2,
    UniversalInvertedBottleneck,
)
from gossamer.nn.layers import ConvNormAct, MixedConv2d, SqueezeExcite

MAPS = [(14, 14), (7, 5), (1, 1)]
WHOLE_MAP = {"height": 14, "width": 14}


def _v1(in_channels, out_channels, hidden_channels, groups):
    assert hidden_channels == out_channels // 4
    return ShuffleUnitV1(in_channels, out_channels, groups=groups)


def _receptive(in_channels, out_channels, branches):
    return EESP(in_channels, out_channels, receptive=[3, 5, 7, 9][:branches])


def _sandglass(in_channels, out_channels, hidden_channels, **options):
    same = in_channels == out_channels
    return Sandglass(in_channels, out_channels, hidden_channels, residual=same, **options)


def _fused(in_channels, out_channels, fused, **options):
    block = RepConv(in_channels, out_channels, **options)
    return block.fused() if fused else block


# Name -> (formula, what builds the block, the arguments that both take).
CASES = {
    "standard": (
        cost.standard_convolution_macs,
        ConvNormAct,
        [
            {"in_channels": 3, "out_channels": 32, "kernel": 3},
            {"in_channels": 24, "out_channels": 10, "kernel": 5},
            {"in_channels": 24, "out_channels": 36, "kernel": 7, "groups": 12},
        ],
    ),
    "pointwise": (
        cost.pointwise_macs,
        ConvNormAct,
        [
            {"in_channels": 16, "out_channels": 40},
            {"in_channels": 16, "out_channels": 40, "groups": 8},
        ],
    ),
    "depthwise": (
        cost.depthwise_macs,
        lambda channels, kernel: ConvNormAct(channels, channels, kernel, groups=channels),
        [{"channels": 13, "kernel": 3}, {"channels": 32, "kernel": 7}],
    ),
    "depthwise separable": (
        cost.depthwise_separable_macs,
        DepthwiseSeparable,
        [
            {"in_channels": 32, "out_channels": 64},
            {"in_channels": 128, "out_channels": 128},
            {"in_channels": 17, "out_channels": 5, "kernel": 5},
        ],
    ),
    "shuffle v1": (
        cost.shuffle_unit_v1_macs,
        _v1,
        [
            {"in_channels": 240, "out_channels": 240, "hidden_channels": 60, "groups": 3},
            {"in_channels": 384, "out_channels": 384, "hidden_channels": 96, "groups": 8},
            {"in_channels": 144, "out_channels": 144, "hidden_channels": 36, "groups": 1},
        ],
    ),
    "shuffle v2": (
        cost.shuffle_unit_v2_macs,
        lambda channels, **options: ShuffleUnitV2(channels, channels, **options),
        [{"channels": 116}, {"channels": 60, "kernel": 5}],
    ),
    "fire": (
        cost.fire_macs,
        Fire,
        [
            {"in_channels": 96, "squeeze_channels": 16, "expand1_channels": 64, "expand3_channels": 64},
            {"in_channels": 10, "squeeze_channels": 7, "expand1_channels": 5, "expand3_channels": 3},
        ],
    ),
    "inverted residual": (
        cost.inverted_residual_macs,
        InvertedResidual,
        [
            {"in_channels": 24, "out_channels": 24, "hidden_channels": 144},
            {"in_channels": 24, "out_channels": 40, "hidden_channels": 72, "kernel": 5},
            {"in_channels": 32, "out_channels": 16, "hidden_channels": 32},
            {"in_channels": 32, "out_channels": 16, "hidden_channels": 32, "always_expand": True},
            {"in_channels": 24, "out_channels": 24, "hidden_channels": 50, "kernel": (3, 5, 7)},
            {
                "in_channels": 8,
                "out_channels": 24,
                "hidden_channels": 48,
                "expand_groups": 4,
                "project_groups": 2,
            },
        ],
    ),
    "universal inverted bottleneck": (
        cost.universal_inverted_bottleneck_macs,
        UniversalInvertedBottleneck,
        [
            {
                "in_channels": 32,
                "out_channels": 48,
                "hidden_channels": 96,
                "start_kernel": start,
                "middle_kernel": middle,
            }
            for start, middle in [(3, 5), (0, 3), (7, 0), (0, 0)]
        ],
    ),
    "ghost module": (
        cost.ghost_module_macs,
        GhostModule,
        [{"in_channels": 16, "out_channels": 48}, {"in_channels": 16, "out_channels": 7}],
    ),
    "ghost bottleneck": (
        cost.ghost_bottleneck_macs,
        GhostBottleneck,
        [
            {"in_channels": 40, "out_channels": 40, "hidden_channels": 120},
            {"in_channels": 24, "out_channels": 40, "hidden_channels": 72, "kernel": 5},
        ],
    ),
    "sandglass": (
        cost.sandglass_macs,
        _sandglass,
        [
            {"in_channels": 192, "out_channels": 192, "hidden_channels": 32},
            {
                "in_channels": 144,
                "out_channels": 192,
                "hidden_channels": 24,
                "first": False,
                "last": False,
            },
            {"in_channels": 96, "out_channels": 144, "hidden_channels": 16, "first": False},
        ],
    ),
    "esp": (
        cost.esp_macs,
        ESP,
        [{"in_channels": 64, "out_channels": 64}, {"in_channels": 131, "out_channels": 128}],
    ),
    "eesp": (
        cost.eesp_macs,
        _receptive,
        [
            {"in_channels": 128, "out_channels": 128, "branches": 4},
            {"in_channels": 32, "out_channels": 96, "branches": 4},
            {"in_channels": 18, "out_channels": 36, "branches": 3},
        ],
    ),
    "mixed depthwise": (
        cost.mixed_depthwise_macs,
        MixedConv2d,
        [
            {"channels": 24, "kernels": (3, 5, 7)},
            {"channels": 50, "kernels": (7, 5, 3)},
            {"channels": 9, "kernels": (3,)},
        ],
    ),
    "re-parameterised": (
        cost.rep_conv_macs,
        _fused,
        [
            {"in_channels": 48, "out_channels": 48, "fused": fused, **options}
            for fused in (False, True)
            for options in (
                {},
                {"groups": 4},
                {"kernel": 1, "branches": 4},
                {"groups": 48, "branches": 3},
                {"pointwise": False},
            )
        ],
    ),
    "basic block": (
        cost.basic_block_macs,
        BasicBlock,
        [{"in_channels": 64, "out_channels": 64}, {"in_channels": 16, "out_channels": 40}],
    ),
    "bottleneck": (
        cost.bottleneck_macs,
        Bottleneck,
        [
            {"in_channels": 256, "out_channels": 256, "hidden_channels": 64},
            {"in_channels": 48, "out_channels": 96, "hidden_channels": 96, "groups": 6},
        ],
    ),
    "dense layer": (
        cost.dense_layer_macs,
        DenseLayer,
        [{"in_channels": 64, "growth": 32}, {"in_channels": 5, "growth": 3}],
    ),
    "inception": (
        cost.inception_macs,
        Inception,
        [
            {"in_channels": 192, "c1": 64, "reduce3": 96, "c3": 128, "reduce5": 16, "c5": 32, "pool": 32},
            {
                "in_channels": 48,
                "c1": 6,
                "reduce3": 9,
                "c3": 12,
                "reduce5": 3,
                "c5": 5,
                "pool": 4,
                "kernel5": 3,
            },
        ],
    ),
}
EVERY = [
    pytest.param(formula, build, arguments, id=f"{name}-{index}")
    for name, (formula, build, variants) in CASES.items()
    for index, arguments in enumerate(variants)
]


def _bands(arguments):
    return arguments["channels"] if "channels" in arguments else arguments["in_channels"]


def _counted(block, shape):
    """What torch's own counter and ours agree on."""
    counter = FlopCounterMode(display=False)
    block = block.to("meta").eval()
    with torch.no_grad(), counter:
        block(torch.empty(shape, device="meta"))
    measured = measure(block, shape)
    assert 2 * measured.macs == counter.get_total_flops()
    assert measured.uncounted == ()
    return measured.macs


def _weights(block):
    """Learnable numbers of the convolutions, without biases."""
    return sum(m.weight.numel() for m in block.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("size", MAPS, ids=str)
@pytest.mark.parametrize(("formula", "build", "arguments"), EVERY)
def test_the_formula_is_what_is_counted(formula, build, arguments, size):
    block = build(**arguments)
    expected = _counted(block, (1, _bands(arguments), *size))
    assert formula(**arguments, height=size[0], width=size[1]) == expected > 0


@pytest.mark.parametrize(("formula", "build", "arguments"), EVERY)
def test_on_one_pixel_the_formula_is_the_weights(formula, build, arguments):
    assert formula(**arguments, height=1, width=1) == _weights(build(**arguments))


@pytest.mark.parametrize("size", [(14, 14), (7, 5), (9, 12)], ids=str)
def test_the_long_range_gate(size):
    gate = LongRangeGate(24, 72)
    counted = _counted(gate, (1, 24, *size))
    assert (
        cost.long_range_gate_macs(in_channels=24, out_channels=72, height=size[0], width=size[1]) == counted
    )


@pytest.mark.parametrize("size", MAPS, ids=str)
def test_squeeze_and_excite_adds_the_same_on_any_map(size):
    added = cost.squeeze_excite_macs(channels=72, squeeze_channels=24)
    gate = SqueezeExcite(72, 24)
    assert added == _counted(gate, (1, 72, *size)) == _weights(gate)
    plain = InvertedResidual(24, 40, 72)
    gated = InvertedResidual(24, 40, 72, excite=partial(SqueezeExcite, squeeze_channels=24))
    assert _counted(gated, (1, 24, *size)) - _counted(plain, (1, 24, *size)) == added


def test_no_formula_is_left_out():
    named = {formula.__name__ for formula, *_ in CASES.values()}
    elsewhere = {"long_range_gate_macs", "squeeze_excite_macs", "scale", "scaled_depthwise_separable_macs"}
    assert named | elsewhere == set(cost.__all__)


# --- the papers' ratios ---------------------------------------------------------------------------


def _standard(channels, kernel=3, **options):
    return cost.standard_convolution_macs(
        in_channels=channels, out_channels=channels, kernel=kernel, **WHOLE_MAP, **options
    )


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize(("in_channels", "out_channels"), [(32, 64), (128, 128), (3, 7)])
def test_depthwise_separable_is_one_nth_and_one_square(in_channels, out_channels, kernel):
    """MobileNet, behind equation 5."""
    shape = {"in_channels": in_channels, "out_channels": out_channels, "kernel": kernel, **WHOLE_MAP}
    ratio = Fraction(cost.depthwise_separable_macs(**shape), cost.standard_convolution_macs(**shape))
    assert ratio == Fraction(1, out_channels) + Fraction(1, kernel**2)


WIDTHS = [Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), Fraction(1), Fraction(2)]


@pytest.mark.parametrize("alpha", WIDTHS)
def test_the_width_multiplier_is_a_square_where_all_channels_scale(alpha):
    """MobileNet, equation 6: exact for standard and pointwise convolutions, linear for the depthwise part."""
    thin = cost.scale(128, alpha)
    assert Fraction(_standard(thin), _standard(128)) == alpha**2
    assert Fraction(_standard(thin, kernel=1), _standard(128, kernel=1)) == alpha**2
    shape = {"in_channels": 128, "out_channels": 128, **WHOLE_MAP}
    separable = cost.scaled_depthwise_separable_macs(**shape, width_multiplier=alpha)
    pointwise = cost.pointwise_macs(**shape)
    depthwise = cost.depthwise_macs(channels=128, **WHOLE_MAP)
    assert separable == alpha**2 * pointwise + alpha * depthwise
    assert separable == _counted(DepthwiseSeparable(thin, thin), (1, thin, 14, 14))


@pytest.mark.parametrize("rho", WIDTHS)
def test_the_resolution_multiplier_is_a_square(rho):
    """MobileNet, equation 7: exact for everything that works a pixel at a time."""
    shape = {"in_channels": 24, "out_channels": 40, "height": 28, "width": 16}
    full = cost.depthwise_separable_macs(**shape)
    small = cost.scaled_depthwise_separable_macs(**shape, resolution_multiplier=rho)
    assert Fraction(small, full) == rho**2
    size = (int(28 * rho), int(16 * rho))
    assert small == _counted(DepthwiseSeparable(24, 40), (1, 24, *size))


@pytest.mark.parametrize("groups", [1, 2, 4, 8, 128])
@pytest.mark.parametrize("kernel", [1, 3])
def test_groups_divide(groups, kernel):
    assert Fraction(_standard(128, kernel, groups=groups), _standard(128, kernel)) == Fraction(1, groups)


@pytest.mark.parametrize("groups", [1, 3, 4])
def test_shufflenet_beside_its_neighbours(groups):
    """ShuffleNet, section 3.2: hw(2cm + 9m^2), hw(2cm + 9m^2/g) and hw(2cm/g + 9m)."""
    c, m, hw = 240, 60, 14 * 14
    shape = {"in_channels": c, "out_channels": c, "hidden_channels": m, **WHOLE_MAP}
    assert cost.bottleneck_macs(**shape) == hw * (2 * c * m + 9 * m * m)
    assert cost.bottleneck_macs(**shape, groups=groups) == hw * (2 * c * m + 9 * m * m // groups)
    assert cost.shuffle_unit_v1_macs(**shape, groups=groups) == hw * (2 * c * m // groups + 9 * m)


@pytest.mark.parametrize(("kernel", "ratio"), [(1, 2), (3, 2), (3, 4)])
def test_the_speed_up_of_the_ghost_module(kernel, ratio):
    """GhostNet, equation 4, before it is rounded to about s."""
    c, n, d = 64, 96, 3
    shape = {"in_channels": c, "out_channels": n, "kernel": kernel, **WHOLE_MAP}
    speed_up = Fraction(
        cost.standard_convolution_macs(**shape), cost.ghost_module_macs(**shape, cheap_kernel=d, ratio=ratio)
    )
    assert speed_up == Fraction(ratio * c * kernel**2, c * kernel**2 + (ratio - 1) * d**2)


def test_the_pyramids_beside_each_other():
    """ESPNetv2, section 3.1: (M d + n^2 d^2 K) / (M d / g + (n^2 + d) d K); 7 with M = N = 240, g = K = 4, d = 60."""
    shape = {"in_channels": 240, "out_channels": 240, "branches": 4, **WHOLE_MAP}
    m, d, k, taps = 240, 60, 4, 9
    ratio = Fraction(cost.esp_macs(**shape), cost.eesp_macs(**shape))
    assert ratio == Fraction(m * d + taps * d * d * k, m * d // k + (taps + d) * d * k)
    assert int(ratio) == 7


def test_the_pyramid_beside_a_standard_convolution():
    """ESPNet, section 3: (M N + n^2 N^2) / K weights against n^2 M N, where K divides N."""
    shape = {"in_channels": 80, "out_channels": 120, **WHOLE_MAP}
    weights = Fraction(cost.esp_macs(**shape), 14 * 14)
    assert weights == Fraction(80 * 120 + 9 * 120 * 120, 5)


def test_the_deployed_form_is_one_standard_convolution():
    shape = {"in_channels": 64, "out_channels": 64, **WHOLE_MAP}
    fused = cost.rep_conv_macs(**shape, fused=True)
    assert fused == cost.standard_convolution_macs(**shape)
    assert Fraction(cost.rep_conv_macs(**shape), fused) == Fraction(10, 9)


# --- refusals -------------------------------------------------------------------------------------


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(ModelError, match="groups must divide the channels, got 3 groups of 16 channels"):
        cost.pointwise_macs(in_channels=16, out_channels=9, groups=3, height=1, width=1)
    with pytest.raises(ModelError, match="got 2 groups of 7 channels"):
        cost.shuffle_unit_v2_macs(channels=7, height=1, width=1)


def test_a_multiplier_that_leaves_a_part_of_a_channel_is_refused():
    with pytest.raises(ModelError, match="must be a whole number of 1 or more, got 1/3 x 16"):
        cost.scale(16, Fraction(1, 3))
