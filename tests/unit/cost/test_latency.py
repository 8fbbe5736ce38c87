"""Timing of made-up callables: order of the figures, turns, flags. No figure is compared with a clock."""

from __future__ import annotations

import json
import time

import pytest

from gossamer.cost import latency
from gossamer.cost.latency import Latency, measure_latency


@pytest.fixture(autouse=True)
def _quiet_machine(monkeypatch):
    monkeypatch.setattr(latency, "load_per_core", lambda: 0.25)


def _sleep():
    time.sleep(0.001)


def test_figures_are_ordered_and_counted():
    figure = measure_latency({"a": _sleep}, seconds=0.03, rounds=5)["a"]
    assert 1.0 <= figure.min_ms <= figure.p50_ms <= figure.p95_ms
    assert figure.runs >= 5
    assert 0 <= figure.cpu_ms < figure.p50_ms
    assert figure.load_per_core == 0.25


def test_all_take_turns_after_each_is_warm():
    heard = []
    runs = {name: (lambda name=name: (heard.append(name), _sleep())) for name in "abc"}
    figures = measure_latency(runs, seconds=0.0, rounds=4)
    assert list(figures) == ["a", "b", "c"]
    assert heard[-12:] == list("abc") * 4
    warm = heard[:-12]
    assert warm == sorted(warm)
    assert all(5 <= warm.count(name) <= 30 for name in "abc")
    assert {figure.runs for figure in figures.values()} == {4}


def test_a_longer_time_gives_more_runs():
    short = measure_latency({"a": _sleep}, seconds=0.0, rounds=3)["a"].runs
    long = measure_latency({"a": _sleep}, seconds=0.06, rounds=3)["a"].runs
    assert short == 3
    assert long > short


def test_waiting_is_flagged_on_one_thread_only():
    alone = measure_latency({"a": _sleep}, seconds=0.01, rounds=3)["a"]
    assert any(flag.startswith("waiting for the processor (wall ") for flag in alone.flags)
    assert alone.state.startswith("flagged: ")
    many = measure_latency({"a": _sleep}, seconds=0.01, rounds=3, threads=2)["a"]
    assert not any("waiting" in flag for flag in many.flags)


@pytest.mark.parametrize(("share", "flagged"), [(0.0, False), (0.25, False), (0.26, True), (1.0, True)])
def test_a_busy_machine_is_flagged(monkeypatch, share, flagged):
    monkeypatch.setattr(latency, "_others", lambda *_: share)
    figure = measure_latency({"a": _sleep}, seconds=0.0, rounds=3, threads=2)["a"]
    words = f"the machine was busy (other processes used {100 * share:.0f} % of the cores)"
    assert (words in figure.flags) is flagged
    assert figure.others == share


def test_what_others_use_is_the_rest_of_the_processor_time(monkeypatch):
    monkeypatch.setattr(latency.os, "cpu_count", lambda: 2)
    assert latency._others((100.0, 10.0), (116.0, 16.0), 10.0) == pytest.approx(0.5)
    assert latency._others((100.0, 10.0), (104.0, 16.0), 10.0) == 0.0
    assert latency._others((100.0, 10.0), (190.0, 16.0), 10.0) == 1.0


def test_runs_that_differ_are_flagged():
    even = [1.0] * 20
    uneven = latency._figure([1.0] * 17 + [9.0] * 3, [1.0] * 20, 0.0, 1)
    assert uneven.flags == ("runs differ (p95 9.00 ms, p50 1.00 ms)",)
    assert latency._figure(even, even, 0.0, 1).flags == ()


def test_percentiles_of_known_times():
    figure = latency._figure([float(i) for i in range(100, 0, -1)], [50.0] * 100, 0.0, 2)
    assert (figure.min_ms, figure.p50_ms, figure.p95_ms, figure.runs) == (1.0, 50.5, 96.0, 100)


def test_the_json_object_says_clean_or_why():
    clean = Latency(1.0, 1.1, 0.9, 1.0, 10, 0.2, 0.1, ())
    assert clean.state == "clean"
    assert json.loads(json.dumps(clean.to_json())) == {
        "p50_ms": 1.0, "p95_ms": 1.1, "min_ms": 0.9, "cpu_ms": 1.0, "runs": 10, "load_per_core": 0.2,
        "others": 0.1, "state": "clean",
    }  # fmt: skip
    assert Latency(1, 1, 1, 1, 1, 2, 0, ("a", "b")).to_json()["state"] == "flagged: a; b"


def test_an_error_of_the_callable_is_not_swallowed():
    def fail():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        measure_latency({"a": fail}, seconds=0.0)
