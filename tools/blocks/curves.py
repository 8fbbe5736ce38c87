"""The charts: macs relative to the standard convolution as a multiplier of the block moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial

from markupsafe import Markup

from gossamer.cost import block_formulas as cost
from tools.blocks.chart import Line, chart
from tools.blocks.table import AT, ENDS, WHOLE, M, N

__all__ = ["CHARTS"]


def _line(
    name: str, xs: Iterable[Fraction | int], macs: Callable[..., int], whole: Callable[..., int] | int = WHOLE
) -> Line:
    """macs(x) / whole, or / whole(x)."""
    return Line(
        name,
        tuple((float(x), macs(x) / (whole if isinstance(whole, int) else whole(x))) for x in xs),
    )


def _separable_chart() -> Markup:
    channels = [4 * 2**power for power in range(8)]
    lines = []
    for kernel in (3, 5, 7):

        def shape(n: int, kernel: int = kernel) -> dict[str, int]:
            return {"in_channels": M, "out_channels": n, "kernel": kernel, **AT}

        lines.append(
            _line(
                f"K = {kernel}: 1/N + 1/{kernel**2}",
                channels,
                lambda n, shape=shape: cost.depthwise_separable_macs(**shape(n)),
                lambda n, shape=shape: cost.standard_convolution_macs(**shape(n)),
            )
        )
    return chart(
        "Depthwise separable: cost by output channels and kernel",
        "output channels N",
        lines,
        log_x=True,
        log_y=True,
        against="a standard convolution of the same kernel",
    )


def _multipliers_chart() -> Markup:
    steps = [Fraction(step, 8) for step in range(1, 9)]
    big = {**ENDS, "height": 16, "width": 16}

    def standard(alpha: Fraction) -> int:
        return cost.standard_convolution_macs(
            **{**big, "in_channels": cost.scale(M, alpha), "out_channels": cost.scale(N, alpha)}
        )

    separable = partial(cost.scaled_depthwise_separable_macs, **big)
    lines = [
        _line("standard, width α: α²", steps, standard, standard(Fraction(1))),
        _line("separable, width α", steps, lambda a: separable(width_multiplier=a), standard(Fraction(1))),
        _line(
            "separable, resolution ρ",
            steps,
            lambda r: separable(resolution_multiplier=r),
            standard(Fraction(1)),
        ),
        _line(
            "separable, both",
            steps,
            lambda r: separable(width_multiplier=r, resolution_multiplier=r),
            standard(Fraction(1)),
        ),
    ]
    return chart("Width and resolution: cost by multiplier", "multiplier", lines, log_y=True)


def _shuffle_chart() -> Markup:
    groups = [1, 2, 4, 8, 16, 32]
    lines = [
        _line(
            "3x3 in g groups: 1/g", groups, lambda g: cost.standard_convolution_macs(**ENDS, groups=g, **AT)
        ),
        _line("1x1 in g groups", groups, lambda g: cost.pointwise_macs(**ENDS, groups=g, **AT)),
        _line(
            "ShuffleNet unit, m = c/4",
            groups,
            lambda g: cost.shuffle_unit_v1_macs(**ENDS, hidden_channels=32, groups=g, **AT),
        ),
        _line("ShuffleNetV2 unit (no g)", groups, lambda _: cost.shuffle_unit_v2_macs(channels=M, **AT)),
    ]
    return chart("Groups: cost by their number", "groups g", lines, log_x=True, log_y=True)


def _fire_chart() -> Markup:
    squeezed = [16 * step for step in range(1, 9)]
    lines = [
        _line(
            f"{percent} % of the filters 3x3",
            [Fraction(s, 128) for s in squeezed],
            lambda ratio, wide=128 * percent // 100: cost.fire_macs(
                in_channels=M,
                squeeze_channels=cost.scale(128, ratio),
                expand1_channels=128 - wide,
                expand3_channels=wide,
                **AT,
            ),
        )
        for percent in (25, 50, 75)
    ]
    return chart("Fire: cost by squeeze ratio", "squeeze ratio s / (e1 + e3)", lines)


def _inverted_chart() -> Markup:
    middle = 840  # every t from 2 to 8 divides it

    def on_ends(t: int, kernel: int = 3) -> int:
        return cost.inverted_residual_macs(**ENDS, hidden_channels=t * M, kernel=kernel, **AT)

    def on_middle(t: int) -> int:
        return cost.inverted_residual_macs(
            in_channels=middle // t, out_channels=middle // t, hidden_channels=middle, **AT
        )

    steps = list(range(2, 9))
    lines = [
        _line("7x7, against its ends", steps, lambda t: on_ends(t, 7)),
        _line("3x3, against its ends", steps, on_ends),
        _line(
            "3x3, against its middle",
            steps,
            on_middle,
            cost.standard_convolution_macs(in_channels=middle, out_channels=middle, **AT),
        ),
    ]
    return chart(
        "Inverted residual: cost by expansion", "expansion t", lines, against="a standard 3x3 convolution"
    )


def _ghost_chart() -> Markup:
    ratios = [1, 2, 4, 8, 16]
    lines = [
        _line(
            f"in place of a {k}x{k}",
            ratios,
            lambda s, k=k: cost.ghost_module_macs(**ENDS, kernel=k, ratio=s, **AT),
            cost.standard_convolution_macs(**ENDS, kernel=k, **AT),
        )
        for k in (1, 3)
    ]
    lines.append(Line("1/s", tuple((float(s), 1 / s) for s in ratios), rule=True))
    return chart(
        "Ghost module: cost against what it replaces",
        "ratio s",
        lines,
        log_x=True,
        against="the convolution it replaces",
    )


def _sandglass_chart() -> Markup:
    ratios = [1, 2, 4, 8, 16]
    lines = [
        _line(
            "inverted residual",
            ratios,
            lambda t: cost.inverted_residual_macs(**ENDS, hidden_channels=M * t, always_expand=True, **AT),
        ),
        _line("bottleneck", ratios, lambda t: cost.bottleneck_macs(**ENDS, hidden_channels=M // t, **AT)),
        _line("sandglass", ratios, lambda t: cost.sandglass_macs(**ENDS, hidden_channels=M // t, **AT)),
    ]
    return chart(
        "Sandglass: cost by how much it narrows (others: widens, narrows)",
        "ratio between ends and middle",
        lines,
        log_x=True,
        log_y=True,
    )


def _mixed_chart() -> Markup:
    counts = [1, 2, 3, 4, 5]
    pointwise = cost.pointwise_macs(**ENDS, **AT)

    def kernels(count: int) -> list[int]:
        return [3 + 2 * index for index in range(count)]

    lines = [
        _line(
            "all channels the largest",
            counts,
            lambda c: cost.depthwise_macs(channels=M, kernel=kernels(c)[-1], **AT) + pointwise,
        ),
        _line(
            "mixed",
            counts,
            lambda c: cost.mixed_depthwise_macs(channels=M, kernels=kernels(c), **AT) + pointwise,
        ),
        _line(
            "all channels 3x3",
            counts,
            lambda _: cost.depthwise_separable_macs(**ENDS, **AT),
        ),
    ]
    return chart("Mixed kernels: cost by their number", "kernels: 3, then 5, 7, 9 and 11", lines)


def _pyramid_chart() -> Markup:
    branches = [1, 2, 4, 8]
    lines = [
        _line("ESP", branches, lambda k: cost.esp_macs(**ENDS, branches=k, **AT)),
        _line("EESP", branches, lambda k: cost.eesp_macs(**ENDS, branches=k, **AT)),
    ]
    return chart("Pyramids: cost by branches", "branches K", lines, log_x=True, log_y=True)


def _reparameterised_chart() -> Markup:
    branches = [1, 2, 3, 4, 5]
    lines = [
        _line("while training", branches, lambda b: cost.rep_conv_macs(**ENDS, branches=b, **AT)),
        _line("as shipped", branches, lambda b: cost.rep_conv_macs(**ENDS, branches=b, fused=True, **AT)),
    ]
    return chart("Re-parameterised: cost by branches", "branches b of the 3x3", lines)


def _residual_chart() -> Markup:
    narrow = [8, 16, 32, 64, 128]

    def bottleneck(m: int, groups: int) -> int:
        return cost.bottleneck_macs(**ENDS, hidden_channels=m, groups=groups, **AT)

    lines = [
        _line("dense layer, k = m", narrow, lambda k: cost.dense_layer_macs(in_channels=M, growth=k, **AT)),
        _line("basic block (no m)", narrow, lambda _: cost.basic_block_macs(**ENDS, **AT)),
        _line("bottleneck, g = 1", narrow, lambda m: bottleneck(m, 1)),
        _line("bottleneck, g = 8", narrow, lambda m: bottleneck(m, 8)),
    ]
    return chart(
        "Residual and dense blocks: cost by their narrow part",
        "narrow channels m",
        lines,
        log_x=True,
        log_y=True,
    )


CHARTS: dict[str, Callable[[], Markup]] = {
    "depthwise-separable-chart": _separable_chart,
    "width-and-resolution-chart": _multipliers_chart,
    "grouped-and-shuffle-chart": _shuffle_chart,
    "fire-chart": _fire_chart,
    "inverted-residual-chart": _inverted_chart,
    "ghost-chart": _ghost_chart,
    "sandglass-chart": _sandglass_chart,
    "mixed-kernels-chart": _mixed_chart,
    "pyramids-chart": _pyramid_chart,
    "re-parameterised-chart": _reparameterised_chart,
    "residual-and-dense-chart": _residual_chart,
}
"""File name -> what draws it."""
