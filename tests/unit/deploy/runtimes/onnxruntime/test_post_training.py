"""int8 and fp16 of a tiny network's file: smaller, runnable, and of the same opinion."""

from __future__ import annotations

import logging

import numpy as np
import onnx
import pytest
from deploy_samples import CONTRACT, inputs, tiny_network

from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.deploy.runtimes.onnxruntime.post_training import to_fp16, to_int8
from gossamer.deploy.runtimes.onnxruntime.run import load
from gossamer.errors import ModelError


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    export(tiny_network(), CONTRACT, folder / "fp32.onnx")
    to_int8(folder / "fp32.onnx", folder / "int8.onnx", inputs(16, seed=1))
    to_fp16(folder / "fp32.onnx", folder / "fp16.onnx")
    return folder


def _opinions(path):
    session = load(path, threads=1)
    return np.concatenate([session.run(value)[0] for value in inputs(60, seed=2)])


def test_sizes_fall(files):
    whole, half, quarter = ((files / f"{p}.onnx").stat().st_size for p in ("fp32", "fp16", "int8"))
    assert half < 0.7 * whole
    assert quarter < 0.6 * whole


def test_int8_agrees_mostly(files):
    whole, small = _opinions(files / "fp32.onnx"), _opinions(files / "int8.onnx")
    assert len(set(whole.argmax(1))) >= 2
    assert (whole.argmax(1) == small.argmax(1)).mean() >= 0.85
    assert 0 < np.abs(whole - small).max() < 0.5 * np.ptp(whole)


def test_fp16_agrees_almost_always_and_takes_and_gives_floats(files):
    whole, half = _opinions(files / "fp32.onnx"), _opinions(files / "fp16.onnx")
    assert half.dtype == np.float32
    assert (whole.argmax(1) == half.argmax(1)).mean() >= 0.95
    assert 0 < np.abs(whole - half).max() < 0.02 * np.ptp(whole)


def test_int8_weights_are_signed_per_channel_and_activations_unsigned(files):
    model = onnx.load(files / "int8.onnx")
    constants = {t.name: t for t in model.graph.initializer}
    weights = [t for t in constants.values() if t.data_type == onnx.TensorProto.INT8]
    assert len(weights) >= 8
    scales = [
        constants[n.input[1]]
        for n in model.graph.node
        if n.op_type == "DequantizeLinear" and n.input[0] in constants
    ]
    assert max(np.prod(s.dims) for s in scales) >= 64
    zero_points = [constants[n.input[2]].data_type for n in model.graph.node if n.op_type == "QuantizeLinear"]
    assert set(zero_points) == {onnx.TensorProto.UINT8}


def test_no_calibration_is_refused(files, tmp_path):
    with pytest.raises(
        ModelError, match="int8 needs calibration inputs, got none; give some training pictures"
    ):
        to_int8(files / "fp32.onnx", tmp_path / "int8.onnx", [])
    assert list(tmp_path.iterdir()) == []


def test_calibration_of_another_size_is_refused(files, tmp_path):
    with pytest.raises(ModelError, match=r"cannot quantize fp32\.onnx to int8: .*; keep fp32"):
        to_int8(files / "fp32.onnx", tmp_path / "int8.onnx", inputs(2, side=20))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["int8", "fp16"])
def test_a_damaged_source_is_refused(tmp_path, kind):
    source = tmp_path / "m.onnx"
    source.write_bytes(b"\xff no network")
    with pytest.raises(ModelError, match=rf"cannot (quantize|convert) m\.onnx to {kind}: .*; keep fp32"):
        to_int8(source, tmp_path / "x.onnx", inputs(1)) if kind == "int8" else to_fp16(
            source, tmp_path / "x.onnx"
        )
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_the_root_logger_is_left_as_it_was(files, tmp_path):
    root = logging.getLogger()
    before, handlers = root.level, list(root.handlers)
    to_fp16(files / "fp32.onnx", tmp_path / "fp16.onnx")
    assert (root.level, root.handlers) == (before, handlers)
