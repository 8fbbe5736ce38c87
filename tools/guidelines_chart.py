"""The picture of the guidelines: ratios of G1 to G4 as marks with intervals, below them time a mac over the width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from gossamer.report.svg import Scale, element, number, picture, spread
from tools.guidelines_data import Measured, Network, Series

__all__ = ["chart"]

WIDTH = 680.0
"""What a column of the documentation is wide, so that 12 units are 12 pixels there."""
LEFT, RIGHT = 160.0, WIDTH - 62
PITCH, HEAD, TOP = 20.0, 30.0, 44.0
SNAP_LEFT, SNAP_HEIGHT = 46.0, 210.0
COLOURS = ("#c4790a", "#12948a", "#4a7fdc", "#c8508c", "#8a63d2", "#5f9130")
STYLE = """
svg{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
svg:root{color:#24292f}
@media (prefers-color-scheme:dark){svg:root{color:#e4e7eb}}
text{fill:currentColor}
.head{font-weight:600}
.mid{text-anchor:middle}
.end{text-anchor:end}
.grid{stroke:currentColor;stroke-opacity:.16}
.axis{stroke:currentColor;stroke-opacity:.7}
.line{fill:none;stroke-opacity:.5}
.range{stroke-width:3;stroke-opacity:.55}
""" + "".join(f".c{index}{{fill:{colour};stroke:{colour}}}\n" for index, colour in enumerate(COLOURS))


class _Row(NamedTuple):
    network: Network
    colour: int
    top: float


def chart(measured: Measured, titles: Mapping[str, str]) -> Markup:
    """A picture that stands alone, of the first thread count; `titles` names the guidelines in their order."""
    threads = measured.threads[0]
    first = [one for guideline in titles for one in measured.of(guideline, threads)]
    names = list(dict.fromkeys(one.series for one in first))
    colours = {name: index for index, name in enumerate(names)}
    ratios = [one for one in first if one.guideline != "G5"]
    snapped = [one for one in first if one.guideline == "G5"]
    above, bottom = _ratios(ratios, titles, colours)
    below, height = _snapping(snapped, titles, colours, bottom + 64)
    spoken = "; ".join(
        f"{one.guideline} {one.series}: "
        + ", ".join(f"{network.name} {network.ratio:.2f}" for network in one.others)
        for one in first
    )
    title = f"Time over that of the network it is held against, {threads} thread{'s' * (threads > 1)}"
    return picture(title, spoken, WIDTH, height, STYLE, above, below)


# --- G1 to G4 -------------------------------------------------------------------------------------


def _ratios(
    found: Sequence[Series], titles: Mapping[str, str], colours: Mapping[str, int]
) -> tuple[Markup, float]:
    """(the upper panel, where it ends)."""
    rows: list[_Row] = []
    heads: list[Markup] = []
    spans: list[tuple[float, float]] = []
    top = TOP
    for guideline in dict.fromkeys(one.guideline for one in found):
        heads.append(
            element("text", f"{guideline} {titles[guideline]}", x=0, y=top + HEAD - 10, class_="head")
        )
        top += HEAD
        start = top
        for one in found:
            if one.guideline == guideline:
                for network in one.others:
                    rows.append(_Row(network, colours[one.series], top))
                    top += PITCH
        spans.append((start, top))
    ends = [end for row in rows for end in (row.network.low, row.network.high)]
    x = spread([1.0, *ends], LEFT, RIGHT, log=False)
    series = list(dict.fromkeys(one.series for one in found))
    parts = [_scale(x, spans), *heads, *(_mark(row, x) for row in rows), _legend(series, colours, 14.0, 0.0)]
    return element("g", *parts), top


def _scale(x: Scale, spans: Sequence[tuple[float, float]]) -> Markup:
    """Grid lines beside the rows of each guideline, and the numbers under the last."""
    bottom = spans[-1][1]
    parts = []
    for tick in x.ticks(6):
        at = x(tick)
        look = "axis" if tick == 1 else "grid"
        for start, end in spans:
            parts.append(element("line", x1=at, x2=at, y1=start, y2=end, class_=look))
        parts.append(element("text", f"{tick:g}", x=at, y=bottom + 17, class_="mid"))
    parts.append(
        element("text", "times as long as the first of its group", x=RIGHT, y=bottom + 36, class_="end")
    )
    return element("g", *parts)


def _mark(row: _Row, x: Scale) -> Markup:
    network, middle = row.network, row.top + PITCH / 2
    looks = f"c{row.colour}"
    span = element(
        "line", x1=x(network.low), x2=x(network.high), y1=middle, y2=middle, class_=f"range {looks}"
    )
    return element(
        "g",
        element("text", network.name, x=LEFT - 10, y=middle + 4, class_="end"),
        span,
        element("circle", cx=x(network.ratio), cy=middle, r=4.2, class_=looks),
        element("text", f"{network.ratio:.2f}", x=x(max(network.high, network.ratio)) + 9, y=middle + 4),
    )


def _legend(series: Sequence[str], colours: Mapping[str, int], top: float, left: float) -> Markup:
    parts = []
    for name in series:
        parts.append(element("circle", cx=left + 5, cy=top, r=4.2, class_=f"c{colours[name]}"))
        parts.append(element("text", name, x=left + 15, y=top + 4))
        left += 40 + 7.2 * len(name)
    return element("g", *parts)


# --- G5 -------------------------------------------------------------------------------------------


def _snapping(
    found: Sequence[Series], titles: Mapping[str, str], colours: Mapping[str, int], top: float
) -> tuple[Markup, float]:
    """(the lower panel, height of the picture)."""
    foot = top + 70 + SNAP_HEIGHT
    networks = [network for one in found for network in one.networks]
    x = spread([float(network.name) for network in networks], SNAP_LEFT, RIGHT, log=False, pad=0.04)
    y = spread([1.0, *(network.per_mac for network in networks)], foot, top + 70, log=False)
    parts = [element("text", f"G5 {titles['G5']}", x=0, y=top, class_="head")]
    for tick in y.ticks(5):
        parts.append(element("line", x1=SNAP_LEFT, x2=RIGHT, y1=y(tick), y2=y(tick), class_="grid"))
        parts.append(element("text", f"{tick:g}", x=SNAP_LEFT - 7, y=y(tick) + 4, class_="end"))
    for base in dict.fromkeys(network.base for network in networks):
        at = x(float(base))
        parts.append(element("line", x1=at, x2=at, y1=foot + 4, y2=top + 70, class_="axis"))
        parts.append(element("text", base, x=at, y=foot + 18, class_="mid"))
    parts.append(_legend([one.series for one in found], colours, top + 22, 0.0))
    parts.append(element("text", "time a mac over that of the nearest multiple", x=0, y=top + 54))
    parts.append(element("text", "channels", x=RIGHT, y=foot + 36, class_="end"))
    parts += [_curve(one, colours[one.series], x, y) for one in found]
    return element("g", *parts), foot + 44


def _curve(series: Series, colour: int, x: Scale, y: Scale) -> Markup:
    """Dots, joined where they are held against the same multiple."""
    parts = []
    for base in dict.fromkeys(network.base for network in series.networks):
        points = [(x(float(one.name)), y(one.per_mac)) for one in series.networks if one.base == base]
        line = "M" + "L".join(f"{number(left)} {number(top)}" for left, top in points)
        parts.append(element("path", d=line, style="fill:none", class_=f"line c{colour}"))
        parts += [element("circle", cx=left, cy=top, r=4.2, class_=f"c{colour}") for left, top in points]
    return element("g", *parts)
