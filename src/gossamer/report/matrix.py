"""The confusion matrix of the report, as inline SVG, from two classes to a hundred."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from gossamer.report.svg import CHART_WIDTH, FONT, element, figure, number, shorten, text_width

__all__ = ["confusion_matrix"]


def confusion_matrix(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Markup:
    """True classes down, predicted ones across, shaded by share of the true class; counts up to 20."""
    classes = min(len(labels), len(counts), *(len(row) for row in counts)) if counts else 0
    if classes == 0:
        return Markup()
    table = [list(row[:classes]) for row in counts[:classes]]
    shape = _matrix_shape(labels[:classes])
    body = (
        _cells_with_counts(table, labels, shape.cell)
        if classes <= 20
        else _cells_in_levels(table, shape.cell)
    )
    side = shape.cell * classes
    edge = element("rect", width=side, height=side, class_="edge")
    grid = element("g", body, edge, transform=f"translate({number(shape.margin)} {number(shape.top)})")
    down = element("text", "true ↓", x=shape.margin - 8, y=shape.top - 7, class_="name end")
    across = element("text", "predicted →", x=shape.margin, y=12, class_="name")
    width = max(shape.margin + side + shape.tail + 4, shape.margin + 90)
    return figure(
        f"Confusion matrix of {classes} classes: true classes down, predicted ones across",
        width,
        shape.top + side + 4,
        _matrix_names(shape),
        down,
        across,
        grid,
        class_="chart matrix" if classes <= 10 else "chart matrix wide",
    )


class _MatrixShape(NamedTuple):
    names: list[str]
    font: float
    margin: float
    top: float
    tail: float
    cell: float
    angle: int


def _matrix_shape(labels: Sequence[str]) -> _MatrixShape:
    """Room for the names at the left, above, and past the last column where they lean."""
    classes = len(labels)
    width, font = (CHART_WIDTH if classes <= 10 else 720.0), (FONT if classes <= 20 else 10.0)
    names = [shorten(label, width * (0.28 if classes <= 10 else 0.18), font) for label in labels]
    longest = max(text_width(name, font) for name in names)
    margin = longest + 12
    cell = min((width - margin - 4) / classes, 96.0)
    if longest < cell - 4:
        return _MatrixShape(names, font, margin, 40.0, 0.0, cell, 0)
    if classes > 20:
        return _MatrixShape(names, font, margin, longest + 26, 0.0, cell, -90)
    tail = max(longest / 2 - cell / 2 + 6, 0.0)
    cell = min((width - margin - tail - 4) / classes, 96.0)
    return _MatrixShape(names, font, margin, longest * 0.87 + 30, tail, cell, -60)


def _matrix_names(shape: _MatrixShape) -> Markup:
    step = math.ceil((shape.font + 1) / shape.cell)
    parts = []
    for index in range(0, len(shape.names), step):
        middle, name = (index + 0.5) * shape.cell, shape.names[index]
        y = shape.top + middle + shape.font * 0.35
        parts.append(element("text", name, x=shape.margin - 6, y=y, class_="tick end"))
        x = shape.margin + middle + (shape.font * 0.35 if shape.angle else 0)
        turn = f"translate({number(x)} {number(shape.top - 7)}) rotate({shape.angle})"
        parts.append(element("text", name, transform=turn, class_="tick" if shape.angle else "tick mid"))
    return element("g", *parts, font_size=shape.font)


def _cells_with_counts(table: Sequence[Sequence[int]], labels: Sequence[str], cell: float) -> Markup:
    parts = []
    for row, counts in enumerate(table):
        total = sum(counts) or 1
        for column, count in enumerate(counts):
            if count == 0:
                continue
            share = count / total
            x, y = column * cell, row * cell
            kind = "hit" if row == column else "miss"
            note = element("title", f"{count} of {total} {labels[row]} called {labels[column]}")
            shade = f"{0.1 + 0.9 * (share if kind == 'hit' else math.sqrt(share) * 0.9):.2f}"
            parts.append(
                element("rect", note, x=x, y=y, width=cell, height=cell, fill_opacity=shade, class_=kind)
            )
            size = min(cell / 2.4, 14.0, cell * 1.5 / len(str(count)))
            tone = "count on" if float(shade) > 0.55 else "count"
            parts.append(
                element(
                    "text",
                    str(count),
                    x=x + cell / 2,
                    y=y + cell / 2 + size * 0.36,
                    font_size=size,
                    class_=tone,
                )
            )
    return element("g", *parts)


def _cells_in_levels(table: Sequence[Sequence[int]], cell: float) -> Markup:
    """One path for each of ten shades, in units of a cell: a hundred classes stay small."""
    levels: dict[tuple[str, int], list[str]] = {}
    for row, counts in enumerate(table):
        total = sum(counts) or 1
        for column, count in enumerate(counts):
            if count:
                key = ("hit" if row == column else "miss", max(1, math.ceil(10 * count / total)))
                levels.setdefault(key, []).append(f"M{column} {row}h1v1h-1z")
    paths = [
        element("path", d="".join(levels[kind, level]), fill_opacity=f"{0.1 + 0.09 * level:.2f}", class_=kind)
        for kind, level in sorted(levels)
    ]
    return element("g", *paths, transform=f"scale({cell:.3f})")
