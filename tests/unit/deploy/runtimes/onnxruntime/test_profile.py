"""Per-node profiles: made-up events, and one tiny network end to end, of which only the structure is held."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gossamer.deploy.runtimes.node_times import Profile, layer_of
from gossamer.deploy.runtimes.onnxruntime.profile import profile_events, profile_file
from gossamer.errors import BundleError, GossamerError, ModelError


def event(name, op, dur, inputs, output, *, params=0, read=0, written=0, kind="float"):
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "dur": dur,
        "args": {
            "op_name": op,
            "node_index": name,
            "input_type_shape": [{kind: list(shape)} for shape in inputs],
            "output_type_shape": [{kind: list(output)}],
            "parameter_size": str(params),
            "activation_size": str(read),
            "output_size": str(written),
        },
    }


def one(*arguments, **options):
    (node,) = profile_events([event(*arguments, **options)]).nodes
    return node


def test_only_kernels_count_and_a_time_is_the_median_of_the_faster_half():
    durations = [900, 10, 30, 20, 5000, 40]
    events = [event("a", "Relu", dur, [(1, 8)], (1, 8), read=32, written=32) for dur in durations]
    events += [{"cat": "Session", "name": "model_run", "dur": 7, "args": {}}]
    events += [{**events[0], "name": "a_fence_before"}]
    profile = profile_events(events, warm_up=1)
    assert [(node.name, node.ms) for node in profile.nodes] == [("a", 0.02)]
    assert profile.runs == 5
    assert profile.nodes[0].bytes_moved == 64


@pytest.mark.parametrize(
    ("input", "weight", "kind"),
    [
        ((1, 32, 8, 8), (16, 32, 1, 1), "Conv 1x1"),
        ((1, 32, 8, 8), (32, 1, 3, 3), "Conv depthwise"),
        ((1, 32, 8, 8), (32, 8, 3, 3), "Conv grouped"),
        ((1, 32, 8, 8), (64, 32, 3, 3), "Conv k x k"),
        ((1, 1, 8, 8), (64, 1, 3, 3), "Conv k x k"),
    ],
)
def test_a_convolution(input, weight, kind):
    output = (1, weight[0], 4, 4)
    stored = 4 * (np.prod(weight) + weight[0])
    node = one("c", "Conv", 5, [input, weight, (weight[0],)], output, params=stored, read=100, written=200)
    assert node.kind == kind
    assert node.macs == 16 * np.prod(weight)
    assert node.params == np.prod(weight) + weight[0]
    assert (node.bytes_read, node.bytes_written, node.param_bytes) == (100, 200, stored)


def test_a_convolution_whose_weight_another_node_makes():
    node = one("c", "Conv", 5, [(1, 2, 4, 4), (3, 2, 1, 1)], (1, 3, 4, 4), read=128 + 24, written=192)
    assert (node.bytes_read, node.param_bytes, node.params) == (128, 24, 6)


def test_a_transposed_convolution_counts_its_input():
    node = one("c", "ConvTranspose", 5, [(1, 2, 4, 4), (2, 3, 2, 2)], (1, 3, 8, 8), params=96)
    assert (node.kind, node.macs) == ("ConvTranspose", 16 * 24)


@pytest.mark.parametrize(
    ("op", "inputs", "stored", "kind"),
    [
        ("Gemm", [(1, 6), (4,)], 16, "Gemm"),
        ("FusedGemm", [(1, 6), (6, 4), (4,)], 112, "Gemm"),
    ],
    ids=["packed", "not packed"],
)
def test_a_product_with_its_weight_in_the_profile_or_packed(op, inputs, stored, kind):
    node = one("g", op, 5, inputs, (1, 4), params=stored)
    assert (node.kind, node.macs, node.params, node.param_bytes) == (kind, 24, 28, 112)


def test_a_product_of_activations_has_no_params():
    node = one("m", "MatMul", 5, [(2, 3, 5), (2, 5, 7)], (2, 3, 7), read=400)
    assert (node.macs, node.params, node.param_bytes) == (2 * 3 * 5 * 7, 0, 0)


def test_a_view_moves_nothing():
    assert one("r", "Reshape", 5, [(1, 8), (2,)], (8,), params=16, read=32, written=32).bytes_moved == 0


def test_what_has_no_formula_is_listed():
    events = [
        event("q", "QLinearConv", 5, [(1, 4, 4, 8), (), (), (), ()], (1, 4, 4, 8), kind="uint8"),
        event("e", "Einsum", 5, [(1, 4)], (1, 4)),
        event("r", "Relu", 5, [(1, 4)], (1, 4)),
    ]
    profile = profile_events(events)
    assert profile.uncounted == ("q", "e")
    assert [node.precision for node in profile.nodes] == ["int8", "fp32", "fp32"]


def test_shares_sum_to_one_and_the_slowest_comes_first():
    events = [
        event(f"n{i}", op, 10 * (i + 1), [(1, 4)], (1, 4)) for i, op in enumerate(["Relu", "Add", "Relu"])
    ]
    totals = profile_events(events).operators()
    assert [(t.kind, t.nodes) for t in totals] == [("Relu", 2), ("Add", 1)]
    assert sum(t.share for t in totals) == pytest.approx(1)
    assert totals[0].share == pytest.approx(4 / 6)


def test_shares_sum_to_one_where_nothing_takes_time():
    totals = profile_events(
        [event("a", "Relu", 0, [(1,)], (1,)), event("b", "Add", 0, [(1,)], (1,))]
    ).operators()
    assert sum(t.share for t in totals) == 1


def test_no_node_is_an_error():
    with pytest.raises(ModelError, match="no node ran"):
        profile_events([])


@pytest.mark.parametrize(
    ("node", "layer"),
    [
        ("/stem/stem.0/stem.0.1/Relu_output_0_nchwc", "stem.0.1"),
        ("/stages.0/stages.0.0/branch/branch.2/branch.2.0/Conv", "stages.0.0.branch.2.0"),
        ("/stages.0/stages.0.1/Slice_1/GatherSliceToSplitFusion", "stages.0.1"),
        ("fused /head/head.2/Gemm", "head.2"),
        ("/stem/stem.0/Conv_token_253", "stem.0"),
        ("/Add", None),
        ("/other/Conv", None),
        ("ReorderOutput_token_137", None),
    ],
)
def test_the_layer_of_a_node(node, layer):
    layers = {"stem.0.1", "stem.0", "stages.0.0.branch.2.0", "stages.0.1", "head.2"}
    assert layer_of(node, layers) == layer


def test_without_layers_names_are_taken_as_they_are():
    assert layer_of("/other/other.3/Conv") == "other.3"


def save(path, shapes=((1, 3, 8, 8),), kind=TensorProto.FLOAT):
    """A convolution of the first input; the others are added to nothing."""
    weight = np.ones((4, 3, 3, 3), np.float32)
    names = [f"input{i}" for i in range(len(shapes))]
    nodes = [
        helper.make_node(
            "Conv", [names[0], "weight"], ["/stem/stem.0/Conv_output_0"], name="/stem/stem.0/Conv"
        )
    ]
    nodes += [helper.make_node("Identity", [name], [f"same_{name}"]) for name in names[1:]]
    outputs = [helper.make_tensor_value_info("/stem/stem.0/Conv_output_0", TensorProto.FLOAT, None)]
    outputs += [helper.make_tensor_value_info(f"same_{name}", kind, None) for name in names[1:]]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(n, kind, s) for n, s in zip(names, shapes, strict=True)],
        outputs,
        [numpy_helper.from_array(weight, "weight")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def test_a_tiny_file_end_to_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    profile = profile_file(save(tmp_path / "a.onnx"), runs=4, layers={"stem.0"})
    assert isinstance(profile, Profile)
    (conv,) = [node for node in profile.nodes if node.op == "Conv"]
    assert (conv.layer, conv.kind, profile.runs) == ("stem.0", "Conv k x k", 4)
    assert conv.macs % 36 == 0
    assert conv.macs >= 36 * 108, "channels may be filled up"
    assert all(node.ms >= 0 for node in profile.nodes)
    assert profile.uncounted == ()
    document = profile.to_json()
    assert {"runtime", "operators", "nodes", "unmatched", "uncounted", "runs", "threads", "ms"} == set(
        document
    )
    assert document["runtime"] == "onnxruntime"
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"], "the runtime's own file is gone"


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((1, 3, 8, 8), (1, 3)), r"one input, .*two\.onnx has 2 \(input0, input1\); export it with one"),
        (
            ((1, 3, "height", 8),),
            r"fixed input shape, .* has input0 \[1, 3, 'height', 8\]; export it for one",
        ),
        (((None, 3, 8, 8),), r"fixed input shape, .*export it for one shape"),
    ],
)
def test_inputs_it_cannot_make_up(shapes, message, tmp_path):
    with pytest.raises(ModelError, match=message) as caught:
        profile_file(save(tmp_path / "two.onnx", shapes))
    assert "\n" not in str(caught.value)


def test_an_input_of_numbers_it_cannot_make_up(tmp_path):
    path = tmp_path / "words.onnx"
    node = helper.make_node("Identity", ["words"], ["same"])
    words = helper.make_tensor_value_info("words", TensorProto.STRING, (2,))
    same = helper.make_tensor_value_info("same", TensorProto.STRING, (2,))
    graph = helper.make_graph([node], "words", [words], [same])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    with pytest.raises(ModelError, match=r"floats or bytes, .* has words of tensor\(string\); export it"):
        profile_file(path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(BundleError, match="no such model file"):
        profile_file(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no onnx")
    with pytest.raises(BundleError, match=r"is no ONNX file that can be run .*export it again") as caught:
        profile_file(tmp_path / "bad.onnx")
    assert "\n" not in str(caught.value)
    with pytest.raises(GossamerError, match="at least one run, got runs=0"):
        profile_file(save(tmp_path / "a.onnx"), runs=0)
    with pytest.raises(GossamerError, match="threads must be at least 1, got 0"):
        profile_file(tmp_path / "a.onnx", threads=0)


def test_torch_stays_out():
    code = (
        "import sys\nimport gossamer.deploy.runtimes.onnxruntime.profile, gossamer.timing.roofline, gossamer.report.operator_bars\n"
        "sys.exit(bool({'torch', 'onnx', 'onnxruntime'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
