"""Edits of ONNX files change no output; the metadata comes back or the damage is named."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from deploy_samples import CONTRACT, inputs, run, scores, tiny_network, traced
from onnx import TensorProto, helper, numpy_helper

from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.files.metadata import METADATA_KEY, read_metadata
from gossamer.files.onnx import compact, fold_constants, fold_pads, write_metadata, write_out_pads
from gossamer.types import Size
from gossamer.zoo.build import build


def _ops(model):
    return [node.op_type for node in model.graph.node]


def _pad_then_conv(pads, *, value=0.0, mode="constant", own=None, uses=1):
    """Pad -> Conv 3x3 on (1, 1, 6, 6); with `uses` 2 the padded map goes to the outputs too."""
    kernel = np.random.default_rng(0).normal(size=(1, 1, 3, 3)).astype(np.float32)
    constants = [
        numpy_helper.from_array(np.array(pads, np.int64), "pads"),
        numpy_helper.from_array(kernel, "kernel"),
    ]
    given = ["x", "pads"]
    if mode == "constant":
        constants.append(numpy_helper.from_array(np.float32(value), "value"))
        given.append("value")
    attributes = {} if own is None else {"pads": own}
    nodes = [
        helper.make_node("Pad", given, ["padded"], mode=mode),
        helper.make_node("Conv", ["padded", "kernel"], ["y"], **attributes),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    if uses == 2:
        nodes.append(helper.make_node("Relu", ["padded"], ["z"]))
        outputs.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    inputs_ = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 6, 6])]
    graph = helper.make_graph(nodes, "g", inputs_, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("amounts", [(0, 1, 0, 1), (1, 0, 0, 0), (2, 1, 1, 2)])
def test_zeros_before_a_maximum_stay_zeros(tmp_path, amounts):
    """Where all is negative, zeros are the maximum; a pool's own padding never is."""
    network = torch.nn.Sequential(torch.nn.ZeroPad2d(amounts), torch.nn.MaxPool2d(3, 2, padding=1)).eval()
    contract = InputContract(Size(7, 10))
    export(network, contract, tmp_path / "m.onnx")
    batch = -1 - np.random.default_rng(0).random((1, 3, 7, 10)).astype(np.float32)
    (ours,) = get_runtime("onnxruntime").load(tmp_path / "m.onnx", threads=1).run(batch)
    theirs = network(torch.from_numpy(batch)).numpy()
    assert (theirs == 0).any()
    assert np.array_equal(ours, theirs)


def test_padding_that_is_no_zeros_or_before_something_else_is_not_written_out():
    lowest = torch.nn.Sequential(torch.nn.ConstantPad2d(1, float("-inf")), torch.nn.MaxPool2d(3))
    mean = torch.nn.Sequential(torch.nn.ZeroPad2d(1), torch.nn.AvgPool2d(3))
    for network in (lowest, mean):
        model = traced(network.eval())
        assert write_out_pads(model) == 0
        assert "Pad" in _ops(model)


def test_padding_of_a_traced_network_is_folded_and_outputs_keep():
    model = traced(tiny_network(same=True))
    folded = copy.deepcopy(model)
    assert _ops(model).count("Pad") == 2
    assert fold_pads(folded) == 2
    assert "Pad" not in _ops(folded)
    onnx.checker.check_model(folded, full_check=True)
    assert len(folded.SerializeToString()) < len(model.SerializeToString())
    for value in inputs(4):
        difference = np.abs(run(model, value, optimise=False) - run(folded, value, optimise=False)).max()
        assert difference <= 1e-6


