"""The page a person reads: one HTML file that needs no network, no script and no font beside it."""

from __future__ import annotations

import functools
import importlib.resources
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup, escape

from gossamer.report import charts
from gossamer.report.document import (
    BudgetLine,
    ClassScore,
    CompressionRow,
    Figure,
    FindingRow,
    FitDocument,
    SplitRow,
    TriedRow,
)
from gossamer.report.lines import share_charts
from gossamer.types import SHARES_OF_ONE, format_quantity

__all__ = ["render"]

ROWS_SHOWN = 12
CLASSES_SHOWN = 20
MISSING = "–"
_STATUS_ORDER = ("chosen", "trained", "shortlisted", "over budget", "passed over", "refused")
_SEVERITY_ORDER = ("error", "warning", "note")
_ORIGINS = {
    "measured": "timed or scored on the exported file",
    "flagged": "measured, but read it with the warnings on this page in mind",
    "predicted": "estimated by a cost model, not timed",
    "published": "quoted from the paper or the model card",
    "counted": "exact arithmetic on the network or the file",
}


def render(document: FitDocument) -> str:
    """The report as one self-contained HTML page; the same document gives the same text."""
    return _template().render(
        doc=document,
        verb=_verb(document.command),
        tables_shown=CLASSES_SHOWN,
        chosen=next((row for row in document.tried if row.status == "chosen"), None),
        budget=[_budget_view(line) for line in document.budget],
        columns=_columns(len(document.figures)),
        origins=_origins(document.figures),
        tried=_tried_view(document.tried),
        scatters=_scatters(document),
        curves=_curve_charts(document),
        matrix=charts.confusion_matrix(_matrix_labels(document), document.task.confusion),
        lines=share_charts(document.task.lines),
        boxed=any(row.boxes is not None for row in document.task.classes),
        points=charts.said_against_true(document.task.points, document.task.quantity),
        ranked=any(row.average_precision is not None for row in document.task.classes),
        seen=any(picture.saliency_base64 for picture in document.worst),
        missing=MISSING,
        classes=_folded(sorted(document.task.classes, key=_weakness), CLASSES_SHOWN),
        compression=[_compression_view(row) for row in document.compression],
        costs=_cost_charts(document),
        words=f"{document.task.words[0].upper()}{document.task.words[1:]}",
        pictures=document.pictures or sum(row.train + row.val + row.test for row in document.splits),
        splits=_folded(document.splits, CLASSES_SHOWN),
        split_totals=_split_totals(document.splits),
        findings=sorted(document.findings, key=lambda finding: _SEVERITY_ORDER.index(finding.severity)),
        finding_counts=_finding_counts(document.findings),
    )


def _matrix_labels(document: FitDocument) -> list[str]:
    """The labels, and nothing where things that are not there can be said."""
    return [*document.labels, *(["nothing"] if len(document.task.confusion) > len(document.labels) else [])]


