"""A diagram of a block: layers as boxes from top to bottom, as wide as they have channels, arrows between them.

Lengths are SVG user units. A convolution's box is as wide above as the channels it takes and below as those it
gives; groups are parted by lines, a depthwise convolution is striped. The figures beside the boxes are the macs a
pixel. Whatever does not fit beside each other is an error, so that texts never overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from gossamer.report import svg
from gossamer.report.svg import element, number, text_width

__all__ = ["WIDTH", "Column", "Gate", "Layer", "Map", "Node", "Row", "Side", "diagram", "picture"]

WIDTH = 680.0
"""What a column of the documentation is wide, so that 12 units are 12 pixels there."""
TITLE, NAME, DETAIL = 14.0, 13.0, 12.0
ARROW = 20.0
BETWEEN = 26.0
LANE = 26.0
BAR = 100.0
"""How long the bar of the standard convolution's macs is."""
LEAST_INSIDE = 30.0
MOST, LEAST = 900, 200
"""Thousandths of a unit that a channel is wide."""

STYLE = """
svg{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
svg:root{color:#24292f}
@media (prefers-color-scheme:dark){svg:root{color:#e4e7eb}}
text{fill:currentColor}
.title{font-size:14px;font-weight:600}
.layer{font-size:13px}
.mid{text-anchor:middle}
.end{text-anchor:end}
.inside{fill:#111;text-anchor:middle}
.box{stroke:currentColor;stroke-width:1}
.spatial{fill:#e9a53f}
.pointwise{fill:#4dbdae}
.depthwise{fill:#8db3f2}
.map{fill:currentColor;fill-opacity:.45}
.bar{fill:currentColor;fill-opacity:.7}
.maybe{stroke-dasharray:4 3;fill-opacity:.55}
.part{stroke:#111;stroke-opacity:.55;stroke-width:1}
.wire{stroke:currentColor;stroke-width:1.2;fill:none}
.head{fill:currentColor}
.node{stroke:currentColor;stroke-width:1.2;fill:none}
.grid{stroke:currentColor;stroke-opacity:.16}
.axis{stroke:currentColor;stroke-opacity:.7}
.whole{stroke:currentColor;stroke-opacity:.7;stroke-dasharray:2 3}
.line{fill:none;stroke-width:2}
.lead{fill:none;stroke-width:1}
.dot{stroke:none}
.s0{stroke:#c4790a}.dot.s0{fill:#c4790a}
.s1{stroke:#12948a}.dot.s1{fill:#12948a}
.s2{stroke:#4a7fdc}.dot.s2{fill:#4a7fdc}
.s3{stroke:#c8508c}.dot.s3{fill:#c8508c}
.rule{stroke-dasharray:6 4}
"""


@dataclass(frozen=True)
class Map:
    """A feature map with so many channels; `share` of the standard map's side is its height here."""

    channels: int
    name: str
    share: float = 1.0


@dataclass(frozen=True)
class Layer:
    """A convolution. `formula` is its macs a pixel in letters; `inside` a word in the box, for layers side by side."""

    kernel: int
    in_channels: int
    out_channels: int
    name: str
    formula: str
    groups: int = 1
    inside: str = ""
    optional: bool = False

    @property
    def macs(self) -> int:
        """Macs a pixel."""
        return self.kernel**2 * self.in_channels * self.out_channels // self.groups

    @property
    def kind(self) -> str:
        """Which colour it has."""
        if self.groups == self.in_channels == self.out_channels and self.groups > 1:
            return "depthwise"
        return "pointwise" if self.kernel == 1 else "spatial"

    @property
    def words(self) -> tuple[str, str]:
        """What stands beside the box."""
        return self.name, f"{self.formula} = {self.macs:,}"


@dataclass(frozen=True)
class Gate(Layer):
    """A 1x1 convolution of the mean: it meets one pixel, not all."""


@dataclass(frozen=True)
class Side:
    """Layers side by side; None is the input as it is."""

    layers: tuple[Layer | None, ...]
    name: str
    formula: str

    @property
    def macs(self) -> int:
        """Macs a pixel of all of them."""
        return sum(layer.macs for layer in self.layers if layer is not None)

    @property
    def words(self) -> tuple[str, str]:
        """What stands beside the boxes."""
        return self.name, f"{self.formula} = {self.macs:,}"


@dataclass(frozen=True)
class Node:
    """Something that costs no macs: a sum (`sign` "+"), a product ("x"), or a word such as "concatenate"."""

    name: str
    sign: str = ""


Row = Map | Layer | Side | Node


@dataclass(frozen=True)
class Column:
    """One construction. `shortcuts` are (from row, to row): a line round the rows between them.

    `macs` are those of its formula; `whole` those of what it is compared with.
    """

    title: str
    rows: tuple[Row, ...]
    macs: int
    whole: int
    pixels: int
    shortcuts: tuple[tuple[int, int], ...] = field(default=())

    def __post_init__(self) -> None:
        drawn = sum(
            row.macs * (1 if isinstance(row, Gate) else self.pixels)
            for row in self.rows
            if isinstance(row, Layer | Side)
        )
        if drawn != self.macs:
            raise ValueError(f"{self.title}: the layers drawn have {drawn:,} macs, the formula {self.macs:,}")

    @property
    def footer(self) -> str:
        """Macs on the whole map, and their share of the standard convolution's."""
        return f"{self.macs:,} macs, {100 * self.macs / self.whole:.3g} %"


