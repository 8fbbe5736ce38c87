"""Peak memory of files in a process of their own."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gossamer.errors import BundleError
from gossamer.timing.memory import measure_memory

MEBI = 1024**2


def _file_with_weights(path, bytes_of_weights):
    """A linear layer of the asked size."""
    rows = bytes_of_weights // 4 // 64
    weight = np.random.default_rng(0).normal(size=(64, rows)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, rows])],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def test_what_a_file_adds_grows_with_its_weights(tmp_path):
    figures = {}
    for size in (MEBI, 48 * MEBI):
        _file_with_weights(tmp_path / "m.onnx", size)
        figures[size] = measure_memory(tmp_path / "m.onnx", runtime="onnxruntime", threads=1, shape=(1, 64))
    small, large = figures.values()
    assert 0 <= small.model_bytes < small.process_bytes
    assert large.model_bytes - small.model_bytes > 40 * MEBI
    assert 10 * MEBI < small.process_bytes < large.process_bytes < 2048 * MEBI


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(
        BundleError, match=r"cannot run .*m\.onnx in a fresh process: .*no ONNX file that can be run"
    ) as caught:
        measure_memory(path, runtime="onnxruntime", threads=1, shape=(1, 64))
    assert "\n" not in str(caught.value)


def test_a_wrong_shape_is_named(tmp_path):
    _file_with_weights(tmp_path / "m.onnx", 64 * 64)
    with pytest.raises(BundleError, match=r"cannot run .*m\.onnx in a fresh process: "):
        measure_memory(tmp_path / "m.onnx", runtime="onnxruntime", threads=1, shape=(1, 65))
