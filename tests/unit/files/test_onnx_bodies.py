"""Graphs inside graphs: edits reach into bodies of If, Loop and Scan, and branches that are settled are put in place."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from gossamer.compress.codebook.network_file import network_file
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.packed.settings import PackPlan
from gossamer.files.onnx import compact, fold_constants, fold_pads
from gossamer.files.onnx_bodies import all_nodes, inline_branches, rename
from gossamer.testing.networks import noise, scores
from gossamer.types import Size


def _value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def _if(condition, size=4):
    """y = 2 x + w + w where the condition holds, else 2 x; both w are equal and lie around the branches."""
    weights = numpy_helper.from_array(np.arange(size, dtype=np.float32), "weights")
    double = numpy_helper.from_array(np.arange(size, dtype=np.float32), "the same weights")
    then = helper.make_graph(
        [
            helper.make_node("Add", ["doubled", "weights"], ["a longer name"]),
            helper.make_node("Add", ["a longer name", "the same weights"], ["then out"]),
        ],
        "then",
        [],
        [_value("then out", [1, size])],
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["doubled"], ["else out"])], "else", [], [_value("else out", [1, size])]
    )
    branching = helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)
    nodes = [helper.make_node("Add", ["x", "x"], ["doubled"]), *condition, branching]
    graph = helper.make_graph(
        nodes, "g", [_value("x", [1, size])], [_value("y", [1, size])], [weights, double]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _by_values():
    """A condition that only the picture's values tell."""
    return [
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Cast", ["s"], ["c"], to=TensorProto.BOOL),
    ]


def _by_shape(size):
    return [
        helper.make_node("Constant", [], ["one"], value=numpy_helper.from_array(np.array(1, np.int64))),
        helper.make_node("Constant", [], ["n"], value=numpy_helper.from_array(np.array(size, np.int64))),
        helper.make_node("Shape", ["doubled"], ["sides"]),
        helper.make_node("Gather", ["sides", "one"], ["width"]),
        helper.make_node("Equal", ["width", "n"], ["c"]),
    ]


def _run(model, value):
    onnx.checker.check_model(model)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: value})[0]


@pytest.mark.parametrize(
    "value", [np.ones((1, 4), np.float32), np.zeros((1, 4), np.float32)], ids=["then", "else"]
)
def test_edits_reach_into_branches(value):
    model = _if(_by_values())
    expected = _run(model, value)
    assert inline_branches(model) == 0
    fold_pads(model)
    fold_constants(model)
    compact(model)
    assert np.array_equal(_run(model, value), expected)
    assert len(model.graph.initializer) == 1, "equal weights are one, though a branch reads the second"
    assert all(name in ("x", "y", "") or len(name) == 2 for n in all_nodes(model.graph) for name in n.input)


@pytest.mark.parametrize("width", [4, 5])
def test_a_branch_that_the_shape_settles_is_put_in_place(width):
    model = _if(_by_shape(width))
    value = np.ones((1, 4), np.float32)
    expected = _run(model, value)
    assert inline_branches(model) == 1
    assert "If" not in {node.op_type for node in model.graph.node}
    assert np.array_equal(_run(model, value), expected)
    fold_constants(model)
    compact(model)
    assert np.array_equal(_run(model, value), expected)
    assert "Shape" not in {node.op_type for node in model.graph.node}


def test_the_body_of_a_loop_keeps_what_it_reads():
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go on"], ["still"]),
            helper.make_node("Add", ["so far", "weights"], ["next"]),
        ],
        "body",
        [
            _value("step", [], TensorProto.INT64),
            _value("go on", [], TensorProto.BOOL),
            _value("so far", [1, 4]),
        ],
        [_value("still", [], TensorProto.BOOL), _value("next", [1, 4])],
    )
    loop = helper.make_node("Loop", ["times", "", "x"], ["y"], body=body)
    stored = [
        numpy_helper.from_array(np.array(3, np.int64), "times"),
        numpy_helper.from_array(np.arange(4, dtype=np.float32), "weights"),
    ]
    graph = helper.make_graph([loop], "g", [_value("x", [1, 4])], [_value("y", [1, 4])], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    compact(model)
    assert _run(model, np.ones((1, 4), np.float32)).tolist() == [[1, 4, 7, 10]]


def test_names_change_everywhere_at_once():
    model = _if(_by_values())
    rename(model.graph, lambda name: f"{name}!" if name else name)
    assert {name[-1] for node in all_nodes(model.graph) for name in (*node.input, *node.output)} == {"!"}
    assert _run(model, np.ones((1, 4), np.float32)).tolist() == [[2, 4, 6, 8]]


@pytest.fixture(scope="module")
def normed():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.LocalResponseNorm(5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    ).eval()


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "reference"])
def test_local_response_norm_is_exported(normed, tmp_path, runtime):
    pytest.importorskip({"reference": "onnx"}.get(runtime, runtime))
    path = tmp_path / "m.onnx"
    get_runtime("onnxruntime").export(normed, InputContract(Size(16, 16)), path)
    value = noise(1, (3, 16, 16))
    said = get_runtime(runtime).load(path, threads=1).run(value)[0]
    assert np.abs(said - scores(normed, value).numpy()).max() < 1e-4


def test_local_response_norm_is_packed(normed, tmp_path):
    path = tmp_path / "m.gsm"
    path.write_bytes(network_file(normed, InputContract(Size(16, 16)), PackPlan(), {}))
    value = noise(1, (3, 16, 16))
    said = get_runtime("packed").load(path, threads=1).run(value)[0]
    assert np.abs(said - scores(normed, value).numpy()).max() < 1e-4
