"""Bars by operator: shares fill the row, one colour an operator, the rest comes last."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from gossamer.report.operator_bars import LEFT, REST, WIDTH, Row, operator_bars

SVG = "{http://www.w3.org/2000/svg}"
MANY = [("Conv", 0.3), *((f"Op{i}", 0.01) for i in range(70))]


def _bars(rows):
    """(bars of each row as (class, width), the legend's texts)."""
    root = ElementTree.fromstring(str(operator_bars("times", rows)))
    groups = root.findall(f"{SVG}g")
    bars = [[(r.get("class"), float(r.get("width"))) for r in g.findall(f"{SVG}rect")] for g in groups]
    legend = [g.find(f"{SVG}text").text for g in groups[len(rows) :]]
    return bars[: len(rows)], legend


def test_widths_are_shares_of_the_row():
    ((first, second),), legend = _bars([Row("net", 2.0, [("Mul", 0.25), ("Conv", 0.75)])])
    assert legend == ["Conv", "Mul"], "the largest first"
    assert first == ("c0", pytest.approx(0.75 * (WIDTH - 2 * LEFT), abs=0.1))
    assert second == ("c1", pytest.approx(0.25 * (WIDTH - 2 * LEFT), abs=0.1))


def test_the_rest_comes_last_however_much_it_is():
    (bars,), legend = _bars([Row("net", 2.0, MANY)])
    assert legend == ["Conv", REST]
    assert [round(width / (WIDTH - 2 * LEFT), 2) for _, width in bars] == [0.3, 0.7]


def test_an_operator_has_one_colour_in_all_rows_and_is_shown_if_it_is_large_in_one():
    rows = [Row("a", 1.0, [("Conv", 0.995), ("Gemm", 0.005)]), Row("b", 1.0, [("Gemm", 0.6), ("Conv", 0.4)])]
    (first, second), legend = _bars(rows)
    assert legend == ["Conv", "Gemm"]
    assert [kind for kind, _ in first] == [kind for kind, _ in second] == ["c0", "c1"]
