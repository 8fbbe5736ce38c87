"""int8 files: a planted bad layer is found and mended, precision is mixed by program, the verdict, and bad input."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from gossamer.compress.quantize.edits import Edits, edit_for_int8
from gossamer.compress.quantize.mixed import bit_operations, choose_fp32, keep_within, milliseconds
from gossamer.cost.meter import measure
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.deploy.runtimes.onnxruntime.floats import float_operators
from gossamer.deploy.runtimes.onnxruntime.post_training import Calibration, to_int8
from gossamer.deploy.runtimes.onnxruntime.run import load
from gossamer.deploy.runtimes.onnxruntime.sensitivity import Sensitivity, keep_worst, measure_sensitivity
from gossamer.errors import BudgetError, GossamerError, ModelError, RunFolderError
from gossamer.runs.choice import decide, judge_files

CONTRACT = InputContract.of("inception", 24)


@pytest.fixture
def inputs(pictures):
    return [picture[None].numpy() for picture in pictures]


def _file(network, path):
    export(network, CONTRACT, path)
    return path


def _scores(path, inputs):
    session = load(path, threads=1)
    return np.concatenate([session.run(value)[0] for value in inputs])


def _likeness(path, exact, inputs):
    """1 - the relative error of scores about their means: what the guard is given as a metric."""
    exact, scores = (x - x.mean(0) for x in (exact, _scores(path, inputs)))
    return 1 - float(np.linalg.norm(scores - exact) / np.linalg.norm(exact))


@pytest.mark.isa
def test_a_planted_bad_layer_is_caught_and_kept_in_fp32(planted, inputs, tmp_path):
    source = _file(planted, tmp_path / "fp32.onnx")
    before = hashlib.sha256(source.read_bytes()).digest()
    exact = _scores(source, inputs)
    plain = tmp_path / "plain.onnx"
    to_int8(source, plain, inputs)
    assert _likeness(plain, exact, inputs) < 0.7
    worst = measure_sensitivity(source, inputs)
    assert {each.params for each in worst[:2]} == {
        16 * 9,
        12 * 16,
    }  # the layer that writes the channel, and its reader
    assert worst[1].sqnr_db + 6 < worst[2].sqnr_db
    guarded = keep_worst(
        source, tmp_path / "int8.onnx", inputs, lambda p: _likeness(p, exact, inputs), max_drop=0.15
    )
    assert guarded.met
    assert set(guarded.kept[:2]) == {each.nodes[0] for each in worst[:2]}
    assert len(guarded.kept) <= 3
    assert _likeness(guarded.path, exact, inputs) == pytest.approx(guarded.score)
    assert hashlib.sha256(source.read_bytes()).digest() == before


def test_the_same_layer_is_mended_by_equalization(planted, pictures, inputs, tmp_path):
    exact = _scores(_file(planted, tmp_path / "fp32.onnx"), inputs)
    edited = edit_for_int8(planted, pictures, Edits(correct=False))
    to_int8(_file(edited, tmp_path / "edited.onnx"), tmp_path / "int8.onnx", inputs)
    assert _likeness(tmp_path / "int8.onnx", exact, inputs) > 0.85


def test_where_nothing_helps_the_best_file_is_kept_and_it_says_so(planted, inputs, tmp_path):
    source = _file(planted, tmp_path / "fp32.onnx")
    exact = _scores(source, inputs)
    guarded = keep_worst(
        source, tmp_path / "int8.onnx", inputs, lambda p: _likeness(p, exact, inputs), max_drop=0, most=1
    )
    assert not guarded.met
    assert guarded.drop > 0
    assert guarded.path.is_file()
    with pytest.raises(GossamerError, match="max_drop is 0 or more"):
        keep_worst(source, tmp_path / "x.onnx", inputs, lambda p: 1.0, max_drop=-1)


def test_a_drop_that_is_just_allowed_is_not_refused_by_the_last_bit(planted, inputs, tmp_path):
    """0.9 - 0.88 is more than 0.02 in floats: the rule has a tolerance, here as everywhere."""
    source = _file(planted, tmp_path / "fp32.onnx")
    guarded = keep_worst(
        source, tmp_path / "int8.onnx", inputs, lambda p: 0.9 if p == source else 0.88, max_drop=0.02
    )
    assert guarded.drop > 0.02
    assert (guarded.met, guarded.kept) == (True, ())


def test_mixed_precision_keeps_the_most_noise_out_of_a_limit():
    layers = [
        Sensitivity((f"Conv-{i}",), "Conv", db, size)
        for i, (db, size) in enumerate([(10, 600), (12, 100), (13, 90), (40, 10)])
    ]
    assert choose_fp32(layers, 800) == []
    assert choose_fp32(layers, 800 + 3 * 200) == layers[1:]  # the first does not fit, the others do
    assert choose_fp32(layers, 10_000) == layers
    with pytest.raises(BudgetError, match="at least 800 bytes in int8, got a limit of 799"):
        choose_fp32(layers, 799)


def test_layers_that_are_faster_in_fp32_make_room_for_others():
    layers = [Sensitivity((f"Conv-{i}",), "Conv", db, 0) for i, db in enumerate((10, 12, 40))]
    assert keep_within(layers, [0.5, 0.4, -0.2], 0.0) == layers[2:]
    assert keep_within(layers, [0.5, 0.4, -0.2], 0.2) == layers[1:]
    assert keep_within(layers, [0.5, 0.4, -0.2], 0.3) == [layers[0], layers[2]]
    with pytest.raises(BudgetError, match=r"take 0.1 more than the limit whatever stays fp32"):
        keep_within(layers, [0.5, 0.4, -0.2], -0.3)


def test_bit_operations_and_milliseconds_are_those_of_the_file(little, inputs, tmp_path):
    source = _file(little, tmp_path / "fp32.onnx")
    layers = measure_sensitivity(source, inputs)
    macs = sum(layer.macs for layer in measure(little, inputs[0].shape).layers)
    whole, extra = bit_operations(layers)
    assert whole == 64 * macs
    assert sum(extra) == (1024 - 64) * macs
    found, more = milliseconds(source, layers, inputs, seconds=0.02)
    assert found > 0
    assert len(more) == len(layers)
    assert all(np.isfinite(each) for each in more)


@pytest.mark.parametrize(
    ("size", "latency", "recommended", "start"),
    [
        (0.3, 0.5, True, "int8: int8 takes 0.50 of the time"),
        (0.3, 1.0, True, "int8: as fast as fp32"),
        (0.3, 1.3, False, "fp32 is faster on onnxruntime"),
        (0.95, 1.0, False, "int8 buys nothing"),
        (0.95, 0.9, True, "int8: int8 takes 0.90"),
    ],
)
def test_int8_is_recommended_only_where_it_buys_something(size, latency, recommended, start):
    found = decide(
        "onnxruntime", size_ratio=size, latency_ratio=latency, operators={"Mul": 2, "HardSigmoid": 9}
    )
    assert found.recommended is recommended
    assert found.reason.startswith(start)
    assert ("in float stay HardSigmoid x 9, Mul x 2" in found.reason) is not recommended


def test_float_operators_are_those_of_hard_swish(with_act, inputs, tmp_path):
    found = {}
    for name, act in (("relu", torch.nn.ReLU), ("swish", torch.nn.Hardswish)):
        source = _file(with_act(act), tmp_path / f"{name}.onnx")
        to_int8(source, tmp_path / f"{name}-int8.onnx", inputs)
        found[name] = float_operators(tmp_path / f"{name}-int8.onnx")
    assert not {"Conv", "HardSwish", "HardSigmoid", "FusedConv"} & set(found["relu"])
    assert sum(found["swish"].values()) >= sum(found["relu"].values()) + 5
    verdict = judge_files(tmp_path / "relu.onnx", tmp_path / "relu-int8.onnx", seconds=0.02)
    assert verdict.latency_ratio > 0
    assert verdict.size_ratio == pytest.approx(
        (tmp_path / "relu-int8.onnx").stat().st_size / (tmp_path / "relu.onnx").stat().st_size
    )


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e-30])
def test_a_dead_channel_does_no_harm(little, inputs, tmp_path, scale):
    with torch.no_grad():
        little.point[0].weight[3] *= scale
        little.point[0].bias[3] = 0.5
    source = _file(little, tmp_path / "fp32.onnx")
    to_int8(source, tmp_path / "int8.onnx", inputs)
    assert _likeness(tmp_path / "int8.onnx", _scores(source, inputs), inputs) > 0.8


def test_bad_input_gives_one_error_and_leaves_the_source(little, inputs, tmp_path):
    source = _file(little, tmp_path / "fp32.onnx")
    before = source.read_bytes()
    with pytest.raises(ModelError, match="needs calibration inputs, got none"):
        to_int8(source, tmp_path / "int8.onnx", [])
    with pytest.raises(
        ModelError, match=r"takes inputs of shape \(1, 3, 24, 24\), calibration has \(1, 3, 20, 20\)"
    ):
        to_int8(source, tmp_path / "int8.onnx", [inputs[0][:, :, :20, :20]])
    with pytest.raises(ModelError, match="beside its source"):
        to_int8(source, source, inputs)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(RunFolderError, match="cannot write"):
        to_int8(source, tmp_path / "taken" / "int8.onnx", inputs)
    to_int8(source, tmp_path / "int8.onnx", inputs, Calibration("minmax", per_channel=False))
    with pytest.raises(
        ModelError, match=r"int8\.onnx is quantized already \(DequantizeLinear, QuantizeLinear\)"
    ):
        to_int8(tmp_path / "int8.onnx", tmp_path / "again.onnx", inputs)
    assert source.read_bytes() == before
    with torch.no_grad():
        little.branch.weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match="holds NaN or infinity"):
        to_int8(_file(little, tmp_path / "nan.onnx"), tmp_path / "x.onnx", inputs)
