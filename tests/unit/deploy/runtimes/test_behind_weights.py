"""What puts answers together behind the last weights stays float."""

from __future__ import annotations

from onnx import TensorProto, helper

from gossamer.deploy.runtimes.onnxruntime.post_training import behind_weights, name_nodes


def _graph():
    """A picture through two convolutions, the second of one weight a channel, then boxes and scores side by side."""
    weights = [
        helper.make_tensor("first", TensorProto.FLOAT, [2, 3, 1, 1], [0.1] * 6),
        helper.make_tensor("second", TensorProto.FLOAT, [2, 2, 1, 1], [0.1] * 4),
        helper.make_tensor("stride", TensorProto.FLOAT, [1], [8.0]),
    ]
    nodes = [
        helper.make_node("Conv", ["input", "first"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["scores"]),
        helper.make_node("Mul", ["c", "stride"], ["boxes"]),
        helper.make_node("Concat", ["boxes", "scores"], ["output"], axis=1),
    ]
    shape = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("input", "output")
    }
    model = helper.make_model(helper.make_graph(nodes, "boxes", [shape["input"]], [shape["output"]], weights))
    name_nodes(model)
    return model.graph


def test_nodes_behind_the_last_weights_are_named_and_no_others():
    assert sorted(behind_weights(_graph())) == ["Concat-5", "Mul-4", "Sigmoid-3"]


def test_a_classifier_has_none():
    graph = _graph()
    del graph.node[3:]
    assert behind_weights(graph) == []
