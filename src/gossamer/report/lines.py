"""Curves of answers, as inline SVG: shares over shares, several lines to a chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from gossamer.report.document import Line
from gossamer.report.svg import CHART_WIDTH, Plot, Scale, axes, element, figure, number

__all__ = ["ShareChart", "share_charts"]

_SERIES = 6
_AXES = {
    "precision over recall": ("recall", "precision at an IoU of 0.5"),
    "over the score": ("score from which on boxes are said", "share at an IoU of 0.5"),
}


class ShareChart(NamedTuple):
    """A chart with its heading and the names of its lines."""

    title: str
    chart: Markup
    legend: Markup


def share_charts(lines: Sequence[Line]) -> list[ShareChart]:
    """One chart for each name of a chart, in the order in which they come; of many lines the first six."""
    charts = []
    for title in dict.fromkeys(line.chart for line in lines):
        shown = [line for line in lines if line.chart == title][:_SERIES]
        x_label, y_label = _AXES.get(title, ("", ""))
        plot = Plot(
            Scale(0.0, 1.0, 56.0, CHART_WIDTH - 8), Scale(0.0, 1.0, 232.0, 27.0), x_label, y_label, _percent
        )
        paths = [_path(line, plot, f"line s{place + 1}") for place, line in enumerate(shown)]
        heading = f"{title[0].upper()}{title[1:]}"
        chart = figure(
            f"{heading} of {', '.join(line.name for line in shown)}", CHART_WIDTH, 274, axes(plot), *paths
        )
        charts.append(ShareChart(heading, chart, _legend(shown)))
    return charts


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _path(line: Line, plot: Plot, kind: str) -> Markup:
    spots = [
        f"{number(plot.x(x))} {number(plot.y(y))}"
        for x, y in line.points
        if math.isfinite(x) and math.isfinite(y)
    ]
    if not spots:
        return Markup()
    return element("path", element("title", line.name), d="M" + "L".join(spots), class_=kind)


def _legend(lines: Sequence[Line]) -> Markup:
    items = []
    for place, line in enumerate(lines):
        swatch = element(
            "svg",
            element("path", d="M1 5H23", class_=f"line s{place + 1}"),
            viewBox="0 0 24 10",
            class_="key",
        )
        items.append(element("li", swatch, element("span", line.name)))
    return element("ul", *items, class_="legend")
