"""A graph apart from its numbers: put together again it is the same network, and a forged one is refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from gossamer.compress.codebook.calibrate import network_tensors
from gossamer.compress.codebook.network_file import contract_of, folded
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.deploy.runtimes.packed.graph import join_graph, split_graph
from gossamer.deploy.runtimes.packed.tensors import pack, parse
from gossamer.errors import BundleError, ModelError
from gossamer.testing.networks import noise, tiny_networks

SHAPE = (3, 33, 33)


def _scores(model, inputs):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": inputs})[0]


@pytest.mark.parametrize("name", tiny_networks())
def test_together_again_it_says_the_same_to_the_last_bit(name, tmp_path):
    network = folded(tiny_networks()[name])
    export(network, contract_of((1, *SHAPE)), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    before = model.SerializeToString()
    split = split_graph(model, network_tensors(network))
    assert model.SerializeToString() == before, "the model given is left as it is"
    file = pack(split.tensors, graph=split.graph)
    found = parse(file)
    assert found.graph == split.graph
    assert found.graph_bytes < 1500
    again = join_graph(found.graph, list(found.tensors.values()))
    inputs = noise(1, SHAPE)
    assert np.array_equal(_scores(again, inputs), _scores(model, inputs))
    assert set(split.tensors) <= set(network.state_dict()), "every constant has the name of its tensor"


def _linear(weight):
    """scores = input @ weight."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["input", "w"], ["scores"])],
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, weight.shape[0]])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, weight.shape[1]])],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_a_transposed_constant_keeps_the_tensors_own_layout():
    weight = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    split = split_graph(_linear(np.ascontiguousarray(weight.T)), {"fc.weight": weight})
    assert np.array_equal(split.tensors["fc.weight"], weight)
    again = join_graph(split.graph, [weight])
    assert np.array_equal(numpy_helper.to_array(again.graph.initializer[0]), weight.T)


def test_what_is_no_tensor_of_the_network_is_stored_all_the_same():
    weight = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    split = split_graph(_linear(weight), {})
    assert list(split.tensors) == ["constant 0"]
    assert np.array_equal(split.tensors["constant 0"], weight)
    few = split_graph(_linear(weight[:2, :2]), {})
    assert few.tensors == {}


def test_values_with_numbers_for_names_are_refused():
    model = _linear(np.zeros((7, 5), np.float32))
    model.graph.input[0].name = model.graph.node[0].input[0] = "12"
    with pytest.raises(ModelError, match="values of a graph have names, got '12'"):
        split_graph(model, {})


def test_a_forged_graph_is_refused():
    split = split_graph(_linear(np.ones((7, 5), np.float32)), {})
    with pytest.raises(BundleError, match="the graph names tensor 0 of 0"):
        join_graph(split.graph, [])
    with pytest.raises(BundleError, match="no ONNX model"):
        join_graph(b"\xff\xff not one", [])
    model = _linear(np.ones((7, 5), np.float32))
    outside = model.graph.initializer[0]
    outside.data_location = TensorProto.EXTERNAL
    entry = outside.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    with pytest.raises(BundleError, match="constants from other files"):
        join_graph(model.SerializeToString(), [])


def test_a_file_without_a_graph_is_of_version_1_and_one_with_a_graph_of_version_2():
    tensors = {"w": np.ones((7, 5), np.float32)}
    split = split_graph(_linear(tensors["w"]), tensors)
    plain, whole = pack(tensors), pack(split.tensors, graph=split.graph)
    assert (plain[8], whole[8]) == (1, 2)
    assert parse(plain).graph == b""
    assert np.array_equal(parse(whole).tensors["w"], tensors["w"])
    for cut in range(28, 33):
        with pytest.raises(BundleError, match=r"cut off|should have"):
            parse(whole[:cut])
