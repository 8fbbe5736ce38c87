"""Refusals by prediction, from small tables of made-up times: when one is said, and when not."""

from __future__ import annotations

import pytest
import torch

from gossamer.errors import DataError
from gossamer.fit.candidates import Candidate
from gossamer.fit.config import FitConfig
from gossamer.fit.predicted import TooSlow, body_interval
from gossamer.timing.table.block_times import Timing, measure_units
from gossamer.timing.table.blocks_of import cut, outline
from gossamer.timing.table.latency_table import LatencyTable, Platform
from gossamer.timing.table.predictor import Calibration, assemble
from gossamer.zoo.build import build

NAME, SIZE, CLASSES = "lcnet_0.25", 64, 3
CALIBRATION = Calibration(1.2, 0.0, 0.0, (), (0.1,) * 9)
PLATFORMS = [Platform.here(precision=precision) for precision in ("fp32", "int8")]


def _candidate(name=NAME, size=SIZE):
    return Candidate(
        name=name,
        size=size,
        weights=None,
        preprocessing="imagenet",
        params=1,
        macs=1,
        promise=0.5,
    )


def _timer(jobs, platform):
    """A millisecond for every module of a file: pairs cost what both do."""
    return [Timing(2.0 if " + " in job.unit.name else 1.0, 0.0, 9) for job in jobs]


@pytest.fixture(scope="module")
def pieces():
    """Of the candidate, but with its 1000 published classes: the head's row is another."""
    return cut(build(NAME).eval(), (1, 3, SIZE, SIZE))


@pytest.fixture
def table(tmp_path, pieces, monkeypatch):
    monkeypatch.setattr("gossamer.timing.table.block_times._written", lambda unit, folder, precision: folder)
    table = LatencyTable(tmp_path / "table.sqlite")
    for platform in PLATFORMS:
        measure_units([*pieces.units, *pieces.pairs], table, platform, timer=_timer)
        table.put_calibration(platform, CALIBRATION.to_json())
    return table


def _config(within, **changes):
    return FitConfig(data="d", within=within, **changes)


def _reason(table, within, candidate=None, **changes):
    return TooSlow(_config(within, **changes), table).reason(candidate or _candidate(), CLASSES)


def test_the_body_is_the_network_without_its_head(table, pieces):
    with torch.device("meta"):
        forms = outline(build(NAME, num_classes=CLASSES).eval(), (1, 3, SIZE, SIZE))
    times = {row.key: row.latency_ms for row in table.rows(PLATFORMS[0])}
    body = body_interval(forms, table.forms(), times, CALIBRATION)
    whole = assemble(pieces, table.rows(PLATFORMS[0]), CALIBRATION)
    assert body.latency_ms == pytest.approx(1.2 * (len(pieces.units) - 1))
    assert body.latency_ms == pytest.approx(whole.latency_ms - 1.2)
    assert (body.low_ms, body.high_ms) == pytest.approx((0.9 * body.latency_ms, 1.1 * body.latency_ms))


def test_only_what_lies_wholly_above_the_limit_is_refused(table, pieces):
    latency = 1.2 * (len(pieces.units) - 1)
    low, high = 0.9 * latency, 1.1 * latency
    said = f"predicted {latency:.2f} ms ({low:.2f} to {high:.2f}) on onnxruntime"
    assert _reason(table, f"latency<={low - 0.01}ms") == said
    assert _reason(table, f"latency<={low + 0.01}ms") is None


def test_one_precision_that_could_be_fast_enough_is_let_pass(table):
    assert _reason(table, "latency<=1ms") is not None
    table.put_calibration(PLATFORMS[1], Calibration(0.01, 0.0, 0.0, (), (0.1,)).to_json())
    assert _reason(table, "latency<=1ms") is None


def test_blocks_that_were_never_timed_are_not_guessed(table):
    assert _reason(table, "latency<=0.1ms", _candidate(size=96)) is None
    assert _reason(table, "latency<=0.1ms", _candidate(name="lcnet_0.35")) is None
    assert _reason(table, "latency<=0.1ms", _candidate(name="espnet_v2_0.5")) is None


def test_other_platforms_and_other_limits_say_nothing(table):
    assert _reason(table, "latency<=0.1ms", threads=2) is None
    assert _reason(table, "size<=1kB") is None


def test_without_a_calibrated_table_all_pass(table, tmp_path):
    assert _reason(LatencyTable(tmp_path / "none.sqlite"), "latency<=0.1ms") is None
    assert not (tmp_path / "none.sqlite").exists()
    bare = LatencyTable(tmp_path / "bare.sqlite")
    for platform in PLATFORMS[:1]:
        bare.put_calibration(platform, CALIBRATION.to_json())
    assert _reason(bare, "latency<=0.1ms") is None


def test_a_damaged_table_is_an_error(tmp_path):
    (tmp_path / "t.sqlite").write_text("no database at all, but long enough to be taken for one" * 30)
    with pytest.raises(DataError, match="no latency table"):
        TooSlow(_config("latency<=1ms"), LatencyTable(tmp_path / "t.sqlite"))