def test_shapes_computed_from_constants_are_stored(tmp_path):
    network = build("resnet20_cifar", num_classes=5).eval()
    get_runtime("onnxruntime").export(network, InputContract(Size(32, 32)), tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    shapes = {"Cast", "Concat", "ConstantOfShape", "Reshape", "Transpose"}
    assert shapes & {node.op_type for node in model.graph.node} == set()
    assert fold_constants(model) == 0
    inferred = onnx.shape_inference.infer_shapes(model).graph
    known = {v.name for v in [*inferred.value_info, *inferred.output]}
    assert {name for node in model.graph.node for name in node.output} <= known


def test_folding_twice_does_nothing_more():
    model = traced(tiny_network(same=True))
    fold_pads(model)
    before = model.SerializeToString()
    assert fold_pads(model) == 0
    assert model.SerializeToString() == before


def test_padding_adds_to_the_convolutions_own():
    model = _pad_then_conv([0, 0, 0, 1, 0, 0, 2, 3], own=[1, 1, 1, 1])
    folded = copy.deepcopy(model)
    assert fold_pads(folded) == 1
    assert _ops(folded) == ["Conv"]
    assert [list(a.ints) for a in folded.graph.node[0].attribute if a.name == "pads"] == [[1, 2, 3, 4]]
    assert [t.name for t in folded.graph.initializer] == ["kernel"]
    value = np.random.default_rng(1).normal(size=(1, 1, 6, 6)).astype(np.float32)
    assert np.allclose(run(model, value), run(folded, value), atol=1e-6)


@pytest.mark.parametrize(
    "other",
    [
        {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "value": 1.0},
        {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "mode": "reflect"},
        {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "uses": 2},
        {"pads": [0, 0, -1, 0, 0, 0, 0, 0]},
        {"pads": [1, 0, 0, 0, 0, 0, 0, 0]},
    ],
    ids=["value", "reflect", "used twice", "cropping", "batch"],
)
def test_other_padding_stays(other):
    model = _pad_then_conv(other.pop("pads"), **other)
    value = np.random.default_rng(1).normal(size=(1, 1, 6, 6)).astype(np.float32)
    before = run(model, value)
    assert fold_pads(model) == 0
    assert _ops(model)[:2] == ["Pad", "Conv"]
    assert np.array_equal(run(model, value), before)


def test_compact_keeps_outputs_to_the_bit_and_saves_bytes():
    model = traced(tiny_network())
    smaller = copy.deepcopy(model)
    compact(smaller)
    onnx.checker.check_model(smaller, full_check=True)
    assert len(smaller.SerializeToString()) < len(model.SerializeToString()) - 500
    for value in inputs(3):
        assert np.array_equal(run(model, value, optimise=False), run(smaller, value, optimise=False))


def test_compact_keeps_the_names_that_callers_use():
    model = traced(tiny_network())
    compact(model)
    assert [i.name for i in model.graph.input] == ["input"]
    assert [o.name for o in model.graph.output] == ["scores"]
    inner = {n for node in model.graph.node for n in [*node.input, *node.output]} - {"input", "scores", ""}
    assert all(name.startswith("_") and len(name) <= 3 for name in inner)
    assert {t.name for t in model.graph.initializer} <= inner
    assert {node.name for node in model.graph.node} == {""}


def test_compact_is_done_after_once():
    model = traced(tiny_network())
    compact(model)
    before = len(model.SerializeToString())
    compact(model)
    assert len(model.SerializeToString()) == before


def _dequantized(zero_points):
    constants = [
        numpy_helper.from_array(np.array([[10, -20], [30, 40]], np.int8), "w"),
        numpy_helper.from_array(np.array([0.5, 0.25], np.float32), "s"),
        numpy_helper.from_array(np.array(zero_points, np.int8), "z"),
    ]
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["d"], axis=0),
        helper.make_node("MatMul", ["x", "d"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize(("zero_points", "kept"), [([0, 0], 2), ([0, 3], 3)])
def test_only_zero_points_of_zero_are_dropped(zero_points, kept):
    model = _dequantized(zero_points)
    value = np.array([[1.0, 2.0]], np.float32)
    before = run(model, value)
    compact(model)
    assert len(model.graph.node[0].input) == kept
    assert len(model.graph.initializer) == kept
    assert np.array_equal(run(model, value), before)


def test_equal_constants_are_stored_once():
    model = _pad_then_conv([0, 0, 1, 1, 0, 0, 1, 1])
    twin = copy.deepcopy(model.graph.initializer[1])
    twin.name = "twin"
    model.graph.initializer.append(twin)
    model.graph.node.append(helper.make_node("Conv", ["x", "twin"], ["z"]))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    compact(model)
    assert sorted(len(t.dims) for t in model.graph.initializer) == [0, 1, 4]
    assert model.graph.node[1].input[1] == model.graph.node[2].input[1]


def test_the_exported_file_has_no_padding_left_and_agrees_with_torch(tmp_path):
    network = tiny_network(same=True)
    export(network, CONTRACT, tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    assert {"Pad", "BatchNormalization"}.isdisjoint(_ops(model))
    for value in inputs(4):
        assert np.abs(run(model, value) - scores(network, value)).max() <= 1e-4


DOCUMENT = {"labels": ["forêt", 'it\'s "quoted"'], "input": CONTRACT.to_json(), "n": 1.5}


def _properties(model):
    return {p.key: p.value for p in model.metadata_props}


def test_metadata_round_trips_and_is_replaced_not_doubled():
    model = _pad_then_conv([0] * 8)
    model.metadata_props.add(key="author", value="someone")
    write_metadata(model, {**DOCUMENT, "n": 0})
    write_metadata(model, DOCUMENT)
    assert [p.key for p in model.metadata_props] == ["author", METADATA_KEY]
    found = read_metadata(_properties(model), Path("m.onnx"))
    assert found["labels"] == DOCUMENT["labels"]
    assert found["n"] == 1.5
    assert found["input"]["size"] == list(CONTRACT.size)


def test_metadata_survives_the_runtime(tmp_path):
    from gossamer.deploy.runtimes.onnxruntime.run import load

    model = traced(tiny_network())
    write_metadata(model, DOCUMENT)
    onnx.save(model, tmp_path / "m.onnx")
    found = read_metadata(load(tmp_path / "m.onnx", threads=1).metadata, tmp_path / "m.onnx")
    assert found["labels"] == DOCUMENT["labels"]


def test_numbers_that_json_does_not_know_are_refused():
    with pytest.raises(ValueError, match="JSON compliant"):
        write_metadata(_pad_then_conv([0] * 8), {"labels": [], "input": {}, "n": float("nan")})