def diagram(title: str, note: str, columns: Sequence[Column]) -> Markup:
    """The columns beside each other, a channel as wide as there is room for, with a note under them."""
    for thousandths in range(MOST, LEAST - 1, -10):
        placed = [_Placed(column, thousandths / 1000) for column in columns]
        spare = WIDTH - sum(p.width for p in placed) - BETWEEN * (len(placed) - 1) - 2
        if spare >= 0:
            break
    else:
        raise ValueError(f"{title}: {-spare:.0f} units too wide; give shorter names")
    if text_width(note, DETAIL) > WIDTH:
        raise ValueError(f"{title}: the note is too long; give a shorter one")
    x, parts = 1.0, []
    height = max(p.height for p in placed)
    for p in placed:
        parts.append(p.draw(x, height))
        x += p.width + BETWEEN + spare / len(placed)
    foot = 30 + height + 52
    parts.append(element("text", note, x=0, y=foot + 12))
    words = "; ".join(f"{column.title}: {_spoken(column)}" for column in columns)
    return picture(title, f"{words}. {note}", foot + 20, *parts)


def picture(title: str, description: str, height: float, *parts: str) -> Markup:
    """A file of its own in the style of the block pictures, readable on light and dark."""
    return svg.picture(title, description, WIDTH, height, STYLE, *parts)


def _spoken(column: Column) -> str:
    steps = [
        row.name if isinstance(row, Map | Node) else f"{row.words[0]} ({row.words[1]})" for row in column.rows
    ]
    return ", then ".join(steps) + f", {column.footer}"


class _Placed:
    """A column with its lengths worked out."""

    def __init__(self, column: Column, unit: float) -> None:
        self.column, self.unit = column, unit
        self.lane = LANE * bool(column.shortcuts)
        self.shapes = max(self._row_width(row) for row in column.rows)
        self.labels = max(text_width(word, NAME) for row in column.rows for word in _words(row))
        self.width = max(self.lane + self.shapes + 12 + self.labels, 1.02 * text_width(column.title, TITLE))
        self.height = sum(_row_height(row) for row in column.rows) + ARROW * (len(column.rows) - 1)

    def draw(self, x: float, height: float) -> Markup:
        middle = x + self.lane + self.shapes / 2
        parts = [element("text", self.column.title, x=x, y=14, class_="title")]
        y, tops = 30.0, []
        before: Row | None = None
        for row in self.column.rows:
            if before is not None:
                parts.append(self._wires(before, row, middle, y))
                y += ARROW
            tops.append(y)
            parts += self._row(row, middle, y)
            parts += self._label(row, x + self.lane + self.shapes + 12, y)
            y += _row_height(row)
            before = row
        parts += [self._shortcut(tops, x, middle, *ends) for ends in self.column.shortcuts]
        foot = 30 + height + 22
        length = max(BAR * self.column.macs / self.column.whole, 1.0)
        parts.append(element("text", self.column.footer, x=x, y=foot, class_="layer"))
        parts.append(element("rect", x=x, y=foot + 8, width=length, height=8, class_="bar"))
        return element("g", *parts)

    # --- sizes ---

    def _wide(self, channels: int) -> float:
        return max(channels * self.unit, 5.0)

    def _row_width(self, row: Row) -> float:
        if isinstance(row, Map):
            return self._wide(row.channels)
        if isinstance(row, Node):
            return 24.0 if row.sign else text_width(row.name, DETAIL) + 12
        if isinstance(row, Side):
            return sum(self._slots(row)) + 8 * (len(row.layers) - 1)
        return max(self._wide(row.in_channels), self._wide(row.out_channels))

    def _slots(self, row: Side) -> list[float]:
        return [LEAST_INSIDE if layer is None else self._slot(layer) for layer in row.layers]

    def _slot(self, layer: Layer) -> float:
        widest = max(self._wide(layer.in_channels), self._wide(layer.out_channels))
        return max(widest, text_width(layer.inside, DETAIL) + 4)

    def _middles(self, row: Row, middle: float) -> list[float]:
        """Where wires go in and out."""
        if not isinstance(row, Side):
            return [middle]
        left, middles = middle - self._row_width(row) / 2, []
        for slot in self._slots(row):
            middles.append(left + slot / 2)
            left += slot + 8
        return middles

    # --- marks ---

    def _row(self, row: Row, middle: float, y: float) -> list[Markup]:
        if isinstance(row, Map):
            wide, high = self._wide(row.channels), _row_height(row)
            return [element("rect", x=middle - wide / 2, y=y, width=wide, height=high, class_="map")]
        if isinstance(row, Node):
            return _node(row, middle, y, self._row_width(row))
        if isinstance(row, Layer):
            return self._box(row, middle, y)
        parts: list[Markup] = []
        for layer, at in zip(row.layers, self._middles(row, middle), strict=True):
            if layer is None:
                parts.append(element("path", d=f"M{number(at)} {number(y)}v32", class_="wire"))
            else:
                parts += self._box(layer, at, y)
        return parts

    def _box(self, layer: Layer, middle: float, y: float) -> list[Markup]:
        top, bottom = self._wide(layer.in_channels) / 2, self._wide(layer.out_channels) / 2
        points = [(middle - top, y), (middle + top, y), (middle + bottom, y + 32), (middle - bottom, y + 32)]
        outline = "M" + "L".join(f"{number(px)} {number(py)}" for px, py in points) + "Z"
        kind = f"box {layer.kind} maybe" if layer.optional else f"box {layer.kind}"
        parts = [element("path", d=outline, class_=kind)]
        stripes = layer.groups if layer.kind != "depthwise" else max(round(top / 3), 2)
        lines = [
            f"M{number(middle - top + 2 * top * i / stripes)} {number(y)}"
            f"L{number(middle - bottom + 2 * bottom * i / stripes)} {number(y + 32)}"
            for i in range(1, stripes)
        ]
        if lines and not (layer.inside and layer.kind == "depthwise"):
            parts.append(element("path", d="".join(lines), class_="part"))
        if layer.inside:
            parts.append(element("text", layer.inside, x=middle, y=y + 20.5, class_="inside"))
        return parts

    def _label(self, row: Row, x: float, y: float) -> list[Markup]:
        words = _words(row)
        centre = y + _row_height(row) / 2
        if len(words) == 1:
            return [element("text", words[0], x=x, y=centre + 4)] if words[0] else []
        return [
            element("text", words[0], x=x, y=centre - 3, class_="layer"),
            element("text", words[1], x=x, y=centre + 12),
        ]

    def _wires(self, before: Row, row: Row, middle: float, y: float) -> Markup:
        sources, targets = self._middles(before, middle), self._middles(row, middle)
        if len(sources) == len(targets) == 1:
            return _arrow([(middle, y), (middle, y + ARROW)])
        bend = y + (8 if len(targets) > 1 else ARROW - 11)
        parts = [_line([(at, y), (at, bend)]) for at in sources]
        every = [*sources, *targets]
        parts.append(_line([(min(every), bend), (max(every), bend)]))
        ends: tuple[object, ...] = row.layers if isinstance(row, Side) else (row,)
        for at, end in zip(targets, ends, strict=True):
            draw = _line if end is None else _arrow
            parts.append(draw([(at, bend), (at, y + ARROW)]))
        return element("g", *parts)

    def _shortcut(self, tops: list[float], x: float, middle: float, start: int, end: int) -> Markup:
        rows = self.column.rows
        leave = tops[start] + _row_height(rows[start]) + 5
        arrive = tops[end] + _row_height(rows[end]) / 2
        edge = middle - self._row_width(rows[end]) / 2
        return _arrow([(middle, leave), (x + 8, leave), (x + 8, arrive), (edge, arrive)])


