"""Multiply-accumulates of the blocks of lightweight networks, as their papers write them (no torch).

Every function is one construction at stride 1 on a map of `height` x `width`, one picture, and gives exact integers.
Only convolutions count: no bias, norm, activation, pooling, addition or shuffle. Each filter meets each pixel once,
so the macs on a 1 x 1 map are the weights of the construction (without biases and norms).

standard_convolution            K^2 M N           what everything else is compared with
pointwise, depthwise            M N / g, K^2 M    the two parts most blocks are made of
depthwise_separable             MobileNet, 1704.04861, equations 2 to 5; with both multipliers, equations 6 and 7
shuffle_unit_v1                 ShuffleNet, 1707.01083, section 3.2
shuffle_unit_v2                 ShuffleNetV2, 1807.11164, figure 3c
fire                            SqueezeNet, 1602.07360, section 3.2
inverted_residual               MobileNetV2, 1801.04381, section 3.3
universal_inverted_bottleneck   MobileNetV4, 2404.10518, figure 4
squeeze_excite                  Squeeze-and-Excitation, 1709.01507, section 4
ghost_module, ghost_bottleneck  GhostNet, 1911.11907, equations 4 and 5, figure 3
long_range_gate                 GhostNetV2, 2211.12905, section 3.2
sandglass                       MobileNeXt, 2007.02269, figure 3c
esp, eesp                       ESPNet, 1803.06815, section 3; ESPNetv2, 1811.11431, section 3.1
mixed_depthwise                 MixConv, 1907.09595, equation 2
rep_conv                        RepVGG, 2101.03697, figure 4; MobileOne, 2206.04040, figure 3
basic_block, bottleneck         ResNet, 1512.03385, figure 5; in groups RegNet, 2003.13678, figure 4
dense_layer                     DenseNet, 1608.06993, section 3, form B
inception                       GoogLeNet, 1409.4842, figure 2b
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from gossamer.cost.formulas import convolution_macs
from gossamer.errors import ModelError

__all__ = [
    "basic_block_macs",
    "bottleneck_macs",
    "dense_layer_macs",
    "depthwise_macs",
    "depthwise_separable_macs",
    "eesp_macs",
    "esp_macs",
    "fire_macs",
    "ghost_bottleneck_macs",
    "ghost_module_macs",
    "inception_macs",
    "inverted_residual_macs",
    "long_range_gate_macs",
    "mixed_depthwise_macs",
    "pointwise_macs",
    "rep_conv_macs",
    "sandglass_macs",
    "scale",
    "scaled_depthwise_separable_macs",
    "shuffle_unit_v1_macs",
    "shuffle_unit_v2_macs",
    "squeeze_excite_macs",
    "standard_convolution_macs",
    "universal_inverted_bottleneck_macs",
]


def standard_convolution_macs(
    *, in_channels: int, out_channels: int, kernel: int = 3, groups: int = 1, height: int, width: int
) -> int:
    """K x K from M to N channels: H W K^2 M N (MobileNet, equation 2); in g groups a g-th of it."""
    _divides(groups, in_channels, out_channels)
    weight = (out_channels, in_channels // groups, kernel, kernel)
    return convolution_macs(weight, (1, out_channels, height, width))


def pointwise_macs(*, in_channels: int, out_channels: int, groups: int = 1, height: int, width: int) -> int:
    """1 x 1 from M to N channels in g groups: H W M N / g."""
    return standard_convolution_macs(
        in_channels=in_channels,
        out_channels=out_channels,
        kernel=1,
        groups=groups,
        height=height,
        width=width,
    )


def depthwise_macs(*, channels: int, kernel: int = 3, height: int, width: int) -> int:
    """One K x K filter a channel: H W K^2 M (MobileNet, equation 4)."""
    return height * width * kernel**2 * channels


def depthwise_separable_macs(
    *, in_channels: int, out_channels: int, kernel: int = 3, height: int, width: int
) -> int:
    """Depthwise, then pointwise: H W (K^2 M + M N), 1/N + 1/K^2 of the standard convolution (equation 5)."""
    return height * width * in_channels * (kernel**2 + out_channels)


def scaled_depthwise_separable_macs(
    *,
    in_channels: int,
    out_channels: int,
    kernel: int = 3,
    height: int,
    width: int,
    width_multiplier: Fraction = Fraction(1),
    resolution_multiplier: Fraction = Fraction(1),
) -> int:
    """rho H rho W (K^2 alpha M + alpha M alpha N) (MobileNet, equation 7; at rho 1 equation 6).

    rho^2 is exact; alpha^2 holds for the pointwise part, the depthwise part falls with alpha alone.

    Raises:
        ModelError: a scaled count is not a whole number.
    """
    return depthwise_separable_macs(
        in_channels=scale(in_channels, width_multiplier),
        out_channels=scale(out_channels, width_multiplier),
        kernel=kernel,
        height=scale(height, resolution_multiplier),
        width=scale(width, resolution_multiplier),
    )


def scale(count: int, multiplier: Fraction) -> int:
    """The count times the multiplier; the papers' formulas round nothing.

    Raises:
        ModelError: the product is not a whole number.
    """
    scaled = count * Fraction(multiplier)
    if scaled.denominator != 1 or scaled < 1:
        raise ModelError(
            f"a scaled count must be a whole number of 1 or more, got {multiplier} x {count}; "
            f"give a multiple of 1/{count}"
        )
    return int(scaled)


def shuffle_unit_v1_macs(
    *, in_channels: int, out_channels: int, hidden_channels: int, groups: int, height: int, width: int
) -> int:
    """Grouped 1x1 to m, depthwise 3x3, grouped 1x1: H W (2 c m / g + 9 m) with in = out = c."""
    _divides(groups, in_channels, out_channels, hidden_channels)
    pointwise = (in_channels + out_channels) * hidden_channels // groups
    return height * width * (pointwise + 9 * hidden_channels)


def shuffle_unit_v2_macs(*, channels: int, kernel: int = 3, height: int, width: int) -> int:
    """1x1, depthwise K x K, 1x1 on half of c channels: H W (2 (c/2)^2 + K^2 c/2). The other half costs nothing."""
    _divides(2, channels)
    half = channels // 2
    return height * width * half * (2 * half + kernel**2)


def fire_macs(
    *,
    in_channels: int,
    squeeze_channels: int,
    expand1_channels: int,
    expand3_channels: int,
    height: int,
    width: int,
) -> int:
    """1x1 to s, then 1x1 to e1 beside 3x3 to e3: H W s (M + e1 + 9 e3)."""
    return height * width * squeeze_channels * (in_channels + expand1_channels + 9 * expand3_channels)


def inverted_residual_macs(
    *,
    in_channels: int,
    out_channels: int,
    hidden_channels: int,
    kernel: int | Sequence[int] = 3,
    expand_groups: int = 1,
    project_groups: int = 1,
    always_expand: bool = False,
    height: int,
    width: int,
) -> int:
    """1x1 to t d', depthwise K x K, 1x1 to d'': H W t d' (d' + K^2 + d'').

    Where hidden == in the first 1x1 is left out, as in the authors' code, unless `always_expand`. Several kernels
    share the channels (MixConv).
    """
    kernels = [kernel] if isinstance(kernel, int) else kernel
    at = {"height": height, "width": width}
    macs = mixed_depthwise_macs(channels=hidden_channels, kernels=kernels, **at)
    macs += pointwise_macs(
        in_channels=hidden_channels, out_channels=out_channels, groups=project_groups, **at
    )
    if always_expand or hidden_channels != in_channels:
        macs += pointwise_macs(
            in_channels=in_channels, out_channels=hidden_channels, groups=expand_groups, **at
        )
    return macs


def universal_inverted_bottleneck_macs(
    *,
    in_channels: int,
    out_channels: int,
    hidden_channels: int,
    start_kernel: int,
    middle_kernel: int,
    height: int,
    width: int,
) -> int:
    """[Depthwise], 1x1, [depthwise], 1x1: H W (k1^2 M + h (M + k2^2 + N)); a kernel of 0 is no layer."""
    middle = hidden_channels * (in_channels + middle_kernel**2 + out_channels)
    return height * width * (start_kernel**2 * in_channels + middle)


def squeeze_excite_macs(*, channels: int, squeeze_channels: int) -> int:
    """What a gate adds: two 1x1 convolutions of a single pixel, 2 C s on a map of any size."""
    return 2 * channels * squeeze_channels


def ghost_module_macs(
    *,
    in_channels: int,
    out_channels: int,
    kernel: int = 1,
    cheap_kernel: int = 3,
    ratio: int = 2,
    height: int,
    width: int,
) -> int:
    """A convolution to N / s maps, s - 1 depthwise d x d of each: H W N/s (K^2 M + (s - 1) d^2); N / s rounds up.

    `GhostModule` has kernel 1, ratio 2 and cheap kernel 3.
    """
    intrinsic = -(-out_channels // ratio)
    return height * width * intrinsic * (kernel**2 * in_channels + (ratio - 1) * cheap_kernel**2)


def ghost_bottleneck_macs(
    *,
    in_channels: int,
    out_channels: int,
    hidden_channels: int,
    kernel: int = 3,
    height: int,
    width: int,
) -> int:
    """Two ghost modules, M to h to N; where M != N a shortcut of depthwise K x K and 1x1."""
    at = {"height": height, "width": width}
    macs = ghost_module_macs(in_channels=in_channels, out_channels=hidden_channels, **at)
    macs += ghost_module_macs(in_channels=hidden_channels, out_channels=out_channels, **at)
    if in_channels != out_channels:
        macs += depthwise_separable_macs(
            in_channels=in_channels, out_channels=out_channels, kernel=kernel, **at
        )
    return macs


def long_range_gate_macs(*, in_channels: int, out_channels: int, height: int, width: int) -> int:
    """What GhostNetV2's gate adds: 1x1, depthwise 1x5 and 5x1 on the halved map, (H/2) (W/2) N (M + 10)."""
    return (height // 2) * (width // 2) * out_channels * (in_channels + 10)


def sandglass_macs(
    *,
    in_channels: int,
    out_channels: int,
    hidden_channels: int,
    first: bool = True,
    last: bool = True,
    height: int,
    width: int,
) -> int:
    """[Depthwise 3x3], 1x1 to h, 1x1 to N, [depthwise 3x3]: H W (9 M + M h + h N + 9 N)."""
    depthwise = 9 * (in_channels * first + out_channels * last)
    return height * width * (depthwise + hidden_channels * (in_channels + out_channels))


def esp_macs(*, in_channels: int, out_channels: int, branches: int = 5, height: int, width: int) -> int:
    """1x1 to d = N / K, then K dilated 3x3 side by side to N in all: H W d (M + 9 N). `ESP` has K = 5."""
    share = out_channels // branches
    return height * width * share * (in_channels + 9 * out_channels)


def eesp_macs(*, in_channels: int, out_channels: int, branches: int = 4, height: int, width: int) -> int:
    """Grouped 1x1 to d = N / K, K dilated depthwise 3x3, grouped 1x1: H W (M d / K + 9 N + N^2 / K)."""
    _divides(branches, in_channels, out_channels, out_channels // branches)
    share = out_channels // branches
    return height * width * (in_channels * share // branches + 9 * out_channels + out_channels * share)


def mixed_depthwise_macs(*, channels: int, kernels: Sequence[int], height: int, width: int) -> int:
    """Depthwise with a kernel for each share of the channels: H W sum of k_i^2 c_i; the first takes what is left over."""
    share = channels // len(kernels)
    left_over = channels - share * len(kernels)
    return height * width * (share * sum(k**2 for k in kernels) + left_over * kernels[0] ** 2)


def rep_conv_macs(
    *,
    in_channels: int,
    out_channels: int,
    kernel: int = 3,
    groups: int = 1,
    branches: int = 1,
    pointwise: bool = True,
    fused: bool = False,
    height: int,
    width: int,
) -> int:
    """Training: b convolutions K x K and a 1x1 side by side, H W (b K^2 + 1) M N / g; fused: one, H W K^2 M N / g."""
    _divides(groups, in_channels, out_channels)
    taps = kernel**2 if fused else branches * kernel**2 + (pointwise and kernel > 1)
    return height * width * taps * in_channels * out_channels // groups


def basic_block_macs(*, in_channels: int, out_channels: int, height: int, width: int) -> int:
    """Two 3x3 convolutions, 9 N (M + N) a pixel; where M != N a 1x1 shortcut, M N."""
    shortcut = in_channels * out_channels if in_channels != out_channels else 0
    return height * width * (9 * out_channels * (in_channels + out_channels) + shortcut)


def bottleneck_macs(
    *,
    in_channels: int,
    out_channels: int,
    hidden_channels: int,
    groups: int = 1,
    height: int,
    width: int,
) -> int:
    """1x1 to m, 3x3 in g groups, 1x1: H W (M m + 9 m^2 / g + m N); where M != N a 1x1 shortcut, M N."""
    _divides(groups, hidden_channels)
    shortcut = in_channels * out_channels if in_channels != out_channels else 0
    spatial = 9 * hidden_channels**2 // groups
    return height * width * (hidden_channels * (in_channels + out_channels) + spatial + shortcut)


def dense_layer_macs(*, in_channels: int, growth: int, height: int, width: int) -> int:
    """1x1 to 4 k, 3x3 to k more channels: H W 4 k (M + 9 k)."""
    return height * width * 4 * growth * (in_channels + 9 * growth)


def inception_macs(
    *,
    in_channels: int,
    c1: int,
    reduce3: int,
    c3: int,
    reduce5: int,
    c5: int,
    pool: int,
    kernel5: int = 5,
    height: int,
    width: int,
) -> int:
    """Four branches: H W (M (c1 + r3 + r5 + p) + 9 r3 c3 + K^2 r5 c5)."""
    pointwise = in_channels * (c1 + reduce3 + reduce5 + pool)
    return height * width * (pointwise + 9 * reduce3 * c3 + kernel5**2 * reduce5 * c5)


def _divides(groups: int, *channels: int) -> None:
    for count in channels:
        if count % groups:
            raise ModelError(
                f"groups must divide the channels, got {groups} groups of {count} channels; change one of them"
            )
