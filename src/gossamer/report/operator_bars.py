"""Bars of the share of time by operator: one row a network, one colour an operator, the figures beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from gossamer.report.svg import element, picture, shorten, text_width

__all__ = ["Row", "operator_bars"]

WIDTH = 680.0
LEFT = 8.0
BAR, PITCH, TOP = 30.0, 70.0, 14.0
LEGEND_COLUMNS, LEGEND_PITCH = 3, 20.0
SMALLEST = 0.015
"""Operators below this share in every row stand together as the rest."""
REST = "all others"
COLOURS = (
    "#12948a", "#c4790a", "#4a7fdc", "#c8508c", "#8a63d2", "#5f9130", "#b5493b", "#2f8fb3", "#8a7a1f", "#7b8794",
)  # fmt: skip
STYLE = """
svg{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
svg:root{color:#24292f}
@media (prefers-color-scheme:dark){svg:root{color:#e4e7eb}}
text{fill:currentColor}
.mid{text-anchor:middle}
.end{text-anchor:end}
.inside{fill:#fff;font-weight:600}
""" + "".join(f".c{index}{{fill:{colour}}}\n" for index, colour in enumerate(COLOURS))


class Row(NamedTuple):
    """One network: its time, and the share of each operator (0 to 1, they sum to 1)."""

    name: str
    ms: float
    shares: Sequence[tuple[str, float]]


def operator_bars(title: str, rows: Sequence[Row]) -> Markup:
    """A picture that stands alone; operators have one colour in all rows, the largest come first."""
    rows = [row._replace(shares=_gathered(row, _large(rows))) for row in rows]
    weight: dict[str, float] = {}
    for row in rows:
        for name, share in row.shares:
            weight[name] = weight.get(name, 0.0) + share
    order = sorted(weight, key=lambda name: (name == REST, -weight[name]))
    colour = {name: index for index, name in enumerate(order)}
    legend_top = TOP + len(rows) * PITCH + 8
    height = legend_top + -(-len(order) // LEGEND_COLUMNS) * LEGEND_PITCH
    spoken = "; ".join(
        f"{row.name}: " + ", ".join(f"{name} {100 * share:.0f} %" for name, share in row.shares)
        for row in rows
    )
    return picture(
        title,
        spoken,
        WIDTH,
        height,
        STYLE,
        *(_bar(row, TOP + index * PITCH, order, colour) for index, row in enumerate(rows)),
        *(_entry(name, index, legend_top) for index, name in enumerate(order)),
    )


def _large(rows: Sequence[Row]) -> set[str]:
    """The operators that get a colour of their own."""
    most: dict[str, float] = {}
    for row in rows:
        for name, share in row.shares:
            most[name] = max(most.get(name, 0.0), share)
    large = sorted((name for name, share in most.items() if share >= SMALLEST), key=lambda n: -most[n])
    return set(large[: len(COLOURS) - 1])


def _gathered(row: Row, large: set[str]) -> list[tuple[str, float]]:
    rest = sum(share for name, share in row.shares if name not in large)
    kept = [(name, share) for name, share in row.shares if name in large]
    return [*kept, (REST, rest)] if rest > 0 else kept


def _bar(row: Row, top: float, order: Sequence[str], colour: dict[str, int]) -> Markup:
    shares, at = dict(row.shares), LEFT
    parts = [
        element("text", row.name, x=LEFT, y=top + 6),
        element("text", f"{row.ms:.2f} ms", x=WIDTH - LEFT, y=top + 6, class_="end"),
    ]
    for name in order:
        width = shares.get(name, 0.0) * (WIDTH - 2 * LEFT)
        if not width:
            continue
        words = f"{name} {100 * shares[name]:.0f} %"
        parts.append(
            element("rect", element("title", words), x=at, y=top + 13, width=width, height=BAR, class_=f"c{colour[name]}")
        )  # fmt: skip
        percent = f"{100 * shares[name]:.0f} %"
        text = words if text_width(words) + 10 < width else percent
        if text_width(text) + 6 < width:
            parts.append(
                element("text", text, x=at + width / 2, y=top + 13 + BAR / 2 + 4, class_="mid inside")
            )
        at += width
    return element("g", *parts)


def _entry(name: str, index: int, top: float) -> Markup:
    pitch = (WIDTH - 2 * LEFT) / LEGEND_COLUMNS
    x = LEFT + index % LEGEND_COLUMNS * pitch
    y = top + index // LEGEND_COLUMNS * LEGEND_PITCH
    return element(
        "g",
        element("rect", x=x, y=y, width=11, height=11, class_=f"c{index}"),
        element("text", shorten(name, pitch - 20), x=x + 17, y=y + 10),
    )
