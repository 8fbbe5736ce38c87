"""Timing of made-up callables: order of the figures, turns, flags. No figure is compared with a clock."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace

import pytest

from gossamer._machine import MachineState, ProcessorTimes
from gossamer.errors import GossamerError
from gossamer.timing import latency
from gossamer.timing.latency import Latency, compare, measure_latency


def state(clock=None, highest=None, governor=None, others=0.0, steal=None):
    return MachineState(0.25, clock, highest, governor, others, steal, ProcessorTimes(0.0, 0.0, 0.0, None))


def flags(before, after):
    return latency._figure([1.0] * 20, [1.0] * 20, before, after, 1).flags


@pytest.fixture(autouse=True)
def _quiet_machine(monkeypatch):
    monkeypatch.setattr(latency, "machine_state", lambda *_: state())


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
    monkeypatch.setattr(latency, "machine_state", lambda *_: state(others=share))
    figure = measure_latency({"a": _sleep}, seconds=0.0, rounds=3, threads=2)["a"]
    words = f"the machine was busy (other processes used {100 * share:.0f} % of the cores)"
    assert (words in figure.flags) is flagged
    assert figure.others == share


@pytest.mark.parametrize(
    ("last", "highest", "said"),
    [
        (3600.0, 4000.0, ()),
        (
            3599.0,
            4000.0,
            ("the clock fell from 4000 to 3599 MHz during the runs, which slows the later ones",),
        ),
        (
            2000.0,
            4000.0,
            (
                "the clock fell from 4000 to 2000 MHz during the runs, which slows the later ones",
                "the clock was 2000 of 4000 MHz, slower than this machine can be",
            ),
        ),
        (None, None, ()),
        (4000.0, None, ()),
    ],
)
def test_a_clock_that_falls_or_is_low_is_flagged(last, highest, said):
    assert flags(state(4000.0, highest), state(last, highest)) == said


def test_a_clock_that_is_low_all_the_time_is_flagged_once():
    slow = state(3199.0, 4000.0)
    assert flags(slow, slow) == ("the clock was 3199 of 4000 MHz, slower than this machine can be",)
    assert flags(state(3200.0, 4000.0), state(3200.0, 4000.0)) == ()


@pytest.mark.parametrize(
    ("governor", "flagged"),
    [
        ("powersave", True),
        ("performance, powersave", True),
        ("performance", False),
        ("schedutil", False),
        (None, False),
    ],
)
def test_a_governor_that_saves_power_is_flagged(governor, flagged):
    words = "the governor is powersave, which may keep the clock low; under performance times can be shorter"
    assert flags(state(), state(governor=governor)) == ((words,) if flagged else ())


@pytest.mark.parametrize(("steal", "flagged"), [(0.05, False), (0.06, True), (None, False)])
def test_stolen_time_is_flagged(steal, flagged):
    words = "the host took 6 % of the processor time, which makes wall times longer"
    assert flags(state(), state(steal=steal)) == ((words,) if flagged else ())


def test_the_figure_says_what_the_machine_did(monkeypatch):
    monkeypatch.setattr(latency, "machine_state", lambda *_: state(3000.0, 3500.0, "performance", 0.1, 0.02))
    told = measure_latency({"a": _sleep}, seconds=0.0, rounds=3, threads=2)["a"].to_json()
    assert [told[key] for key in ("frequency_mhz", "governor", "steal", "others")] == [
        3000.0,
        "performance",
        0.02,
        0.1,
    ]


def test_a_machine_that_tells_nothing_is_measured_all_the_same(monkeypatch):
    monkeypatch.setattr(latency, "machine_state", lambda *_: state(others=None))
    figure = measure_latency({"a": _sleep}, seconds=0.0, rounds=3, threads=2)["a"]
    assert (figure.frequency_mhz, figure.governor, figure.steal, figure.others) == (None, None, None, 0.0)


def test_runs_that_differ_are_flagged():
    even = [1.0] * 20
    uneven = latency._figure([1.0] * 17 + [9.0] * 3, [1.0] * 20, state(), state(), 1)
    assert uneven.flags == ("runs differ (p95 9.00 ms, p50 1.00 ms)",)
    assert latency._figure(even, even, state(), state(), 1).flags == ()


def test_percentiles_of_known_times():
    figure = latency._figure([float(i) for i in range(100, 0, -1)], [50.0] * 100, state(), state(), 2)
    assert (figure.min_ms, figure.p50_ms, figure.p95_ms, figure.runs) == (1.0, 50.5, 96.0, 100)


def test_the_json_object_says_clean_or_why():
    clean = Latency(1.0, 1.1, 0.9, 1.0, 10, 0.2, 0.1, ())
    assert clean.state == "clean"
    assert json.loads(json.dumps(clean.to_json())) == {
        "p50_ms": 1.0, "p95_ms": 1.1, "min_ms": 0.9, "cpu_ms": 1.0, "runs": 10, "load_per_core": 0.2,
        "others": 0.1, "frequency_mhz": None, "governor": None, "steal": None, "state": "clean",
    }  # fmt: skip
    assert Latency(1, 1, 1, 1, 1, 2, 0, ("a", "b")).to_json()["state"] == "flagged: a; b"


def test_an_error_of_the_callable_is_not_swallowed():
    def fail():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        measure_latency({"a": fail}, seconds=0.0)


def _rounds(*times):
    return replace(latency._figure([1.0], [1.0], state(), state(), 1), by_round=times)


def test_a_ratio_is_the_median_of_the_rounds():
    found = compare(_rounds(2.0, 9.0, 3.0), _rounds(1.0, 3.0, 3.0))
    assert (found.ratio, found.low, found.high) == (2.0, 1.0, 3.0)


@pytest.mark.parametrize("count", range(6, 41))
def test_the_median_lies_in_the_interval_in_at_least_95_of_100_cases(count):
    """Each round is above the median or below it: all must not be on one side of the interval (binomial)."""
    ones = _rounds(*[1.0] * count)
    found = compare(_rounds(*[float(i) for i in range(count)]), ones)
    outside = 2 * sum(math.comb(count, k) for k in range(int(found.low) + 1)) / 2**count
    assert 0.001 < outside <= 0.05
    assert found.low + found.high == count - 1, "as far from either end"


def test_few_rounds_give_all_of_their_range():
    found = compare(_rounds(1.0, 2.0, 3.0, 4.0, 5.0), _rounds(*[1.0] * 5))
    assert (found.low, found.high) == (1.0, 5.0)


@pytest.mark.parametrize("rounds", [(), (1.0,)])
def test_other_rounds_have_no_ratio(rounds):
    with pytest.raises(GossamerError, match=f"figures of the same rounds, got {len(rounds)} and 2"):
        compare(_rounds(*rounds), _rounds(1.0, 2.0))
