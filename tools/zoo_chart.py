"""Scatter charts of the zoo: a published figure against a cost, one mark a network, told apart by colour and shape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from gossamer.report.svg import (
    Anchor,
    Box,
    Plot,
    Scale,
    axes,
    element,
    number,
    picture,
    place_labels,
    spread,
)

__all__ = ["Mark", "scatter"]

WIDTH = 680.0
"""What a column of the documentation is wide, so that 12 units are 12 pixels there."""
LEFT, RIGHT, TOP, BOTTOM = 46.0, WIDTH - 8, 28.0, 470.0
LEGEND_COLUMNS, LEGEND_PITCH = 4, 19.0
REACH = 5.0
"""From the middle of a mark to its edge, and a little air."""
NEAR, FAR = 10.0, 40.0
"""A name further from its mark than NEAR gets a line to it; further than FAR it is left out."""
SHAPES = (
    "M0-4.4A4.4 4.4 0 1 1 0 4.4A4.4 4.4 0 1 1 0-4.4Z",
    "M-3.8-3.8H3.8V3.8H-3.8Z",
    "M0-5L4.8 3.6H-4.8Z",
    "M0-5.2L5.2 0L0 5.2L-5.2 0Z",
    "M0 5L4.8-3.6H-4.8Z",
    "M-1.6-4.8H1.6V-1.6H4.8V1.6H1.6V4.8H-1.6V1.6H-4.8V-1.6H-1.6Z",
)
"""Circle, square, triangle, diamond, triangle upside down, cross."""
COLOURS = ("#c4790a", "#12948a", "#4a7fdc", "#c8508c", "#8a63d2", "#5f9130")
STYLE = """
svg{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
svg:root{color:#24292f}
@media (prefers-color-scheme:dark){svg:root{color:#e4e7eb}}
text{fill:currentColor}
.mid{text-anchor:middle}
.end{text-anchor:end}
.grid{stroke:currentColor;stroke-opacity:.16}
.axis{stroke:currentColor;stroke-opacity:.7}
.best{fill:none;stroke-opacity:.45}
.lead{stroke:currentColor;stroke-opacity:.6}
.mark{stroke:none;fill-opacity:.9}
""" + "".join(f".c{index}{{fill:{colour};stroke:{colour}}}\n" for index, colour in enumerate(COLOURS))


class Mark(NamedTuple):
    """One network: where it stands, and what it is called."""

    name: str
    family: str
    cost: float
    top1: float
    """A share."""


def scatter(
    title: str,
    cost_name: str,
    marks: Sequence[Mark],
    *,
    families: Sequence[str],
    labelled: Sequence[str],
    figure: str = "ImageNet top-1, published",
    overall: bool = False,
) -> Markup:
    """A figure over the cost on a logarithmic axis; a line joins those of a family that no cheaper one of it beats, with
    `overall` those that no cheaper one of any beats.

    The order of `families` gives each its colour and shape, so that they are the same in several pictures. Of the
    names in `labelled` those are written beside their marks that find a free place near by, the first first.
    """
    assert len(families) <= len(COLOURS) * len(SHAPES), "give SHAPES another one"
    looks = {family: (index % len(COLOURS), index // len(COLOURS)) for index, family in enumerate(families)}
    families = [family for family in families if any(mark.family == family for mark in marks)]
    x = spread([mark.cost for mark in marks], LEFT, RIGHT, pad=0.02)
    y = spread([mark.top1 for mark in marks], BOTTOM, TOP, log=False, pad=0.03)
    plot = Plot(x, y, cost_name, figure, lambda share: f"{100 * share:g} %")
    lines = (
        [_front(marks, plot, "axis")]
        if overall
        else [
            _front([m for m in marks if m.family == family], plot, f"c{looks[family][0]}")
            for family in families
        ]
    )
    rows = -(-len(families) // LEGEND_COLUMNS)
    height = BOTTOM + 62 + rows * LEGEND_PITCH
    return picture(
        title,
        _spoken(marks, cost_name),
        WIDTH,
        height,
        STYLE,
        axes(plot),
        *lines,
        *(_mark(x(mark.cost), y(mark.top1), looks[mark.family]) for mark in marks),
        _labels(marks, labelled, x, y),
        _legend(families, looks),
    )


def _mark(x: float, y: float, look: tuple[int, int]) -> Markup:
    colour, shape = look
    at = f"translate({number(x)} {number(y)})"
    return element("path", d=SHAPES[shape], transform=at, class_=f"mark c{colour}")


def _front(marks: Sequence[Mark], plot: Plot, look: str) -> Markup:
    best: list[Mark] = []
    for mark in sorted(marks, key=lambda m: (m.cost, -m.top1)):
        if not best or mark.top1 > best[-1].top1:
            best.append(mark)
    if len(best) < 2:
        return Markup()
    line = "M" + "L".join(f"{number(plot.x(mark.cost))} {number(plot.y(mark.top1))}" for mark in best)
    return element("path", d=line, style="fill:none", class_=f"best {look}")


def _labels(marks: Sequence[Mark], labelled: Sequence[str], x: Scale, y: Scale) -> Markup:
    at = {mark.name: (x(mark.cost), y(mark.top1)) for mark in marks}
    dots = [Box(left - REACH, top - REACH, left + REACH, top + REACH) for left, top in at.values()]
    anchors = [Anchor(*at[name], name, must=True) for name in labelled if name in at]
    parts = []
    for label in place_labels(anchors, dots, Box(LEFT + 2, TOP, RIGHT, BOTTOM - 2)):
        x_of, y_of = label.anchor.x, label.anchor.y
        to_x = min(max(x_of, label.box.left), label.box.right)
        to_y = min(max(y_of, label.box.top + 2), label.box.bottom - 2)
        away = math.hypot(to_x - x_of, to_y - y_of)
        if away > FAR or any(label.box.overlaps(dot) for dot in dots):
            continue
        if away > NEAR:
            parts.append(element("line", x1=x_of, y1=y_of, x2=to_x, y2=to_y, class_="lead"))
        start, side = label.side
        parts.append(element("text", label.anchor.text, x=start, y=label.box.bottom - 3, text_anchor=side))
    return element("g", *parts)


def _legend(families: Sequence[str], looks: Mapping[str, tuple[int, int]]) -> Markup:
    rows = -(-len(families) // LEGEND_COLUMNS)
    parts = []
    for index, family in enumerate(families):
        left = 8 + (index // rows) * (WIDTH - 8) / LEGEND_COLUMNS
        middle = BOTTOM + 62 + (index % rows) * LEGEND_PITCH
        parts.append(_mark(left, middle, looks[family]))
        parts.append(element("text", family, x=left + 11, y=middle + 4))
    return element("g", *parts)


def _spoken(marks: Sequence[Mark], cost_name: str) -> str:
    first, last = min(marks, key=lambda mark: mark.cost), max(marks, key=lambda mark: mark.cost)
    best = max(marks, key=lambda mark: mark.top1)
    return (
        f"{len(marks)} networks over {cost_name}, from {first.name} with {100 * first.top1:.1f} % "
        f"to {last.name} with {100 * last.top1:.1f} %; the best is {best.name} with {100 * best.top1:.1f} %. "
        "The tables of the page hold every figure"
    )
