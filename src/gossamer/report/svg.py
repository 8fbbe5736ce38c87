"""What every chart is made of: escaped elements, scales with round ticks, axes, labels that do not overlap.

Lengths are SVG user units; a chart is `CHART_WIDTH` of them wide, so that 12-unit text stays readable on a
phone. Colours are left to the page: elements carry classes, the style sheet the variables.
"""

from __future__ import annotations

import math
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup, escape

__all__ = [
    "CHART_WIDTH",
    "FONT",
    "Anchor",
    "Box",
    "Placed",
    "Plot",
    "Scale",
    "axes",
    "element",
    "figure",
    "number",
    "picture",
    "place_labels",
    "shorten",
    "spread",
    "text_width",
]

CHART_WIDTH = 420.0
FONT = 12.0
_CONTROL = {
    code: "\ufffd" for code in (*range(32), *range(127, 160), 0xFFFE, 0xFFFF) if chr(code) not in "\t\n\r"
}


def number(value: float) -> str:
    """A coordinate in as few characters as a tenth of a unit needs."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def element(tag: str, *children: str, **attributes: str | float) -> Markup:
    """One element, everything escaped but Markup; `class_` becomes `class`, `stroke_width` `stroke-width`."""
    words = [tag]
    for key, value in attributes.items():
        shown = value.translate(_CONTROL) if isinstance(value, str) else number(value)
        words.append(f'{key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    inside = "".join(
        child if isinstance(child, Markup) else escape(child.translate(_CONTROL)) for child in children
    )
    head = " ".join(words)
    return Markup(f"<{head}>{inside}</{tag}>" if inside else f"<{head}/>")


def figure(title: str, width: float, height: float, *children: str, class_: str = "chart") -> Markup:
    """An inline picture that scales with its column and has a name for those who cannot see it."""
    box = f"0 0 {number(width)} {number(height)}"
    return element("svg", element("title", title), *children, viewBox=box, role="img", class_=class_)


def picture(title: str, description: str, width: float, height: float, style: str, *parts: str) -> Markup:
    """A file of its own, with a name and a description for those who cannot see it, and its style sheet inside."""
    return element(
        "svg",
        element("title", title, id="title"),
        element("desc", description, id="desc"),
        element("style", Markup(style)),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        width=width,
        height=height,
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        aria_labelledby="title desc",
    )


def text_width(text: str, size: float = FONT) -> float:
    """A safe guess of the width of a text in a system font."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return size * (0.6 * (len(text) - wide) + 1.05 * wide)


def shorten(text: str, room: float, size: float = FONT) -> str:
    """The text, or its head and an ellipsis, within a width."""
    if text_width(text, size) <= room:
        return text
    while text and text_width(text + "…", size) > room:
        text = text[:-1]
    return text.rstrip() + "…"


@dataclass(frozen=True)
class Scale:
    """Maps values between low and high to lengths between start and end."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(max(value, self.low))
        share = (at - low) / (high - low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """About `count` round values within the range."""
        return (
            _log_ticks(self.low, self.high, count) if self.log else _linear_ticks(self.low, self.high, count)
        )


def spread(
    values: Iterable[float], start: float, end: float, *, pad: float = 0.06, log: bool = True
) -> Scale:
    """A scale that holds all values with air; with `log`, logarithmic where they span over a decade."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if log and low > sys.float_info.min and 10 < high / low < math.inf and low / (high / low) ** pad > 0:
        air = (high / low) ** pad
        return Scale(low / air, high * air, start, end, log=True)
    air = pad * (high - low) if high - low > 1e-9 * abs(high) else pad * abs(high) or 1.0
    return Scale(low - air if low < 0 or low - air > 0 else 0.0, high + air, start, end)


def _linear_ticks(low: float, high: float, count: int) -> list[float]:
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks: list[float] = []
    for factors in ((1, 2, 5), (1, 3), (1,)):
        every = [
            float(f"{factor * 10.0**power:.12g}") for power in range(first, last + 1) for factor in factors
        ]
        ticks = [tick for tick in every if low <= tick <= high]
        if len(ticks) <= count + 2:
            return ticks
    return ticks[:: math.ceil(len(ticks) / count)]


class Plot(NamedTuple):
    """Two scales and the words at their axes."""

    x: Scale
    y: Scale
    x_label: str
    y_label: str
    y_text: Callable[[float], str]


