"""Charts of the report, as inline SVG: pure functions of the document's rows, no torch, no plotter.

Colours, text sizes and dark mode are the page's business: marks carry classes like `pt trained`, `line s3`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

from markupsafe import Markup

from gossamer.report.document import Curve, LayerRow, TriedRow
from gossamer.report.matrix import confusion_matrix
from gossamer.report.svg import (
    CHART_WIDTH,
    Anchor,
    Box,
    Plot,
    Scale,
    axes,
    element,
    figure,
    number,
    place_labels,
    shorten,
    spread,
    text_width,
)

__all__ = [
    "CostBar",
    "confusion_matrix",
    "cost_bars",
    "cost_by_kind",
    "cost_by_layer",
    "curve_legend",
    "said_against_true",
    "scatter",
    "training_curves",
]

Metric = Literal["latency", "size"]
SERIES = 6
BAR_PITCH = 50.0
_DRAW_ORDER = ("refused", "passed over", "over budget", "shortlisted", "trained", "chosen")
_NAMES = {"latency": "latency, ms", "size": "size, MB"}


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _cost(row: TriedRow, metric: Metric) -> float | None:
    if metric == "latency":
        value = row.latency_ms
    else:
        value = None if row.size_bytes is None else row.size_bytes / 1e6
    return value if value is not None and math.isfinite(value) and value > 0 else None


# --- accuracy against cost ------------------------------------------------------------------------


class _Point(NamedTuple):
    row: TriedRow
    x: float
    y: float


def scatter(
    rows: Sequence[TriedRow],
    metric: Metric,
    *,
    limit: float | None = None,
    floor: float | None = None,
    words: str = "accuracy",
) -> Markup:
    """The validation score, called `words`, against latency (ms) or size (MB) of every network, the chosen one marked.

    `limit` is the most the budget allows on the x axis, `floor` the least score; far sides are hatched.
    Networks that were never trained are ticks in a strip under the plot. Empty where no row has the figure.
    """
    costed = [(row, cost) for row in rows if (cost := _cost(row, metric)) is not None]
    if not costed:
        return Markup()
    scored = [(row, cost, row.score) for row, cost in costed if row.score is not None]
    rug = [(row, cost) for row, cost in costed if row.score is None]
    top, bottom, left, right = 27.0, 262.0, 56.0, CHART_WIDTH - 8
    x = spread([cost for _, cost in costed] + ([limit] if limit else []), left, right)
    y = spread([score for *_, score in scored] + ([floor] if floor else []), bottom, top, log=False, pad=0.08)
    points = [_Point(row, x(cost), y(score)) for row, cost, score in scored]
    points.sort(key=lambda point: _DRAW_ORDER.index(point.row.status))
    base = bottom + (26.0 if rug else 0.0)
    plot = Plot(x, y, _NAMES[metric], f"validation {words}", _percent)
    return figure(
        f"Validation {words} against {metric} of {len(costed)} networks, {len(rug)} of them never trained",
        CHART_WIDTH,
        base + 42,
        axes(plot, base=base),
        _limits(plot, metric, limit, floor, base),
        _rug(rug, x, bottom, base),
        *(_mark(point, metric) for point in points),
        _labels(points, Box(left + 2, top, right, bottom)),
    )


def _limits(plot: Plot, metric: Metric, limit: float | None, floor: float | None, base: float) -> Markup:
    left, right, top, bottom = plot.x.start, plot.x.end, plot.y.end, plot.y.start
    hatch = f"hatch-{metric}"
    parts = [
        element(
            "pattern",
            element("path", d="M0 0V7", class_="hatch"),
            id=hatch,
            width=7,
            height=7,
            patternUnits="userSpaceOnUse",
            patternTransform="rotate(45)",
        )
    ]
    fill = f"url(#{hatch})"
    if limit is not None:
        at = plot.x(limit)
        words = f"limit {limit:.3g} {'ms' if metric == 'latency' else 'MB'}"
        start = min(max(at - text_width(words) / 2, left), right - text_width(words))
        start = max(start, text_width(plot.y_label) * 1.08)
        parts.append(element("rect", x=at, y=top, width=right - at, height=base - top, fill=fill))
        parts.append(element("line", x1=at, x2=at, y1=top - 5, y2=base, class_="limit"))
        parts.append(element("text", words, x=start, y=top - 10, class_="limit-name"))
    if floor is not None:
        at = plot.y(floor)
        parts.append(element("rect", x=left, y=at, width=right - left, height=bottom - at, fill=fill))
        parts.append(element("line", x1=left, x2=right, y1=at, y2=at, class_="limit"))
        parts.append(
            element("text", f"at least {_percent(floor)}", x=left + 6, y=at + 14, class_="limit-name halo")
        )
    return element("g", *parts) if len(parts) > 1 else Markup()


def _rug(rug: Sequence[tuple[TriedRow, float]], x: Scale, bottom: float, base: float) -> Markup:
    if not rug:
        return Markup()
    ticks = []
    for row, cost in rug:
        kind = "rug chosen" if row.status == "chosen" else "rug"
        note = element("title", f"{row.name}, {row.input}, {row.precision}: never trained ({row.status})")
        ticks.append(element("line", note, x1=x(cost), x2=x(cost), y1=bottom + 8, y2=base - 4, class_=kind))
    strip = element("line", x1=x.start, x2=x.end, y1=bottom, y2=bottom, class_="grid")
    words = element("text", "untrained", x=x.start - 7, y=(bottom + base) / 2 + 5, class_="tiny end")
    return element("g", strip, *ticks, words)


def _mark(point: _Point, metric: Metric) -> Markup:
    row = point.row
    cost = f"{row.latency_ms:.3g} ms" if metric == "latency" else f"{(row.size_bytes or 0) / 1e6:.3g} MB"
    score = f"{100 * (row.score or 0):.1f} %"
    note = element("title", f"{row.name}, {row.input}, {row.precision}: {score}, {cost} ({row.status})")
    at = f"translate({number(point.x)} {number(point.y)})"
    if row.status == "chosen":
        halo, dot = element("circle", r=10, class_="ring"), element("circle", r=5.5)
        return element("g", note, halo, dot, transform=at, class_="pt chosen")
    if row.status == "over budget":
        return element("path", note, d="M-4-4 4 4M4-4-4 4", transform=at, class_="pt over")
    kind = "pt trained" if row.status == "trained" else "pt rest"
    return element("circle", note, r=4.5, transform=at, class_=kind)


def _labels(points: Sequence[_Point], area: Box) -> Markup:
    names = Counter(point.row.name for point in points)
    anchors = []
    for point in _worth_a_label(points):
        row = point.row
        words = row.name if names[row.name] == 1 else f"{row.name} {row.precision}"
        must = row.status == "chosen"
        anchors.append(Anchor(point.x, point.y, shorten(words, 230), must))
    dots = [Box(point.x - 7, point.y - 7, point.x + 7, point.y + 7) for point in points]
    parts = []
    for label in place_labels(anchors, dots, area):
        x, side = label.side
        kind = "label chosen-name" if label.anchor.must else "label"
        if label.leader is not None:
            to_x, to_y = label.leader
            parts.append(
                element("line", x1=label.anchor.x, y1=label.anchor.y, x2=to_x, y2=to_y, class_="leader")
            )
        parts.append(
            element("text", label.anchor.text, x=x, y=label.box.bottom - 3, text_anchor=side, class_=kind)
        )
    return element("g", *parts)


def _worth_a_label(points: Sequence[_Point]) -> list[_Point]:
    """The chosen network and those that no cheaper one beats; all others have a tooltip and a table row."""
    front = []
    best = math.inf
    for point in sorted(points, key=lambda point: (point.x, point.y)):
        if point.y < best or point.row.status == "chosen":
            front.append(point)
        best = min(best, point.y)
    return front


# --- training curves ------------------------------------------------------------------------------


def said_against_true(points: Sequence[tuple[float, float]], quantity: str) -> Markup:
    """Values that were said over those that are true, a dot a picture, with the line on which both are equal."""
    if not points:
        return Markup()
    every = [value for pair in points for value in pair]
    x = spread(every, 56.0, CHART_WIDTH - 8, log=False, pad=0.04)
    y = spread(every, 232.0, 27.0, log=False, pad=0.04)
    low, high = min(every), max(every)
    plot = Plot(x, y, f"true {quantity}", f"said {quantity}", "{:g}".format)
    line = element(
        "path", d=f"M{number(x(low))} {number(y(low))}L{number(x(high))} {number(y(high))}", class_="limit"
    )
    dots = [element("circle", cx=x(true), cy=y(said), r=2.5, class_="pt trained") for true, said in points]
    return figure(
        f"Said against true {quantity} of {len(points)} pictures", CHART_WIDTH, 274, axes(plot), line, *dots
    )


def curve_legend(curves: Sequence[Curve]) -> Markup:
    """The names behind the lines, as a list that wraps."""
    shown = [curve for curve in curves if curve.points]
    items = []
    for curve, line in zip(shown, _line_classes(shown), strict=True):
        swatch = element("svg", element("path", d="M1 5H23", class_=line), viewBox="0 0 24 10", class_="key")
        name = element("strong", curve.name, " (chosen)") if curve.chosen else element("span", curve.name)
        items.append(element("li", swatch, name))
    return element("ul", *items, class_="legend") if items else Markup()


def training_curves(
    curves: Sequence[Curve], what: Literal["score", "loss"], *, words: str = "accuracy"
) -> Markup:
    """The validation score, called `words`, or validation and (dashed) training loss, against minutes; the chosen on top."""
    shown = [curve for curve in curves if curve.points]
    if not shown:
        return Markup()
    fields = ("val_score",) if what == "score" else ("val_loss", "train_loss")
    values = [getattr(point, field) for curve in shown for point in curve.points for field in fields]
    minutes = [point.seconds / 60 for curve in shown for point in curve.points]
    x = spread([0.0, *minutes], 56.0, CHART_WIDTH - 8, log=False, pad=0.02)
    y = spread(values, 232.0, 27.0, log=what == "loss")
    plot = Plot(
        x, y, "minutes of training", _curve_name(what, words), _percent if what == "score" else "{:g}".format
    )
    lines = []
    pairs = sorted(zip(shown, _line_classes(shown), strict=True), key=lambda pair: pair[0].chosen)
    for curve, line in pairs:
        for field in reversed(fields):
            kind = f"{line} dash" if field == "train_loss" else line
            lines.append(_line(curve, field, plot, kind))
    title = f"{_curve_name(what, words).capitalize()} against minutes of training, {len(shown)} networks"
    return figure(title, CHART_WIDTH, 274, axes(plot), *lines)


def _curve_name(what: str, words: str) -> str:
    return f"validation {words}" if what == "score" else "loss (dashed: on the training pictures)"


def _line_classes(curves: Sequence[Curve]) -> list[str]:
    others = 0
    classes = []
    for curve in curves:
        if curve.chosen:
            classes.append("line chosen-line")
        else:
            classes.append(f"line s{others % SERIES + 1}")
            others += 1
    return classes


def _line(curve: Curve, field: str, plot: Plot, kind: str) -> Markup:
    spots = [
        f"{number(plot.x(point.seconds / 60))} {number(plot.y(getattr(point, field)))}"
        for point in curve.points
        if math.isfinite(getattr(point, field))
    ]
    note = element("title", curve.name)
    if len(spots) == 1:
        at = spots[0].split(" ")
        return element("circle", note, cx=at[0], cy=at[1], r=2.5, class_=kind)
    return element("path", note, d="M" + "L".join(spots), class_=kind) if spots else Markup()


# --- cost of layers -------------------------------------------------------------------------------


class CostBar(NamedTuple):
    """A layer, or a group of them, and its shares of the whole network."""

    name: str
    detail: str
    macs: float
    bytes: float


def cost_by_layer(layers: Sequence[LayerRow], count: int = 12) -> list[CostBar]:
    """The costliest layers, first by the sum of both shares, and one bar for all the others."""
    macs, traffic = _totals(layers)
    bars = [
        CostBar(row.name, f"{row.kind} {row.output}", row.macs / macs, row.bytes / traffic) for row in layers
    ]
    bars.sort(key=lambda bar: -(bar.macs + bar.bytes))
    rest = bars[count:]
    if rest:
        others = CostBar(
            f"{len(rest)} others", "", sum(bar.macs for bar in rest), sum(bar.bytes for bar in rest)
        )
        return [*bars[:count], others]
    return bars


def cost_by_kind(layers: Sequence[LayerRow]) -> list[CostBar]:
    """One bar for each kind of layer, the costliest first."""
    macs, traffic = _totals(layers)
    kinds = list(dict.fromkeys(row.kind for row in layers))
    bars = []
    for kind in kinds:
        rows = [row for row in layers if row.kind == kind]
        share = sum(row.macs for row in rows) / macs
        words = f"{len(rows)} layer{'s' if len(rows) > 1 else ''}"
        bars.append(CostBar(kind, words, share, sum(row.bytes for row in rows) / traffic))
    return sorted(bars, key=lambda bar: -(bar.macs + bar.bytes))


def _totals(layers: Sequence[LayerRow]) -> tuple[int, int]:
    return sum(row.macs for row in layers) or 1, sum(row.bytes for row in layers) or 1


def cost_bars(bars: Sequence[CostBar], title: str) -> Markup:
    """Two bars a row: the share of the multiply-accumulates and of the bytes moved."""
    if not bars:
        return Markup()
    longest = max(max(bar.macs, bar.bytes) for bar in bars) or 1.0
    room = CHART_WIDTH - 52
    parts = []
    for index, bar in enumerate(bars):
        y = index * BAR_PITCH
        detail = shorten(bar.detail, CHART_WIDTH * 0.58)
        name = shorten(bar.name, CHART_WIDTH - text_width(detail) - 12)
        parts.append(element("text", name, x=0, y=y + 13, class_="label"))
        parts.append(element("text", detail, x=CHART_WIDTH, y=y + 13, class_="tick end"))
        for share, kind, at in ((bar.macs, "macs", y + 19), (bar.bytes, "bytes", y + 30)):
            length = max(share / longest * room, 1.0)
            parts.append(element("rect", x=0, y=at, width=length, height=8, rx=1.5, class_=f"bar {kind}"))
            parts.append(element("text", f"{100 * share:.1f} %", x=length + 5, y=at + 7.5, class_="tiny"))
    return figure(title, CHART_WIDTH, len(bars) * BAR_PITCH, element("g", *parts))
