"""Prediction from made-up timings: cutting, sums, the affine fit, intervals, estimates. No time is asserted."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from gossamer.errors import DataError, ModelError
from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import ConvNormAct
from gossamer.nn.network import Network, Stage, classifier
from gossamer.testing.networks import enliven, tiny_networks
from gossamer.timing.table import block_times
from gossamer.timing.table.block_times import Timing, measure_units, timing_of
from gossamer.timing.table.blocks_of import cut, outline, units_of, whole
from gossamer.timing.table.latency_table import LatencyTable, Platform
from gossamer.timing.table.predictor import (
    RAW,
    BlockRegressor,
    CalibratedOn,
    Calibration,
    borders_of,
    calibrate,
    conformal_radius,
    fit_calibration,
    load_calibration,
    predict,
)
from gossamer.zoo.build import build

HERE = Platform("Some CPU", ("avx2",), "onnxruntime", "1.31.1", 1, "fp32")
SHAPE = (1, 3, 32, 32)


def _network(blocks=2, channels=8, *, seed=0, stride=1, kernel=3):
    torch.manual_seed(seed)
    rows = [InvertedResidual(8, channels, 16, stride=stride, kernel=kernel)]
    rows += [InvertedResidual(channels, channels, 16) for _ in range(blocks - 1)]
    stage = Stage(rows, channels=channels, reduction=2 * stride)
    return Network(ConvNormAct(3, 8, 3, 2), [stage], classifier(channels, 5)).eval()


def _made_up_ms(unit):
    return 1e-6 * unit.macs + 1e-7 * unit.bytes_moved


class Clock:
    """A timer of made-up times that remembers what it was asked; `wholes` are those of whole networks."""

    def __init__(self, wholes=None):
        self.asked = []
        self.wholes = wholes or {}

    def __call__(self, jobs, platform):
        assert platform == HERE
        assert all(job.file.read_bytes() == job.unit.model for job in jobs)
        self.asked += [job.unit.name for job in jobs]
        return [Timing(self.wholes.get(job.unit.name, _made_up_ms(job.unit)), 0.01, 36) for job in jobs]


@pytest.fixture
def table(tmp_path):
    return LatencyTable(tmp_path / "table.sqlite")


def _keys(network, shape=SHAPE):
    return [unit.key for unit in units_of(network, shape)]


def test_a_network_is_cut_into_stem_blocks_and_head():
    units = units_of(_network(3, stride=2), SHAPE)
    assert [unit.name for unit in units] == ["stem", "stages.0.0", "stages.0.1", "stages.0.2", "head"]
    assert [unit.shape for unit in units] == [(1, 3, 32, 32), (1, 8, 16, 16), *[(1, 8, 8, 8)] * 3]
    assert [unit.stride for unit in units] == [2, 2, 1, 1, 8]
    assert [unit.out_channels for unit in units] == [8, 8, 8, 8, 5]
    assert [unit.kernel for unit in units] == [3, 3, 3, 3, 1]
    assert [unit.kind for unit in units] == ["ConvNormAct", *["InvertedResidual"] * 3, "Sequential"]
    assert units[0].macs == 16 * 16 * 8 * 27
    assert all(unit.bytes_moved > 0 for unit in units)


def test_equal_blocks_share_a_key_whatever_their_weights():
    keys = _keys(_network(3))
    assert len(set(keys)) == 3
    assert keys[1] == keys[2] == keys[3]
    trained = enliven(_network(3), SHAPE[1:], seed=9)
    assert _keys(trained) == keys


@pytest.mark.parametrize("change", [{"channels": 12}, {"stride": 2}, {"kernel": 5}], ids=str)
def test_other_blocks_have_other_keys(change):
    assert _keys(_network(1, **change))[1] != _keys(_network(1))[1]


def test_another_input_size_gives_other_keys():
    assert set(_keys(_network())).isdisjoint(_keys(_network(), (1, 3, 40, 40)))


def test_norms_are_folded_before_cutting():
    network = _network(1)
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    models = [unit.model for unit in units_of(network, SHAPE)]
    assert not any(b"BatchNormalization" in model for model in models)
    assert all(b"Conv" in model for model in models[:-1])


def test_a_network_on_the_meta_device_has_the_same_keys():
    with torch.device("meta"):
        twin = build("mobilenet_v2", num_classes=5, width=0.25).eval()
    real = build("mobilenet_v2", num_classes=5, width=0.25).eval()
    assert _keys(twin) == _keys(real)


def test_every_construction_can_be_cut():
    for network in tiny_networks().values():
        units = units_of(network, (1, 3, 33, 33))
        assert [units[0].name, units[-1].name] == ["stem", "head"]


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(ModelError, match="only networks of the zoo"):
        units_of(nn.Sequential(nn.Conv2d(3, 4, 1)), SHAPE)
    with pytest.raises(ModelError, match=r"take the input picture.*measure it whole"):
        units_of(build("espnet_v2_0.5", num_classes=5), (1, 3, 64, 64))
    with pytest.raises(ModelError, match="does not run on an input of shape"):
        units_of(_network(), (1, 4, 32, 32))


def test_halves_are_not_timed(table):
    with pytest.raises(ModelError, match="fp32 or int8, got fp16"):
        measure_units([], table, dataclasses.replace(HERE, precision="fp16"))


def test_in_int8_every_block_is_quantized_and_kept_apart(table):
    int8 = dataclasses.replace(HERE, precision="int8")
    units = units_of(_network(1), SHAPE)
    files = []

    def timer(jobs, platform):
        assert platform == int8
        files.extend(job.file.read_bytes() for job in jobs)
        return [Timing(float(place), 0.0, 36) for place, _ in enumerate(jobs, 1)]

    assert measure_units(units, table, int8, timer=timer) == 3
    assert len(set(files)) == 3
    assert all(b"QuantizeLinear" in file for file in files)
    assert {row.key: row.latency_ms for row in table.rows(int8)} == {
        unit.key: float(place) for place, unit in enumerate(units, 1)
    }
    assert table.rows(HERE) == []
    trained = units_of(enliven(_network(1), SHAPE[1:], seed=3), SHAPE)
    assert measure_units(trained, table, int8, timer=timer) == 0, "other ranges, the same key"


def test_an_outline_names_what_a_cut_exports(table):
    with torch.device("meta"):
        twin = build("mobilenet_v2", num_classes=5, width=0.25).eval()
    network, shape = build("mobilenet_v2", num_classes=5, width=0.25).eval(), (1, 3, 64, 64)
    pieces, forms = cut(network, shape), outline(twin, shape)
    assert forms.units == [unit.form for unit in pieces.units]
    assert forms.pairs == [pair.form for pair in pieces.pairs]
    assert forms.shapes == [unit.shape for unit in pieces.units]
    measure_units([*pieces.units, *pieces.pairs], table, HERE, timer=Clock())
    known = table.forms()
    assert [known[form] for form in forms.units] == [unit.key for unit in pieces.units]
    assert set(outline(twin, (1, 3, 96, 96)).units).isdisjoint(known)


def test_another_machine_is_not_timed_here(table):
    units = units_of(_network(1), SHAPE)
    with pytest.raises(DataError, match=r"of Some CPU .* can be timed only there.*measure_missing=False"):
        measure_units(units, table, HERE)
    assert table.rows() == []
    measure_units(units, table, HERE, timer=Clock())
    assert measure_units(units, table, HERE) == 0


def test_a_whole_network_is_one_unit():
    unit = whole(_network(), SHAPE, "mine")
    assert (unit.name, unit.kind, unit.shape, unit.out_channels) == ("mine", "network", SHAPE, 5)
    assert unit.macs == sum(part.macs for part in units_of(_network(), SHAPE))
    with pytest.raises(ModelError, match="does not run on an input of shape"):
        whole(_network(), (1, 4, 32, 32), "mine")


def test_each_graph_is_timed_once(table):
    clock = Clock()
    units = units_of(_network(3), SHAPE)
    assert measure_units([*units, *units], table, HERE, timer=clock, provenance="made up") == 3
    assert clock.asked == ["stem", "stages.0.0", "head"]
    assert measure_units(units, table, HERE, timer=clock) == 0
    row = table.find(HERE, [units[1].key])[units[1].key]
    assert (row.latency_ms, row.spread, row.runs) == (_made_up_ms(units[1]), 0.01, 36)
    assert (row.in_channels, row.out_channels, row.height, row.kernel, row.stride) == (8, 8, 16, 3, 1)
    assert row.provenance.startswith("made up, load ")


def test_what_was_measured_before_an_interruption_is_kept(table, monkeypatch):
    monkeypatch.setattr(block_times, "_BATCH", 1)
    clock = Clock()

    def killed(jobs, platform):
        if len(clock.asked) == 2:
            raise KeyboardInterrupt
        return clock(jobs, platform)

    units = units_of(_network(1), SHAPE)
    with pytest.raises(KeyboardInterrupt):
        measure_units(units, table, HERE, timer=killed)
    assert {row.key for row in table.rows(HERE)} == {unit.key for unit in units[:2]}
    assert measure_units(units, table, HERE, timer=clock) == 1
    assert clock.asked == ["stem", "stages.0.0", "head"]


def test_the_figure_is_the_mean_of_the_fastest_half():
    timing = timing_of([0.002, 0.004, 0.9], [0.003, 0.8, 0.7])
    assert timing.latency_ms == pytest.approx(3.0)
    assert timing.runs == 6
    assert timing.spread == pytest.approx(abs(0.003 - 0.3515) / 0.003)
    assert timing_of([0.5], [0.5]) == Timing(500.0, 0.0, 2)


def test_runs_that_disagree_are_timed_again(monkeypatch):
    rounds = [[Timing(1.0, 0.01, 9), Timing(5.0, 0.3, 9), Timing(7.0, 0.2, 9)], [Timing(2.0, 0.05, 9), Timing(9.0, 0.4, 9)]]  # fmt: skip
    asked = []
    monkeypatch.setattr(
        block_times, "_time_once", lambda jobs, platform: (asked.append(jobs), rounds.pop(0))[1]
    )
    assert [timing.latency_ms for timing in block_times.time_jobs(["a", "b", "c"], HERE)] == [1.0, 2.0, 7.0]
    assert asked == [["a", "b", "c"], ["b", "c"]]


def test_without_calibration_the_prediction_is_the_sum(table):
    network = _network(3)
    prediction = predict(network, SHAPE, table, HERE, timer=Clock())
    total = sum(_made_up_ms(unit) for unit in units_of(network, SHAPE))
    assert prediction.latency_ms == prediction.sum_ms == pytest.approx(total)
    assert (prediction.low_ms, prediction.high_ms, prediction.coverage) == (None, None, 0.0)
    assert not prediction.extrapolated
    assert [unit.source for unit in prediction.units] == ["measured"] * 5
    assert json.loads(json.dumps(prediction.to_json()))["units"][0]["name"] == "stem"


def _family():
    return {f"n{i}": (_network(1 + i % 4, channels=4 + 4 * (i // 2)), SHAPE) for i in range(10)}


def test_calibrating_measures_fits_and_keeps(table):
    networks = _family()
    sums = {name: sum(map(_made_up_ms, units_of(*of))) for name, of in networks.items()}
    borders = {name: borders_of(units_of(*of)) for name, of in networks.items()}
    wholes = {name: 1.1 * sums[name] + 0.02 * borders[name][0] + 0.3 * borders[name][1] for name in networks}
    clock = Clock(wholes)
    calibration = calibrate(networks, table, HERE, timer=clock)
    assert (calibration.a, calibration.b, calibration.c) == pytest.approx((1.1, 0.02, 0.3), rel=1e-3)
    assert max(map(abs, calibration.residuals)) < 1e-3
    assert load_calibration(table, HERE) == calibration
    assert clock.asked.count("n0") == 1
    asked = len(clock.asked)
    assert calibrate(networks, table, HERE, timer=clock) == calibration
    assert len(clock.asked) == asked

    unseen = _network(3, channels=20)
    units = units_of(unseen, SHAPE)
    count, megabytes = borders_of(units)
    assert count == 4
    assert megabytes == pytest.approx(4e-6 * 16 * 16 * (8 + 3 * 20))
    total = sum(map(_made_up_ms, units))
    prediction = predict(unseen, SHAPE, table, HERE, timer=clock)
    assert prediction.latency_ms == pytest.approx(1.1 * total + 0.02 * count + 0.3 * megabytes, rel=1e-3)
    assert prediction.low_ms <= prediction.latency_ms <= prediction.high_ms
    assert prediction.coverage == 0.9


def test_a_missing_block_is_estimated_and_said_to_be(table):
    calibrate(_family(), table, HERE, timer=Clock())
    unseen = _network(2, channels=10)
    prediction = predict(unseen, SHAPE, table, HERE, measure_missing=False)
    sources = {unit.name: unit.source for unit in prediction.units}
    assert prediction.extrapolated
    assert set(sources.values()) == {"extrapolated"}
    total = sum(map(_made_up_ms, units_of(unseen, SHAPE)))
    assert prediction.sum_ms == pytest.approx(total, rel=0.25)
    measured = predict(unseen, SHAPE, table, HERE, timer=Clock())
    assert not measured.extrapolated
    assert (prediction.high_ms / prediction.latency_ms) > (measured.high_ms / measured.latency_ms)


def test_pairs_overlap_by_one_block():
    units, pairs = cut(_network(3), SHAPE)
    assert [pair.name for pair in pairs][::3] == ["stem + stages.0.0", "stages.0.2 + head"]
    assert {pair.kind for pair in pairs} == {"pair"}
    assert pairs[1].key == pairs[2].key != pairs[0].key
    assert len({of.key for of in [*units, *pairs]}) == 6
    for one, two, pair in zip(units, units[1:], pairs, strict=False):
        assert (pair.shape, pair.out_channels) == (one.shape, two.out_channels)
        assert pair.macs == one.macs + two.macs


def test_what_blocks_pay_at_their_borders_is_taken_off(table):
    """Every file costs its work, its call and a layout change of what goes in; a whole network costs that once."""

    def timer(jobs, platform):
        times = [_made_up_ms(job.unit) + 0.05 + 1e-5 * math.prod(job.unit.shape) for job in jobs]
        return [Timing(time, 0.0, 36) for time in times]

    network = _network(3, channels=12)
    prediction = predict(network, SHAPE, table, HERE, timer=timer)
    units = units_of(network, SHAPE)
    exact = sum(map(_made_up_ms, units)) + 0.05 + 1e-5 * math.prod(SHAPE)
    assert prediction.sum_ms == pytest.approx(exact, rel=1e-6)
    rows = table.find(HERE, [unit.key for unit in units])
    assert sum(rows[unit.key].latency_ms for unit in units) > 1.3 * exact


def test_coefficients_that_do_not_help_are_left_out():
    fit = fit_calibration(_synthetic(12, (1.05, 0.0, 0.0), noise=0.05))
    assert (fit.b, fit.c) == (0.0, 0.0)
    assert fit.a == pytest.approx(1.05, rel=0.05)
    assert 0 < max(map(abs, fit.residuals)) < 0.2
    few = fit_calibration(_synthetic(7))
    assert (few.b, few.c) == (0.0, 0.0)


def test_too_small_a_table_cannot_estimate(table):
    with pytest.raises(DataError, match="at least 12 blocks, got 0"):
        predict(_network(), SHAPE, table, HERE, measure_missing=False)


def test_a_known_network_needs_no_estimate(table):
    predict(_network(), SHAPE, table, HERE, timer=Clock())
    assert not predict(_network(seed=4), SHAPE, table, HERE, measure_missing=False).extrapolated


def test_estimates_follow_the_rows_they_learned_from(table):
    units = [unit for network, shape in _family().values() for unit in units_of(network, shape)]
    measure_units(units, table, HERE, timer=Clock())
    end = whole(_network(), SHAPE, "whole")
    before = table.rows(HERE)
    measure_units([end], table, HERE, timer=Clock({"whole": 1e6}))
    with_whole = BlockRegressor(table.rows(HERE))
    assert with_whole.radius == BlockRegressor(before).radius
    for row in before:
        assert with_whole.latency_ms(row) == pytest.approx(row.latency_ms, rel=0.3)


def test_estimates_learn_most_from_their_own_kind(table):
    """Blocks of a second class take three times as long for the same work."""
    units = [unit for network, shape in _family().values() for unit in units_of(network, shape)]
    measure_units(units, table, HERE, timer=Clock())
    first = [row for row in table.rows(HERE) if row.kind == "InvertedResidual"]
    second = [
        dataclasses.replace(row, key=f"{row.key}x", kind="Other", latency_ms=3 * row.latency_ms)
        for row in first
    ]
    out = second.pop(len(second) // 2)
    guess = BlockRegressor([*table.rows(HERE), *second]).latency_ms(out)
    assert guess == pytest.approx(out.latency_ms, rel=0.3)
    assert guess > 2 * (out.latency_ms / 3)


def _synthetic(count, coefficients=(1.1, 0.05, 0.4), noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    a, b, c = coefficients
    found = []
    for i in range(count):
        total, borders = float(rng.uniform(1, 30)), int(rng.integers(5, 40))
        megabytes = float(rng.uniform(0.5, 5))
        exact = a * total + b * borders + c * megabytes
        found.append(
            CalibratedOn(
                f"n{i}", total, borders, megabytes, exact * (1 + noise * float(rng.standard_normal()))
            )
        )
    return found


@pytest.mark.parametrize("coefficients", [(1.1, 0.05, 0.4), (0.8, -0.01, 1.0), (1.0, 0.0, 0.0)])
def test_the_fit_recovers_known_coefficients(coefficients):
    fit = fit_calibration(_synthetic(12, coefficients))
    assert (fit.a, fit.b, fit.c) == pytest.approx(coefficients, abs=1e-6)
    assert max(map(abs, fit.residuals)) < 1e-6


def test_a_is_never_negative():
    networks = [CalibratedOn(f"n{i}", 10.0 - i, 5 + i, 1.0, 5.0 + i) for i in range(9)]
    assert fit_calibration(networks).a >= 0
    rng = np.random.default_rng(1)
    falling = [
        CalibratedOn(str(i), float(x), 6, 1.0, float(12 - x)) for i, x in enumerate(rng.uniform(1, 9, 12))
    ]
    assert fit_calibration(falling).a == 0


def test_few_networks_stay_near_the_sum():
    one = fit_calibration([CalibratedOn("n", 10.0, 10, 2.0, 10.5)])
    assert one.latency_ms(10.0, 10, 2.0) == pytest.approx(10.5, rel=0.02)
    assert one.latency_ms(20.0, 20, 4.0) == pytest.approx(20.5, rel=0.05)
    assert one.residuals == (pytest.approx(0.05),)


@pytest.mark.parametrize("count", [0, 21])
def test_the_number_of_networks_is_limited(count, table):
    with pytest.raises(DataError, match=f"1 to 20 networks, got {count}"):
        fit_calibration(_synthetic(count))
    networks = {str(i): (nn.Identity(), SHAPE) for i in range(count)}
    with pytest.raises(DataError, match=f"1 to 20 networks, got {count}"):
        calibrate(networks, table, HERE)


@pytest.mark.parametrize("time", [0.0, -1.0, math.nan, math.inf])
def test_times_are_above_zero(time):
    with pytest.raises(DataError, match="above 0"):
        fit_calibration([CalibratedOn("n", 1.0, 3, 1.0, time)])


def test_a_latency_is_never_negative():
    assert Calibration(1.0, -1.0, 0.0).latency_ms(1.0, 5, 1.0) == 0.0
    assert RAW.latency_ms(1.5, 5, 1.0) == 1.5


def test_calibrations_survive_json():
    fit = fit_calibration(_synthetic(9, noise=0.02))
    assert Calibration.from_json(json.loads(json.dumps(fit.to_json()))) == fit
    for damaged in ({}, {**fit.to_json(), "a": "x"}, {**fit.to_json(), "networks": [{"name": "n"}]}):
        with pytest.raises(DataError, match="calibrate again"):
            Calibration.from_json(damaged)


def test_the_radius_is_the_right_order_statistic():
    residuals = [0.01 * i * (-1) ** i for i in range(1, 20)]
    assert conformal_radius(residuals) == (pytest.approx(0.18), 0.9)
    assert conformal_radius(residuals[:9]) == (pytest.approx(0.09), 0.9)
    assert conformal_radius(residuals[:4]) == (pytest.approx(0.04), 0.8)
    with pytest.raises(DataError, match="calibrate first"):
        conformal_radius([])


def test_nine_in_ten_new_networks_lie_inside():
    inside = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        radius, coverage = conformal_radius(rng.standard_normal(19).tolist())
        inside.append(float((np.abs(rng.standard_normal(200)) <= radius).mean()))
        assert coverage == 0.9
    assert 0.88 <= np.mean(inside) <= 0.93


def test_intervals_of_fitted_networks_hold_on_new_ones():
    inside = []
    for seed in range(60):
        networks = _synthetic(60, noise=0.05, seed=seed)
        fit = fit_calibration(networks[:19])
        radius, _ = conformal_radius(fit.residuals)
        for network in networks[19:]:
            guess = fit.latency_ms(network.sum_ms, network.borders, network.border_mb)
            inside.append(abs(network.measured_ms - guess) <= radius * guess)
    assert 0.86 <= np.mean(inside) <= 0.95


def test_two_networks_on_a_real_runtime(tmp_path):
    """Structure only: nothing is said of how long anything takes."""
    table, here = LatencyTable(tmp_path / "table.sqlite"), Platform.here()
    networks = {"small": (_network(1), SHAPE), "large": (_network(3, channels=16), SHAPE)}
    calibration = calibrate(networks, table, here)
    assert [network.name for network in calibration.networks] == ["small", "large"]
    assert calibration.a >= 0
    rows = table.rows(here)
    assert len([row for row in rows if row.kind == "network"]) == 2
    assert all(row.latency_ms > 0 and row.spread >= 0 and row.runs >= 36 for row in rows)
    count = len(rows)
    prediction = predict(_network(2, channels=16), SHAPE, table, here)
    assert len(table.rows(here)) == count
    assert prediction.coverage == pytest.approx(2 / 3)
    assert prediction.latency_ms > 0
    assert prediction.low_ms <= prediction.latency_ms <= prediction.high_ms
    assert not prediction.extrapolated


def test_importing_the_predictor_loads_no_torch():
    code = "import sys, gossamer.timing.table.predictor; assert not {'torch', 'onnx', 'onnxruntime'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