def axes(plot: Plot, *, base: float | None = None) -> Markup:
    """Grid lines, tick labels and axis names; the x labels stand under `base` (the foot of the plot)."""
    left, right, top, bottom = plot.x.start, plot.x.end, plot.y.end, plot.y.start
    floor = bottom if base is None else base
    parts = []
    for tick in plot.y.ticks(5):
        at = plot.y(tick)
        parts.append(element("line", x1=left, x2=right, y1=at, y2=at, class_="grid"))
        parts.append(element("text", plot.y_text(tick), x=left - 7, y=at + 4, class_="tick end"))
    for tick in plot.x.ticks(6):
        at = plot.x(tick)
        parts.append(element("line", x1=at, x2=at, y1=floor, y2=floor + 4, class_="axis"))
        parts.append(element("text", f"{tick:g}", x=at, y=floor + 17, class_="tick mid"))
    parts.append(element("line", x1=left, x2=right, y1=floor, y2=floor, class_="axis"))
    parts.append(element("text", plot.x_label, x=right, y=floor + 34, class_="name end"))
    parts.append(element("text", plot.y_label, x=0, y=top - 10, class_="name"))
    return element("g", *parts)


class Box(NamedTuple):
    """A rectangle, y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share some area."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def within(self, area: Box) -> bool:
        """Whether all of it lies in the area."""
        across = area.left <= self.left and self.right <= area.right
        return across and area.top <= self.top and self.bottom <= area.bottom


class Anchor(NamedTuple):
    """A point that wants a label; one that `must` have it gets the least bad place."""

    x: float
    y: float
    text: str
    must: bool = False


class Placed(NamedTuple):
    """A label and the box it fills; its baseline is box.bottom - 3."""

    anchor: Anchor
    box: Box

    @property
    def side(self) -> tuple[float, str]:
        """Where the text is anchored, and how: at the edge that looks at the point."""
        if self.box.left >= self.anchor.x:
            return self.box.left, "start"
        if self.box.right <= self.anchor.x:
            return self.box.right, "end"
        return (self.box.left + self.box.right) / 2, "middle"

    @property
    def leader(self) -> tuple[float, float] | None:
        """The end of a line from the point to a label that stands far from it."""
        x = min(max(self.anchor.x, self.box.left), self.box.right)
        y = min(max(self.anchor.y, self.box.top + 4), self.box.bottom - 3)
        return (x, y) if math.hypot(x - self.anchor.x, y - self.anchor.y) > 18 else None


def place_labels(anchors: Sequence[Anchor], obstacles: Sequence[Box], area: Box) -> list[Placed]:
    """Labels beside their points, in order, each where it hits neither an obstacle nor an earlier label.

    Those without a free place are left out, unless they must be there.
    """
    placed: list[Placed] = []
    for anchor in sorted(anchors, key=lambda item: not item.must):
        taken = [*obstacles, *(label.box for label in placed)]
        best, hits = _best_box(anchor, taken, area)
        if best is not None and (
            hits == 0 or (anchor.must and not any(best.overlaps(label.box) for label in placed))
        ):
            placed.append(Placed(anchor, best))
    return placed


_DIRECTIONS = ((1, 0), (-1, 0), *((dx, dy) for dx in (0, 1, -1, 0.5, -0.5) for dy in (-1, 1)))


def _best_box(anchor: Anchor, taken: Sequence[Box], area: Box) -> tuple[Box | None, int]:
    width, height = text_width(anchor.text) * (1.1 if anchor.must else 1.0), FONT + 3
    best: Box | None = None
    fewest = len(taken) + 1
    for gap in (9.0, 13.0, 20.0, 28.0, 36.0, 48.0, 60.0, 76.0, 92.0):
        for dx, dy in _DIRECTIONS:
            left = anchor.x + dx * gap - width * (1 - dx) / 2
            top = anchor.y + dy * gap - height * (1 - dy) / 2
            if dy:
                left = min(max(left, area.left), max(area.left, area.right - width))
            box = Box(left, top, left + width, top + height)
            hits = sum(box.overlaps(other) for other in taken)
            if box.within(area) and hits < fewest:
                best, fewest = box, hits
        if fewest == 0 or (gap > 12 and not anchor.must):
            break
    return best, fewest
