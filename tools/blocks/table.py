"""The common case, a 14 x 14 map with 128 channels in and out and 3 x 3, and what every block costs there.

Every figure comes from `gossamer.cost.block_formulas`, which a test holds against what is counted.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from gossamer.cost import block_formulas as cost

__all__ = ["AT", "ENDS", "HALF", "MIXED", "ROWS", "SIDE", "SQUEEZE", "WHOLE", "M", "N", "TableRow"]

M = N = 128
SIDE = 14
AT = {"height": SIDE, "width": SIDE}
ENDS = {"in_channels": M, "out_channels": N}

WHOLE = cost.standard_convolution_macs(**ENDS, **AT)
MIXED = (3, 5, 7, 9)
SQUEEZE = {"in_channels": M, "squeeze_channels": 16, "expand1_channels": 64, "expand3_channels": 64}
"""SqueezeNet's fire3."""
HALF = Fraction(1, 2)


class TableRow(NamedTuple):
    """One construction: its page, its formula a pixel, the case, and macs of it and of what it is compared with."""

    page: str
    name: str
    formula: str
    case: str
    macs: int
    whole: int = WHOLE


ROWS: tuple[TableRow, ...] = (
    TableRow("", "Standard convolution", "K² M N", "3x3, 128 → 128", WHOLE),
    TableRow(
        "depthwise-separable",
        "Depthwise separable",
        "K² M + M N",
        "3x3",
        cost.depthwise_separable_macs(**ENDS, **AT),
    ),
    TableRow(
        "width-and-resolution",
        "Width multiplier",
        "K² αM αN",
        "standard convolution, α = 1/2",
        cost.standard_convolution_macs(
            in_channels=cost.scale(M, HALF), out_channels=cost.scale(N, HALF), **AT
        ),
    ),
    TableRow(
        "width-and-resolution",
        "Resolution multiplier",
        "ρ² K² M N",
        "standard convolution, ρ = 1/2",
        cost.standard_convolution_macs(**ENDS, height=cost.scale(SIDE, HALF), width=cost.scale(SIDE, HALF)),
    ),
    TableRow(
        "width-and-resolution",
        "Both, on a depthwise separable",
        "ρ² (K² αM + αM αN)",
        "α = 1/2, ρ = 1/2",
        cost.scaled_depthwise_separable_macs(**ENDS, **AT, width_multiplier=HALF, resolution_multiplier=HALF),
    ),
    TableRow(
        "grouped-and-shuffle",
        "Grouped convolution",
        "K² M N / g",
        "g = 4",
        cost.standard_convolution_macs(**ENDS, groups=4, **AT),
    ),
    TableRow(
        "grouped-and-shuffle",
        "ShuffleNet unit",
        "2 c m / g + 9 m",
        "c = 128, m = 32, g = 4",
        cost.shuffle_unit_v1_macs(**ENDS, hidden_channels=32, groups=4, **AT),
    ),
    TableRow(
        "grouped-and-shuffle",
        "ShuffleNetV2 unit",
        "c² / 2 + K² c / 2",
        "c = 128",
        cost.shuffle_unit_v2_macs(channels=M, **AT),
    ),
    TableRow("fire", "Fire", "s (M + e1 + 9 e3)", "s = 16, e1 = e3 = 64", cost.fire_macs(**SQUEEZE, **AT)),
    TableRow(
        "inverted-residual",
        "Inverted residual, the same ends",
        "t M (M + K² + N)",
        "t = 6: 128 → 768 → 128",
        cost.inverted_residual_macs(**ENDS, hidden_channels=6 * M, **AT),
    ),
    TableRow(
        "inverted-residual",
        "Inverted residual, the same 3x3 width",
        "t M (M + K² + N)",
        "t = 4: 32 → 128 → 32",
        cost.inverted_residual_macs(in_channels=32, out_channels=32, hidden_channels=M, **AT),
    ),
    TableRow(
        "inverted-residual",
        "Universal inverted bottleneck",
        "k1² M + t M (M + k2² + N)",
        "k1 = k2 = 3, t = 4: 128 → 512 → 128",
        cost.universal_inverted_bottleneck_macs(
            **ENDS, hidden_channels=4 * M, start_kernel=3, middle_kernel=3, **AT
        ),
    ),
    TableRow(
        "inverted-residual",
        "Squeeze-and-excite (added)",
        "2 C s, once a picture",
        "C = 128, s = 32",
        cost.squeeze_excite_macs(channels=M, squeeze_channels=32),
    ),
    TableRow(
        "ghost",
        "Ghost module",
        "N/s (K² M + (s − 1) d²)",
        "1x1, s = 2, d = 3",
        cost.ghost_module_macs(**ENDS, **AT),
    ),
    TableRow(
        "ghost",
        "Ghost bottleneck",
        "h/2 (M + 9) + N/2 (h + 9)",
        "128 → 768 → 128",
        cost.ghost_bottleneck_macs(**ENDS, hidden_channels=6 * M, **AT),
    ),
    TableRow(
        "sandglass",
        "Sandglass",
        "9 M + h (M + N) + 9 N",
        "128 → 32 → 128",
        cost.sandglass_macs(**ENDS, hidden_channels=32, **AT),
    ),
    TableRow(
        "mixed-kernels",
        "Mixed depthwise and 1x1",
        "Σ k² M / n + M N",
        "n = 4: 3, 5, 7 and 9",
        cost.mixed_depthwise_macs(channels=M, kernels=MIXED, **AT) + cost.pointwise_macs(**ENDS, **AT),
    ),
    TableRow("pyramids", "ESP", "d (M + 9 N)", "K = 5, d = 25", cost.esp_macs(**ENDS, **AT)),
    TableRow(
        "pyramids",
        "EESP",
        "M d / K + 9 N + N² / K",
        "K = 4, d = 32",
        cost.eesp_macs(**ENDS, **AT),
    ),
    TableRow(
        "re-parameterised",
        "Re-parameterised, while training",
        "(b K² + 1) M N",
        "b = 1",
        cost.rep_conv_macs(**ENDS, **AT),
    ),
    TableRow(
        "re-parameterised",
        "Re-parameterised, as shipped",
        "K² M N",
        "any b",
        cost.rep_conv_macs(**ENDS, fused=True, **AT),
    ),
    TableRow(
        "residual-and-dense",
        "Basic block",
        "9 N (M + N)",
        "two 3x3",
        cost.basic_block_macs(**ENDS, **AT),
    ),
    TableRow(
        "residual-and-dense",
        "Bottleneck",
        "m (M + N) + 9 m² / g",
        "m = 32, g = 1",
        cost.bottleneck_macs(**ENDS, hidden_channels=32, **AT),
    ),
    TableRow(
        "residual-and-dense",
        "Bottleneck in groups",
        "m (M + N) + 9 m² / g",
        "m = 128, g = 8",
        cost.bottleneck_macs(**ENDS, hidden_channels=M, groups=8, **AT),
    ),
    TableRow(
        "residual-and-dense",
        "Dense layer (adds k channels)",
        "4 k (M + 9 k)",
        "k = 32: 128 → 160",
        cost.dense_layer_macs(in_channels=M, growth=32, **AT),
    ),
)
