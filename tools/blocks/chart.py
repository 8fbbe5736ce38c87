"""A line chart of a block's macs against the standard convolution's, every line named at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from gossamer.report.svg import Plot, Scale, axes, element, number, text_width
from tools.blocks.diagram import WIDTH, picture

__all__ = ["Line", "chart"]

TOP, BOTTOM, LEFT = 34.0, 290.0, 58.0
PITCH = 17.0


@dataclass(frozen=True)
class Line:
    """A name and (x, macs relative to the standard convolution); `rule` is an approximation, drawn dashed."""

    name: str
    points: tuple[tuple[float, float], ...]
    rule: bool = False


@dataclass(frozen=True)
class _Marked(Scale):
    """A scale whose ticks are given."""

    marks: tuple[float, ...] = ()

    def ticks(self, count: int = 5) -> list[float]:
        return list(self.marks)


def chart(
    title: str,
    x_label: str,
    lines: Sequence[Line],
    *,
    log_x: bool = False,
    log_y: bool = False,
    against: str = "the standard convolution",
) -> Markup:
    """The lines over a common axis; ticks stand where the points do.

    The dotted line is what they are held `against`; it is left out where all lines stay below a third of it.
    """
    right = WIDTH - max(text_width(line.name) for line in lines) - 26
    values = [share for line in lines for _, share in line.points]
    places = sorted({x for line in lines for x, _ in line.points})
    x = _Marked(places[0], places[-1], LEFT + 10, right, log_x, _thin(places))
    top = max(values) if not log_y and max(values) < 1 / 3 else max([*values, 1.0])
    if log_y:
        y = Scale(min(values) / 1.25, top * 1.25, BOTTOM, TOP, True)
    else:
        y = Scale(0.0, top * 1.06, BOTTOM, TOP)
    plot = Plot(x, y, x_label, f"macs relative to {against}", lambda share: f"{100 * share:.3g} %")
    whole = element("line", x1=x.start, x2=right, y1=y(1.0), y2=y(1.0), class_="whole") if top >= 1 else ""
    marks = [mark for index, line in enumerate(lines) for mark in _line(line, index, plot)]
    ends = _apart([y(line.points[-1][1]) for line in lines])
    names = []
    for index, (line, at) in enumerate(zip(lines, ends, strict=True)):
        end = x(line.points[-1][0]), y(line.points[-1][1])
        lead = f"M{number(end[0] + 5)} {number(end[1])}L{number(right + 17)} {number(at)}"
        names.append(element("path", d=lead, class_=f"lead s{index}"))
        names.append(element("text", line.name, x=right + 21, y=at + 4))
    return picture(title, _spoken(lines, x_label), BOTTOM + 42, axes(plot), whole, *marks, *names)


def _line(line: Line, index: int, plot: Plot) -> list[Markup]:
    at = [(plot.x(x), plot.y(share)) for x, share in line.points]
    path = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in at)
    drawn = element("path", d=path, class_=f"line s{index} rule" if line.rule else f"line s{index}")
    if line.rule:
        return [drawn]
    return [drawn, *(element("circle", cx=x, cy=y, r=3, class_=f"dot s{index}") for x, y in at)]


def _thin(places: Sequence[float]) -> tuple[float, ...]:
    """At most nine ticks, first and last among them where that comes out even."""
    step = -(-(len(places) - 1) // 8)
    return tuple(places[:: max(step, 1)])


def _apart(heights: Sequence[float]) -> list[float]:
    """The heights, moved so that texts do not overlap and stay in the plot."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    moved = list(heights)
    lowest = TOP
    for index in order:
        moved[index] = max(moved[index], lowest)
        lowest = moved[index] + PITCH
    highest = BOTTOM - 2
    for index in reversed(order):
        moved[index] = min(moved[index], highest)
        highest = moved[index] - PITCH
    return moved


def _spoken(lines: Sequence[Line], x_label: str) -> str:
    words = []
    for line in lines:
        (first, start), (last, end) = line.points[0], line.points[-1]
        words.append(f"{line.name}: {100 * start:.3g} % at {first:g}, {100 * end:.3g} % at {last:g}")
    return f"Over {x_label}. " + "; ".join(words)