def _words(row: Row) -> tuple[str, ...]:
    if isinstance(row, Map):
        return (row.name,)
    if isinstance(row, Node):
        return (row.name if row.sign else "",)
    return row.words


def _row_height(row: Row) -> float:
    if isinstance(row, Map):
        return 14.0 * row.share
    return 22.0 if isinstance(row, Node) else 32.0


def _node(row: Node, middle: float, y: float, width: float) -> list[Markup]:
    if not row.sign:
        frame = element("rect", x=middle - width / 2, y=y, width=width, height=22, rx=11, class_="node")
        return [frame, element("text", row.name, x=middle, y=y + 15, class_="mid")]
    a = 5.0 if row.sign == "+" else 3.6
    cross = (
        f"M{number(middle - a)} {number(y + 11)}h{number(2 * a)}m{number(-a)} {number(-a)}v{number(2 * a)}"
        if row.sign == "+"
        else f"M{number(middle - a)} {number(y + 11 - a)}l{number(2 * a)} {number(2 * a)}"
        f"m0 {number(-2 * a)}l{number(-2 * a)} {number(2 * a)}"
    )
    return [
        element("circle", cx=middle, cy=y + 11, r=11, class_="node"),
        element("path", d=cross, class_="wire"),
    ]


def _line(points: Sequence[tuple[float, float]]) -> Markup:
    return element("path", d="M" + "L".join(f"{number(x)} {number(y)}" for x, y in points), class_="wire")


def _arrow(points: Sequence[tuple[float, float]]) -> Markup:
    """A line with a head at its end, which comes from above or from the left."""
    (x0, _), (x, y) = points[-2], points[-1]
    if x0 == x:
        short, head = (x, y - 5), f"M{number(x)} {number(y)}l-4 -7h8z"
    else:
        short, head = (x - 5, y), f"M{number(x)} {number(y)}l-7 -4v8z"
    return element("g", _line([*points[:-1], short]), element("path", d=head, class_="head"))