def _verb(command: str) -> str:
    """Whose run the page is of: pages of fit say whether the budget was met."""
    words = command.split()
    return words[1] if len(words) > 1 and words[1] in ("train", "compress", "export") else "fit"


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["quantity"] = lambda value, metric: (
        MISSING if value is None else format_quantity(metric, value)
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}"
    environment.filters["soft"] = _soft
    environment.filters["count"] = lambda value: f"{value:,}"
    text = importlib.resources.files("gossamer.report").joinpath("fit.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text)


def _soft(name: str) -> Markup:
    """A long name with places to break it at its own joints."""
    return Markup(re.sub(r"(?<=[A-Za-z0-9])([_/])(?=[A-Za-z0-9])", r"\1<wbr>", str(escape(name))))


def _columns(count: int) -> int:
    """Tiles a row: as few empty places in the last row as can be."""
    return count if count <= 5 else min((4, 3, 5), key=lambda columns: -count % columns)


class Folded(NamedTuple):
    """Rows that are always seen, and those behind "show the others"."""

    first: Sequence[Any]
    rest: Sequence[Any]


def _folded(rows: Sequence[Any], count: int) -> Folded:
    fits = len(rows) <= count + 2
    return Folded(rows, []) if fits else Folded(rows[:count], rows[count:])


# --- the budget -----------------------------------------------------------------------------------


class BudgetView(NamedTuple):
    """A budget line and its bar: fill and the mark of the limit, both in percent of the track."""

    line: BudgetLine
    fill: float
    mark: float
    remark: str


def _budget_view(line: BudgetLine) -> BudgetView:
    if line.measured is None or line.used is None:
        return BudgetView(line, 0.0, 100.0, "cannot be judged")
    scale = max(1.0, line.used)
    fill, mark = round(100 * min(1.0, line.used / scale), 1), round(100 / scale, 1)
    return BudgetView(line, fill, mark, _remark(line, line.measured, line.used))


def _remark(line: BudgetLine, measured: float, used: float) -> str:
    if line.metric in SHARES_OF_ONE:
        points = 100 * (measured - line.limit)
        return f"{abs(points):.1f} points {'above' if points >= 0 else 'below'} the floor"
    if used >= 10:
        return f"{used:.0f} times the limit"
    return f"{100 * used:.0f} % of the limit" if used <= 1 else f"{100 * (used - 1):.2g} % over the limit"


def _limit_value(document: FitDocument, metric: str) -> float | None:
    return next((line.limit for line in document.budget if line.metric == metric), None)


# --- figures and tables ---------------------------------------------------------------------------


def _origins(figures: Sequence[Figure]) -> list[tuple[str, str]]:
    used = {figure.origin for figure in figures}
    return [(origin, meaning) for origin, meaning in _ORIGINS.items() if origin in used]


def _tried_view(rows: Sequence[TriedRow]) -> Folded:
    def place(row: TriedRow) -> tuple[int, float, float]:
        score = -math.inf if row.score is None else row.score
        return _STATUS_ORDER.index(row.status), -score, row.latency_ms or 0.0

    return _folded(sorted(rows, key=place), ROWS_SHOWN)


def _weakness(score: ClassScore) -> float:
    return score.f1


class CompressionView(NamedTuple):
    """A compression row and what the change in the score reads as."""

    row: CompressionRow
    change: str


def _compression_view(row: CompressionRow) -> CompressionView:
    points = round(100 * row.drop, 1)
    if points == 0:
        return CompressionView(row, "none")
    return CompressionView(row, f"{'−' if points > 0 else '+'}{abs(points):.1f} points")


def _split_totals(splits: Sequence[SplitRow]) -> SplitRow:
    return SplitRow(
        label="all",
        train=sum(row.train for row in splits),
        val=sum(row.val for row in splits),
        test=sum(row.test for row in splits),
    )


def _finding_counts(findings: Sequence[FindingRow]) -> str:
    counts = Counter[str](finding.severity for finding in findings)
    words = [
        f"{counts[name]} {name}{'s' if counts[name] > 1 else ''}" for name in _SEVERITY_ORDER if counts[name]
    ]
    return ", ".join(words)


# --- charts ---------------------------------------------------------------------------------------


def _scatters(document: FitDocument) -> list[tuple[str, str]]:
    words = document.task.words
    floor = next((line.limit for line in document.budget if line.metric in SHARES_OF_ONE), None)
    latency = charts.scatter(
        document.tried, "latency", limit=_limit_value(document, "latency"), floor=floor, words=words
    )
    size_limit = _limit_value(document, "size")
    size = charts.scatter(
        document.tried,
        "size",
        limit=None if size_limit is None else size_limit / 1e6,
        floor=floor,
        words=words,
    )
    name = f"{words[0].upper()}{words[1:]}"
    pairs = ((f"{name} against latency", latency), (f"{name} against size", size))
    return [pair for pair in pairs if pair[1]]


def _curve_charts(document: FitDocument) -> dict[str, str]:
    score = charts.training_curves(document.curves, "score", words=document.task.words)
    if not score:
        return {}
    loss = charts.training_curves(document.curves, "loss")
    return {"score": score, "loss": loss, "legend": charts.curve_legend(document.curves)}


def _cost_charts(document: FitDocument) -> list[tuple[str, str]]:
    if not document.layers:
        return []
    layers, kinds = charts.cost_by_layer(document.layers), charts.cost_by_kind(document.layers)
    return [
        (
            "The costliest layers",
            charts.cost_bars(layers, "Share of multiply-accumulates and bytes by layer"),
        ),
        (
            "By kind of layer",
            charts.cost_bars(kinds, "Share of multiply-accumulates and bytes by kind of layer"),
        ),
    ]
