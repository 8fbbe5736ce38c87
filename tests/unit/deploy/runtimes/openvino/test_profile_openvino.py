"""OpenVINO's profile of tiny files: nodes, layers, macs as counted; of times only that they are there."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from gossamer.cost.onnx_count import count_onnx
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.deploy.runtimes.openvino import profile as module
from gossamer.deploy.runtimes.openvino.profile import profile_file
from gossamer.errors import BundleError, GossamerError, MissingExtraError, ModelError
from gossamer.types import Size

pytestmark = pytest.mark.skipif(not find_spec("openvino"), reason="needs openvino")


def exported(path, network, side=32):
    contract = InputContract(Size(side, side), ("r", "g", "b"), mean=(0.0,) * 3, std=(1.0,) * 3)
    export(network, contract, path, names=True)
    return path


def tiny():
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
    body = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.Conv2d(16, 32, 1, bias=False))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 1000))
    return nn.Sequential(stem, body, head)


def test_a_tiny_network_end_to_end(tmp_path):
    network = tiny()
    path = exported(tmp_path / "a.onnx", network)
    profile = profile_file(path, runs=12, layers={name for name, _ in network.named_modules() if name})
    assert [(node.kind, node.layer, node.macs) for node in profile.nodes if node.macs] == [
        ("Conv k x k", "0.0", 32 * 32 * 27 * 16),
        ("Conv depthwise", "1.0", 32 * 32 * 9 * 16),
        ("Conv 1x1", "1.1", 32 * 32 * 16 * 32),
        ("Gemm", "2.2", 32_000),
    ]
    assert [node.params for node in profile.nodes if node.kind in ("Conv 1x1", "Gemm")] == [512, 33_000]
    counted = count_onnx(path)
    assert sum(node.macs for node in profile.nodes) == counted.macs
    (pool,) = [node for node in profile.nodes if node.op == "ReduceMean"]
    assert (pool.layer, pool.bytes_read, pool.bytes_written) == ("2.0", 4 * 32 * 32 * 32, 4 * 32)
    assert {node.kind for node in profile.nodes if node.layer is None} <= {"Reorder"}
    assert (profile.runs, profile.threads, profile.runtime, profile.uncounted) == (12, 1, "openvino", ())
    assert sum(total.share for total in profile.operators()) == pytest.approx(1)
    assert {node.precision for node in profile.nodes} == {"fp32"}
    assert all(node.ms >= 0 for node in profile.nodes)
    assert profile.ms > 0


def test_bytes_are_those_of_the_shapes(tmp_path):
    profile = profile_file(exported(tmp_path / "a.onnx", tiny()), runs=2)
    (conv,) = [node for node in profile.nodes if node.kind == "Conv 1x1"]
    assert (conv.bytes_read, conv.bytes_written, conv.param_bytes) == (4 * 16 * 1024, 4 * 32 * 1024, 2048)


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.Conv2d(3, 24, 3), "Conv k x k"),
        (nn.Conv2d(3, 24, 1), "Conv 1x1"),
        (nn.Conv2d(3, 24, 3, groups=3), "Conv grouped"),
        (nn.ConvTranspose2d(3, 8, 4, stride=2), "ConvTranspose"),
    ],
    ids=str,
)
def test_convolutions_cost_what_is_counted(tmp_path, layer, kind):
    path = exported(tmp_path / "a.onnx", nn.Sequential(layer))
    (node,) = [each for each in profile_file(path, runs=1).nodes if each.macs]
    assert (node.kind, node.macs, node.layer) == (kind, count_onnx(path).macs, "0")


def test_each_round_compiles_anew_and_shares_the_runs(tmp_path):
    path = exported(tmp_path / "a.onnx", tiny())
    assert [profile_file(path, runs=runs).runs for runs in (1, 5, 6, 13)] == [1, 5, 6, 12]


def test_two_convolutions_merged_into_one_are_not_counted():
    weight = module._Tensor((8, 3, 1, 1), 96, True)
    planes = [module._Tensor((1, channels, 4, 4), 64 * channels) for channels in (3, 8)]
    origins = ("/a/Conv/WithoutBiases", "/b/Conv/WithoutBiases")
    operator = module._Operator("Convolution", origins, "fp32", (planes[0], weight), (planes[1],))
    run = module._Run(origins[0], "Convolution", True, 1.0)
    assert module._node(run, operator, 1.0, {}, {"a", "b"})[1] is False
    node, known = module._node(run, operator._replace(origins=origins[:1]), 1.0, {}, {"a", "b"})
    assert (known, node.layer, node.macs) == (True, "a", 16 * 24)


def test_a_mean_of_all_runs_is_taken_apart():
    class Info:
        class Status:
            EXECUTED = "executed"

        node_name, node_type, status = "a", "Relu", "executed"

        def __init__(self, microseconds):
            import datetime

            self.real_time = datetime.timedelta(microseconds=microseconds)

    class Request:
        ran = 0

        def infer(self, feed):
            self.ran += 1

        def get_profiling_info(self):  # 90 and 10 us to warm up, then 20 us each
            return [Info((100 + 20 * (self.ran - 2)) // self.ran)]

    assert module._round(Request(), {}, 3) == [module._Run("a", "Relu", True, 0.02)]


def saved(path, shapes):
    """The inputs, each given out again."""
    names = [f"input{i}" for i in range(len(shapes))]
    values = [
        [
            helper.make_tensor_value_info(before + n, TensorProto.FLOAT, s)
            for n, s in zip(names, shapes, strict=True)
        ]
        for before in ("", "out_")
    ]
    nodes = [helper.make_node("Relu", [name], [f"out_{name}"]) for name in names]
    graph = helper.make_graph(nodes, "tiny", *values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((1, 3, 8, 8), (1, 3)), r"one input, .*two\.onnx has 2 \(input0, input1\); export it with one"),
        (((1, 3, "height", 8),), r"fixed input shape, .* has input0 \[1, 3, '\?', 8\]; export it for one"),
        (((None, 3, 8, 8),), r"fixed input shape, .*export it for one shape"),
        ((None,), r"fixed input shape, .* has input0 \['\.\.\.'\]; export it for one"),
    ],
    ids=["two", "named", "open", "rank"],
)
def test_inputs_it_cannot_make_up(shapes, message, tmp_path):
    with pytest.raises(ModelError, match=message) as caught:
        profile_file(saved(tmp_path / "two.onnx", shapes))
    assert "\n" not in str(caught.value)


def test_a_file_that_computes_nothing(tmp_path):
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3)) for name in ("a", "b")]
    weight = numpy_helper.from_array(np.ones((1, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["b"])], "g", value[:1], value[1:], [weight]
    )
    path = tmp_path / "constant.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    with pytest.raises(ModelError, match="no node ran: the network computes nothing from its input"):
        profile_file(path, runs=1)


def test_files_that_are_none(tmp_path):
    with pytest.raises(BundleError, match="no such model file"):
        profile_file(tmp_path / "none.onnx")
    for content in (b"no onnx", b""):
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(BundleError, match=r"is no ONNX file that can be run .*export it again") as caught:
            profile_file(tmp_path / "bad.onnx")
        assert "\n" not in str(caught.value)
    with pytest.raises(GossamerError, match="at least one run, got runs=0"):
        profile_file(tmp_path / "bad.onnx", runs=0)
    with pytest.raises(GossamerError, match="threads must be at least 1, got 0"):
        profile_file(tmp_path / "bad.onnx", threads=0)


def test_without_openvino(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.onnx", ((1, 3),))
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"runtime openvino needs openvino, .*gossamer\[openvino\]"):
        profile_file(path)


def test_importing_openvino_sends_no_message_and_leaves_torch_out(tmp_path):
    """Openvino's own import tells its makers and writes into the home folder."""
    path = saved(tmp_path / "a.onnx", ((1, 3, 64, 64),))
    code = (
        "import sys\nfrom pathlib import Path\nfrom gossamer.deploy.runtimes.openvino.profile import profile_file\n"
        f"assert 'openvino' not in sys.modules\nprofile_file(Path({str(path)!r}), runs=1)\n"
        "print(sorted({'torch', 'openvino', 'openvino_telemetry'} & set(sys.modules)))"
    )
    environment = {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.stdout, done.stderr) == ("['openvino']\n", "")
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]
