"""What a candidate is worth within the minutes."""

from __future__ import annotations

import pytest

from gossamer.fit import affordable
from gossamer.fit.affordable import affordable_passes, worth_within
from gossamer.fit.candidates import Candidate


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch):
    monkeypatch.setattr(affordable.os, "cpu_count", lambda: 2)


def _candidate(weights="wheel"):
    return Candidate(
        name="n", size=64, weights=weights, preprocessing="imagenet", params=1, macs=1, promise=1.6
    )


def test_passes_are_what_the_views_leave():
    seconds = 5 * 60 * 0.75
    each = 0.004 * 1680 / 2
    assert affordable_passes(4.0, 1680, 5) == pytest.approx(
        (seconds - 3.8 * 8 * 4 / 3 * each) / (5.2 * (1 + 4 / 3) * each)
    )
    assert affordable_passes(4.0, 1680, 0.5) == 0.0


def test_few_passes_cost_promise_and_enough_cost_none():
    small, large = (worth_within(_candidate(), ms, 1680, 5) for ms in (1.7, 4.0))
    assert large < small < 1.6
    assert worth_within(_candidate(), 1.7, 1680, 20) == 1.6


def test_from_nothing_promise_alone_counts():
    assert worth_within(_candidate(None), 400.0, 50_000, 1) == 1.6
