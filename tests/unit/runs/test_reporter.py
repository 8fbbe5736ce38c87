"""Progress on a terminal, in a file and in a notebook; and when a Python verb says anything."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest

from gossamer.runs.reporter import PlainBar, Quiet, RichReporter, watched


class _Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("total", "done", "seconds", "told"),
    [
        (200, 50, 10, "decoding: 25 %, 5.0/s, 0:30 left, field/7.jpg"),
        (200_000, 50_000, 10, "decoding: 25 %, 5,000/s, 0:30 left, field/7.jpg"),
        (1.0, 0.5, 4000, "decoding: 50 %, 1:06:40 left, field/7.jpg"),
        (200, 0, 65, "decoding: 1:05 so far, field/7.jpg"),
        (None, 0, 0.4, "decoding: field/7.jpg"),
        (None, 3, 65, "decoding: 1:05 so far, field/7.jpg"),
        (4, 8, 10, "decoding: 100 %, 0.8/s, 0:00 left, field/7.jpg"),
    ],
)
def test_a_plain_line_tells_how_much_how_fast_how_long_and_what(total, done, seconds, told):
    clock = _Clock()
    bar = PlainBar("decoding", total, clock=clock)
    clock.now += seconds
    bar.update(done, text="field/7.jpg")
    assert bar.told() == told


def _wait_for(count, capsys, lines, *, most=5.0):
    until = time.monotonic() + most
    while len(lines) < count and time.monotonic() < until:
        time.sleep(0.01)
        lines += capsys.readouterr().err.splitlines()


def test_where_nobody_watches_lines_come_by_themselves(capsys):
    reporter, lines = RichReporter(every=0.05), []
    with reporter.bar("silent work", None):
        _wait_for(2, capsys, lines)
    assert lines[:2] == ["  silent work"] * 2
    time.sleep(0.12)
    assert capsys.readouterr().err == "", "a bar that is over says nothing"


def test_of_bars_in_bars_the_inner_one_speaks(capsys):
    reporter, lines = RichReporter(every=0.05), []
    with reporter.bar("outer", None):
        with reporter.bar("inner", 4) as bar:
            capsys.readouterr()
            bar.update(1, text="first")
            _wait_for(2, capsys, lines)
        inner = list(lines)
        lines.clear()
        _wait_for(1, capsys, lines)
    assert all(line.startswith("  inner: 25 %") and line.endswith("first") for line in inner)
    assert lines[-1].startswith("  outer")


def test_short_work_says_nothing(capsys):
    with RichReporter().bar("decoding", 3) as bar:
        bar.update(3)
    assert capsys.readouterr() == ("", "")


def test_the_first_line_may_come_early(capsys):
    lines = []
    with RichReporter(every=60).bar("loading torch", None, after=0.05):
        _wait_for(1, capsys, lines)
    assert lines == ["  loading torch"]


def test_bars_in_bars_move_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("gossamer.runs.reporter._StandardError.isatty", lambda self: True)
    reporter = RichReporter()
    with reporter.bar("outer", None), reporter.bar("inner", 10) as bar:
        bar.update(5, text="half")
        time.sleep(0.6)
    shown = capsys.readouterr().err
    assert "outer" in shown
    assert "inner" in shown
    assert "half" in shown


@pytest.mark.parametrize(
    ("terminal", "notebook", "quiet", "speaks"),
    [
        (False, False, None, False),
        (True, False, None, True),
        (False, True, None, True),
        (False, False, False, True),
        (True, True, True, False),
    ],
)
def test_a_python_verb_speaks_where_a_person_reads(monkeypatch, terminal, notebook, quiet, speaks):
    shell = SimpleNamespace(kernel=object()) if notebook else None
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr("gossamer.runs.reporter._StandardError.isatty", lambda self: terminal)
    assert isinstance(watched(None, quiet=quiet), RichReporter) == speaks


def test_a_reporter_that_is_given_is_taken():
    mine = Quiet()
    assert watched(mine, quiet=False) is mine
