"""Counts of files: worked out by hand, held against torch's count of the same network, and what cannot be counted."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gossamer.cost.meter import measure
from gossamer.cost.onnx_count import count_onnx
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.convert import convert
from gossamer.errors import ModelError
from gossamer.nn.edits.fuse import fuse
from gossamer.testing.networks import noise, tiny_networks
from gossamer.types import Size

FLOAT = 4


def _file(tmp_path, nodes, shape, output, weights, *, inputs=1) -> Path:
    values = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, shape) for i in range(inputs)]
    graph = helper.make_graph(
        nodes,
        "g",
        values,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def _random(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_a_convolution(tmp_path):
    node = helper.make_node("Conv", ["x0", "w", "b"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1])
    path = _file(tmp_path, [node], [1, 3, 16, 16], [1, 8, 8, 8], {"w": _random(8, 3, 3, 3), "b": _random(8)})
    cost = count_onnx(path)
    assert cost.input == (1, 3, 16, 16)
    assert (cost.params, cost.param_bytes) == (224, FLOAT * 224)
    assert cost.macs == 8 * 8 * 8 * 27
    assert cost.activation_bytes_read == FLOAT * 3 * 16 * 16
    assert cost.activation_bytes_written == FLOAT * 8 * 8 * 8
    assert cost.peak_bytes == FLOAT * (3 * 16 * 16 + 8 * 8 * 8)
    assert [(layer.kind, layer.macs, layer.params) for layer in cost.layers] == [
        ("Conv k x k", cost.macs, 224)
    ]


@pytest.mark.parametrize(("trans_a", "shape"), [(0, [5, 7]), (1, [7, 5])])
def test_a_linear_layer_either_way_round(tmp_path, trans_a, shape):
    node = helper.make_node("Gemm", ["x0", "w"], ["y"], transA=trans_a, transB=1)
    cost = count_onnx(_file(tmp_path, [node], shape, [5, 4], {"w": _random(4, 7)}))
    assert (cost.macs, cost.params) == (5 * 7 * 4, 28)


def test_a_stored_matrix_on_the_left(tmp_path):
    node = helper.make_node("MatMul", ["w", "x0"], ["y"])
    cost = count_onnx(_file(tmp_path, [node], [1, 2, 6, 3], [1, 2, 4, 3], {"w": _random(4, 6)}))
    assert cost.macs == 2 * 4 * 6 * 3


def test_what_is_let_go_counts_no_more_and_views_own_nothing(tmp_path):
    names = ["x0", *(f"t{i}" for i in range(5)), "y"]
    nodes = [helper.make_node("Relu", [a], [b]) for a, b in pairwise(names[:-1])]
    nodes.append(helper.make_node("Reshape", ["t4", "s"], ["y"]))
    cost = count_onnx(_file(tmp_path, nodes, [1, 4, 8, 8], [1, 256], {"s": np.array([1, 256])}))
    plane = FLOAT * 4 * 64
    assert cost.peak_bytes == 2 * plane
    assert cost.activation_bytes_written == 5 * plane
    assert (cost.macs, cost.params) == (0, 0)


@pytest.mark.parametrize("name", sorted(tiny_networks()))
def test_an_exported_network_counts_as_its_fused_form(tmp_path, name):
    network = tiny_networks()[name]
    for index, parameter in enumerate(p for p in network.parameters() if p.dim() == 1):
        parameter.data += 0.01 * (index + 1)  # equal biases are stored once
    get_runtime("onnxruntime").export(network, InputContract(Size(32, 32)), tmp_path / "m.onnx")
    file, fused = count_onnx(tmp_path / "m.onnx"), measure(fuse(network), (1, 3, 32, 32))
    assert (file.macs, file.params, file.param_bytes) == (fused.macs, fused.params, fused.param_bytes)
    assert file.uncounted == ()
    assert file.peak_bytes <= fused.peak_bytes


def test_int8_counts_the_same_work_in_a_quarter_of_the_bytes(tmp_path):
    network = tiny_networks()["plain"]
    contract = InputContract(Size(32, 32))
    get_runtime("onnxruntime").export(network, contract, tmp_path / "m.onnx")
    batches = [noise(1, (3, 32, 32), seed=s) for s in range(2)]
    small = convert(tmp_path / "m.onnx", "int8", batches)
    float32, int8 = count_onnx(tmp_path / "m.onnx"), count_onnx(small)
    assert int8.macs == float32.macs
    assert int8.uncounted == ()
    assert 0.2 < int8.param_bytes / float32.param_bytes < 0.5


def test_what_has_no_formula_is_listed(tmp_path):
    node = helper.make_node("CumSum", ["x0", "axis"], ["y"])
    cost = count_onnx(_file(tmp_path, [node], [1, 8], [1, 8], {"axis": np.array(1)}))
    assert cost.uncounted == ("CumSum",)


def test_an_open_size_is_asked_for_and_an_open_batch_is_one(tmp_path):
    node = helper.make_node("Conv", ["x0", "w"], ["y"])
    weights = {"w": _random(8, 3, 1, 1)}
    path = _file(tmp_path, [node], ["n", 3, "h", "w"], ["n", 8, "h", "w"], weights)
    with pytest.raises(
        ModelError,
        match=r"every tensor needs a shape to be counted, '(x0|y)' .* give the input's shape with --input",
    ):
        count_onnx(path)
    assert count_onnx(path, (1, 3, 10, 20)).macs == 10 * 20 * 24
    path = _file(tmp_path, [node], ["n", 3, 4, 4], ["n", 8, 4, 4], weights)
    assert count_onnx(path).macs == 16 * 24


def test_a_shape_that_the_file_does_not_take(tmp_path):
    node = helper.make_node("Relu", ["x0"], ["y"])
    path = _file(tmp_path, [node], [1, 3, 4, 4], [1, 3, 4, 4], {})
    with pytest.raises(
        ModelError, match=r"takes an input of 1x3x4x4, got 1x3x5x5; leave --input out or give that shape"
    ):
        count_onnx(path, (1, 3, 5, 5))


def test_two_inputs_are_refused_by_name(tmp_path):
    node = helper.make_node("Add", ["x0", "x1"], ["y"])
    path = _file(tmp_path, [node], [1, 4], [1, 4], {}, inputs=2)
    with pytest.raises(ModelError, match=r"has one input, .* has 2: x0, x1; count its parts"):
        count_onnx(path)


@pytest.mark.parametrize("content", [b"", b"this is no model", b"\x08\x07" * 40])
def test_what_is_no_onnx_file(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot read .*m\.onnx as ONNX: .*; export it again"):
        count_onnx(tmp_path / "m.onnx")


def test_weights_in_constant_nodes_count(tmp_path):
    nodes = [
        helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(_random(4, 3, 3, 3))),
        helper.make_node("Constant", [], ["one"], value_float=1.0),
        helper.make_node("Conv", ["x0", "k"], ["t"]),
        helper.make_node("Add", ["t", "one"], ["y"]),
    ]
    cost = count_onnx(_file(tmp_path, nodes, [1, 3, 8, 8], [1, 4, 6, 6], {}))
    assert (cost.params, cost.macs) == (108, 27 * 4 * 36)
    assert [layer.kind for layer in cost.layers] == ["Conv k x k", "Add"]
    assert cost.activation_bytes_read == FLOAT * (3 * 64 + 4 * 36)


def test_a_size_of_minus_one_is_open(tmp_path):
    node = helper.make_node("Conv", ["x0", "w"], ["y"])
    path = _file(tmp_path, [node], [-1, 3, -1, -1], [-1, 4, -1, -1], {"w": _random(4, 3, 3, 3)})
    with pytest.raises(
        ModelError, match=r"'x0' of .* leaves sizes open; give the input's shape with --input"
    ):
        count_onnx(path)
    cost = count_onnx(path, (1, 3, 8, 8))
    assert (cost.input, cost.macs, cost.params) == ((1, 3, 8, 8), 27 * 4 * 36, 108)


def _computed_shape():
    """A reshape to what is computed in floats: no inference follows it."""
    return [
        helper.make_node("Shape", ["x0"], ["s"]),
        helper.make_node("Cast", ["s"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "ones"], ["g"]),
        helper.make_node("Cast", ["g"], ["i"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["x0", "i"], ["t"]),
        helper.make_node("Conv", ["t", "w"], ["y"]),
    ]


@pytest.mark.parametrize("shape", [[1, 3, 8, 8], ["n", 3, 8, 8], ["n", 3, "h", "w"]], ids=str)
@pytest.mark.parametrize("runtime", ["onnxruntime", "reference"])
def test_a_shape_that_nothing_says_is_seen_in_a_run(tmp_path, monkeypatch, shape, runtime):
    if runtime == "reference":
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    weights = {"ones": np.ones(4, np.float32), "w": _random(4, 3, 3, 3)}
    path = _file(tmp_path, _computed_shape(), shape, ["n", 4, "h", "w"], weights)
    given = None if "h" not in shape else (1, 3, 8, 8)
    cost = count_onnx(path, given)
    assert (cost.input, cost.macs) == ((1, 3, 8, 8), 27 * 4 * 36)
    assert cost.layers[-1].output == (1, 4, 6, 6)


def test_a_file_that_does_not_run_says_which_shape_is_missing(tmp_path):
    weights = {"ones": np.full(4, 2, np.float32), "w": _random(4, 3, 3, 3)}
    path = _file(tmp_path, _computed_shape(), [1, 3, 8, 8], ["n", 4, "h", "w"], weights)
    with pytest.raises(
        ModelError, match=r"'t' of .* follows from the input, and the file does not run \(.*\); export"
    ):
        count_onnx(path)


def test_what_the_file_says_of_another_size_does_not_stand(tmp_path):
    """Outputs of the size that was exported, an input that was opened afterwards."""
    node = helper.make_node("Conv", ["x0", "w"], ["y"])
    path = _file(tmp_path, [node], [1, 3, "h", "w"], [1, 4, 6, 6], {"w": _random(4, 3, 3, 3)})
    assert count_onnx(path, (1, 3, 16, 16)).macs == 27 * 4 * 14 * 14
