"""The diagrams. One whose layers do not add up to the formula is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from markupsafe import Markup

from gossamer.cost import block_formulas as cost
from tools.blocks.diagram import Column, Gate, Layer, Map, Node, Row, Side, diagram
from tools.blocks.table import AT, ENDS, HALF, MIXED, SIDE, SQUEEZE, WHOLE, M, N

__all__ = ["DIAGRAMS"]

NOTE = "Beside the boxes: macs a pixel, for M = N = 128"


def _column(
    title: str,
    rows: Iterable[Row],
    macs: int,
    *,
    side: int = SIDE,
    shortcuts: tuple[tuple[int, int], ...] = (),
) -> Column:
    return Column(title, tuple(rows), macs, WHOLE, side * side, shortcuts)


def _between(*rows: Row, first: str = "M", last: str = "N", ends: tuple[int, int] = (M, N)) -> list[Row]:
    return [Map(ends[0], first), *rows, Map(ends[1], last)]


def _pointwise(in_channels: int, out_channels: int, words: str, formula: str, groups: int = 1) -> Layer:
    return Layer(1, in_channels, out_channels, f"1x1, {words}", formula, groups)


def _depthwise(channels: int, formula: str, *, optional: bool = False) -> Layer:
    return Layer(3, channels, channels, "depthwise 3x3", formula, channels, optional=optional)


STANDARD = _column("Standard convolution", _between(Layer(3, M, N, "3x3, M → N", "9 M N")), WHOLE)


def _separable() -> Markup:
    macs = cost.depthwise_separable_macs(**ENDS, **AT)
    rows = _between(_depthwise(M, "9 M"), _pointwise(M, N, "M → N", "M N"))
    return diagram(
        "Depthwise separable convolution", NOTE, [STANDARD, _column("Depthwise separable", rows, macs)]
    )


def _multipliers() -> Markup:
    thin = cost.scale(M, HALF)
    small = cost.scale(SIDE, HALF)
    columns = [
        STANDARD,
        _column(
            "Width α = 1/2",
            _between(
                Layer(3, thin, thin, "3x3, αM → αN", "9 αM αN"), first="αM", last="αN", ends=(thin, thin)
            ),
            cost.standard_convolution_macs(in_channels=thin, out_channels=thin, **AT),
        ),
        _column(
            "Resolution ρ = 1/2",
            [
                Map(M, "M, ρF x ρF", 0.5),
                Layer(3, M, N, "3x3, M → N", "9 M N"),
                Map(N, "N, ρF x ρF", 0.5),
            ],
            cost.standard_convolution_macs(**ENDS, height=small, width=small),
            side=small,
        ),
    ]
    return diagram("Width and resolution multipliers", f"{NOTE}; bars are as high as the map", columns)


def _shuffle_v1() -> Markup:
    rows = _between(
        _pointwise(M, 32, "c → m, g groups", "c m / g", 4),
        Node("shuffle channels"),
        _depthwise(32, "9 m"),
        _pointwise(32, N, "m → c, g groups", "m c / g", 4),
        Node("add", "+"),
        first="c",
        last="c",
    )
    macs = cost.shuffle_unit_v1_macs(**ENDS, hidden_channels=32, groups=4, **AT)
    unit = _column("ShuffleNet unit", rows, macs, shortcuts=((0, 5),))
    return diagram("ShuffleNet unit, version 1", f"{NOTE} = c, m = 32, g = 4", [STANDARD, unit])


def _shuffle_v2() -> Markup:
    half = M // 2
    rows = _between(
        Node("split in two"),
        _pointwise(half, half, "c/2 → c/2", "c² / 4"),
        _depthwise(half, "9 c / 2"),
        _pointwise(half, half, "c/2 → c/2", "c² / 4"),
        Node("concatenate, shuffle"),
        first="c",
        last="c",
    )
    unit = _column(
        "ShuffleNetV2 unit", rows, cost.shuffle_unit_v2_macs(channels=M, **AT), shortcuts=((1, 5),)
    )
    return diagram(
        "ShuffleNet unit, version 2", f"{NOTE} = c; the line at the left is one half", [STANDARD, unit]
    )


def _fire() -> Markup:
    rows = _between(
        _pointwise(M, 16, "M → s", "M s"),
        Side(
            (
                Layer(1, 16, 64, "", "", inside="1x1"),
                Layer(3, 16, 64, "", "", inside="3x3"),
            ),
            "1x1 beside 3x3, s → e",
            "s (e1 + 9 e3)",
        ),
        Node("concatenate"),
        last="e1 + e3",
    )
    column = _column("Fire", rows, cost.fire_macs(**SQUEEZE, **AT))
    return diagram("Fire module", f"{NOTE}, s = 16, e1 = e3 = 64", [STANDARD, column])


def _inverted() -> Markup:
    wide = 6 * M
    rows = _between(
        _pointwise(M, wide, "M → tM", "t M²"),
        _depthwise(wide, "9 t M"),
        _pointwise(wide, N, "tM → N", "t M N"),
        Node("add, if M = N", "+"),
    )
    macs = cost.inverted_residual_macs(**ENDS, hidden_channels=wide, **AT)
    column = _column("Inverted residual", rows, macs, shortcuts=((0, 4),))
    return diagram("Inverted residual", f"{NOTE}, t = 6", [STANDARD, column])


def _universal() -> Markup:
    wide = 4 * M
    rows = _between(
        _depthwise(M, "9 M", optional=True),
        _pointwise(M, wide, "M → tM", "t M²"),
        _depthwise(wide, "9 t M", optional=True),
        _pointwise(wide, N, "tM → N", "t M N"),
        Node("add, if M = N", "+"),
    )
    macs = cost.universal_inverted_bottleneck_macs(
        **ENDS, hidden_channels=wide, start_kernel=3, middle_kernel=3, **AT
    )
    column = _column("Universal inverted bottleneck", rows, macs, shortcuts=((0, 5),))
    return diagram(
        "Universal inverted bottleneck", f"{NOTE}, t = 4; dashed: may be left out", [STANDARD, column]
    )


def _excite() -> Markup:
    rows = _between(
        Node("mean of the map"),
        Gate(1, M, 32, "1x1, C → s, one pixel", "C s"),
        Gate(1, 32, M, "1x1, s → C, one pixel", "s C"),
        Node("multiply each channel", "x"),
        first="C",
        last="C",
    )
    column = _column(
        "Squeeze-and-excite",
        rows,
        cost.squeeze_excite_macs(channels=M, squeeze_channels=32),
        shortcuts=((0, 4),),
    )
    return diagram("Squeeze-and-excite", f"{NOTE} = C, s = 32", [STANDARD, column])


def _ghost() -> Markup:
    half = N // 2
    rows = _between(
        _pointwise(M, half, "M → N/2", "M N / 2"),
        _depthwise(half, "9 N / 2"),
        Node("concatenate"),
    )
    column = _column("Ghost module", rows, cost.ghost_module_macs(**ENDS, **AT), shortcuts=((1, 3),))
    return diagram("Ghost module", f"{NOTE}, s = 2", [STANDARD, column])


def _sandglass() -> Markup:
    rows = _between(
        _depthwise(M, "9 M"),
        _pointwise(M, 32, "M → h", "M h"),
        _pointwise(32, N, "h → N", "h N"),
        _depthwise(N, "9 N"),
        Node("add, if M = N", "+"),
    )
    macs = cost.sandglass_macs(**ENDS, hidden_channels=32, **AT)
    column = _column("Sandglass", rows, macs, shortcuts=((0, 5),))
    return diagram("Sandglass", f"{NOTE}, h = 32", [STANDARD, column])


def _mixed() -> Markup:
    share = M // len(MIXED)
    rows = _between(
        Side(
            tuple(Layer(k, share, share, "", "", share, inside=f"{k}x{k}") for k in MIXED),
            "depthwise, M/4 each",
            "(9 + 25 + 49 + 81) M / 4",
        ),
        Node("concatenate"),
        _pointwise(M, N, "M → N", "M N"),
    )
    macs = cost.mixed_depthwise_macs(channels=M, kernels=MIXED, **AT) + cost.pointwise_macs(**ENDS, **AT)
    return diagram("Mixed depthwise convolution", NOTE, [STANDARD, _column("Mixed kernels", rows, macs)])


def _esp() -> Markup:
    share = N // 5
    first = N - 4 * share
    rows = _between(
        _pointwise(M, share, "M → d", "M d"),
        Side(
            tuple(
                Layer(3, share, first if dilation == 1 else share, "", "", inside=f"{dilation}")
                for dilation in (1, 2, 4, 8, 16)
            ),
            "3x3, dilated 1 to 16",
            "9 d N",
        ),
        Node("running sums, concatenate"),
        Node("add, if M = N", "+"),
    )
    column = _column("ESP", rows, cost.esp_macs(**ENDS, **AT), shortcuts=((0, 4),))
    return diagram("ESP unit", f"{NOTE}, K = 5 branches, d = 25", [STANDARD, column])


def _eesp() -> Markup:
    share = N // 4
    rows = _between(
        _pointwise(M, share, "M → d, K groups", "M d / K", 4),
        Side(
            tuple(Layer(3, share, share, "", "", share, inside=f"{dilation}") for dilation in (1, 2, 3, 4)),
            "depthwise, dilated",
            "9 N",
        ),
        Node("running sums, concatenate"),
        _pointwise(N, N, "N → N, K groups", "N² / K", 4),
        Node("add, if M = N", "+"),
    )
    column = _column("EESP", rows, cost.eesp_macs(**ENDS, **AT), shortcuts=((0, 5),))
    return diagram("EESP unit", f"{NOTE}, K = 4 branches, d = 32", [STANDARD, column])


def _reparameterised() -> Markup:
    rows = _between(
        Side(
            (
                Layer(3, M, N, "", "", inside="3x3"),
                Layer(1, M, N, "", "", inside="1x1"),
                None,
            ),
            "3x3, 1x1, as it is",
            "9 M N + M N",
        ),
        Node("add", "+"),
    )
    trained = _column("While training", rows, cost.rep_conv_macs(**ENDS, **AT))
    shipped = _column(
        "As shipped: standard", list(STANDARD.rows), cost.rep_conv_macs(**ENDS, fused=True, **AT)
    )
    return diagram("Re-parameterised convolution", NOTE, [shipped, trained])


def _residual() -> Markup:
    basic = _between(
        Layer(3, M, N, "3x3, M → N", "9 M N"), Layer(3, N, N, "3x3, N → N", "9 N²"), Node("add", "+")
    )
    narrow = _between(
        _pointwise(M, 32, "M → m", "M m"),
        Layer(3, 32, 32, "3x3, m → m", "9 m²"),
        _pointwise(32, N, "m → N", "m N"),
        Node("add", "+"),
    )
    columns = [
        STANDARD,
        _column("Basic block", basic, cost.basic_block_macs(**ENDS, **AT), shortcuts=((0, 3),)),
        _column(
            "Bottleneck",
            narrow,
            cost.bottleneck_macs(**ENDS, hidden_channels=32, **AT),
            shortcuts=((0, 4),),
        ),
    ]
    return diagram("Residual blocks", f"{NOTE}, m = 32", columns)


def _dense() -> Markup:
    growth = 32
    rows = _between(
        _pointwise(M, 4 * growth, "M → 4k", "4 k M"),
        Layer(3, 4 * growth, growth, "3x3, 4k → k", "36 k²"),
        Node("concatenate"),
        last="M + k",
        ends=(M, M + growth),
    )
    column = _column(
        "Dense layer",
        rows,
        cost.dense_layer_macs(in_channels=M, growth=growth, **AT),
        shortcuts=((0, 3),),
    )
    return diagram("Dense layer", f"{NOTE}, k = 32", [STANDARD, column])


DIAGRAMS: dict[str, Callable[[], Markup]] = {
    "depthwise-separable": _separable,
    "width-and-resolution": _multipliers,
    "shuffle-v1": _shuffle_v1,
    "shuffle-v2": _shuffle_v2,
    "fire": _fire,
    "inverted-residual": _inverted,
    "universal-inverted-bottleneck": _universal,
    "squeeze-excite": _excite,
    "ghost": _ghost,
    "sandglass": _sandglass,
    "mixed-kernels": _mixed,
    "esp": _esp,
    "eesp": _eesp,
    "re-parameterised": _reparameterised,
    "residual": _residual,
    "dense": _dense,
}
"""File name -> what draws it."""
