"""int8 and fp16 for OpenVINO and LiteRT: smaller, of the same opinion, refused with a reason."""

from __future__ import annotations

import hashlib
import sys
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch import nn

from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.convert import convert, post_training
from gossamer.deploy.runtimes.litert import int8 as litert_post_training
from gossamer.deploy.runtimes.litert.int8 import LiteRtCalibration
from gossamer.deploy.runtimes.openvino import int8 as openvino_post_training
from gossamer.deploy.runtimes.openvino.int8 import NncfCalibration
from gossamer.errors import BundleError, MissingExtraError, ModelError, UnknownRuntimeError
from gossamer.files.tflite import read_operators
from gossamer.runs.choice import judge_files
from gossamer.testing.networks import noise, tiny_networks
from gossamer.types import Size

SIDE = 33
CONTRACT = InputContract(Size(SIDE, SIDE))
MAKERS = {"openvino": openvino_post_training, "litert": litert_post_training}
HEAVY = {
    "openvino": {"Convolution", "FullyConnected"},
    "litert": {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"},
}
ENDS = {"openvino": NncfCalibration(keep_ends=True), "litert": LiteRtCalibration(keep_ends=True)}


def pictures(count, seed):
    return list(noise(count, (3, SIDE, SIDE), seed=seed)[:, None])


class Files(NamedTuple):
    """A runtime and the files of one network."""

    name: str
    fp32: object
    int8: object
    fp16: object

    def answers(self, path):
        session = get_runtime(self.name).load(path, threads=1)
        return np.concatenate([session.run(value)[0] for value in pictures(60, 2)])

    def to_int8(self, *arguments):
        MAKERS[self.name].to_int8(*arguments)


@pytest.fixture(scope="module", params=MAKERS)
def files(request, tmp_path_factory):
    runtime = get_runtime(request.param)
    source = tmp_path_factory.mktemp(request.param) / f"fp32{runtime.suffix}"
    runtime.export(tiny_networks()["plain"], CONTRACT, source)
    made = [convert(source, precision, pictures(24, 1), on=request.param) for precision in ("int8", "fp16")]
    return Files(request.param, source, *made)


def test_files_are_named_by_precision_and_setting(files):
    first = post_training(files.name).ladder[0]
    assert files.int8.name == f"int8-{first.slug}{files.fp32.suffix}"
    assert files.fp16.name == f"fp16{files.fp32.suffix}"


def test_weights_take_a_byte_or_two(files):
    small, halves, whole = (path.stat().st_size for path in (files.int8, files.fp16, files.fp32))
    assert small < 0.8 * whole
    assert halves < 0.85 * whole, "names and structure of a tiny network stay as they are"


def test_int8_agrees_mostly_and_fp16_almost_always(files):
    exact, small, halves = (files.answers(path) for path in (files.fp32, files.int8, files.fp16))
    assert len(set(exact.argmax(1))) >= 2
    assert (exact.argmax(1) == small.argmax(1)).mean() >= 0.85
    assert 0 < np.abs(exact - small).max() < 0.5 * np.ptp(exact)
    assert (exact.argmax(1) == halves.argmax(1)).mean() >= 0.95
    assert 0 < np.abs(exact - halves).max() < 0.02 * np.ptp(exact)
    assert small.dtype == halves.dtype == np.float32


def test_settings_have_names_of_their_own(files):
    ladder = post_training(files.name).ladder
    assert len({how.slug for how in ladder}) == len({how.label for how in ladder}) == len(ladder) > 2
    assert all(set(how.slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for how in ladder)


def test_every_setting_of_the_ladder_gives_another_file_that_agrees(files, tmp_path):
    exact = files.answers(files.fp32).argmax(1)
    digests = set()
    for how in post_training(files.name).ladder:
        target = tmp_path / f"{how.slug}{files.fp32.suffix}"
        files.to_int8(files.fp32, target, pictures(24, 1), how)
        digests.add(hashlib.sha256(target.read_bytes()).digest())
        assert (files.answers(target).argmax(1) == exact).mean() >= 0.8
    assert len(digests) == len(post_training(files.name).ladder)


def test_the_ends_may_stay_float(files, tmp_path):
    target = tmp_path / f"ends{files.fp32.suffix}"
    files.to_int8(files.fp32, target, pictures(24, 1), ENDS[files.name])
    both = [post_training(files.name).float_operators(path) for path in (files.int8, target)]
    plain, kept = (sum(found.get(kind, 0) for kind in HEAVY[files.name]) for found in both)
    assert (plain, kept) == (0, 2)


def test_again_gives_the_same_file_and_leaves_its_source(files, tmp_path):
    before = files.fp32.read_bytes()
    files.to_int8(files.fp32, tmp_path / files.int8.name, pictures(24, 1))
    assert (tmp_path / files.int8.name).read_bytes() == files.int8.read_bytes()
    assert files.fp32.read_bytes() == before


def test_nothing_is_printed(files, tmp_path, capfd):
    files.to_int8(files.fp32, tmp_path / files.int8.name, pictures(4, 1))
    post_training(files.name).to_fp16(files.fp32, tmp_path / files.fp16.name)
    assert capfd.readouterr() == ("", "")


def test_the_contract_is_written_into_a_quantized_file(files, tmp_path):
    path = tmp_path / files.int8.name
    path.write_bytes(files.int8.read_bytes())
    get_runtime(files.name).write_metadata(path, {"labels": ["a"], "input": CONTRACT.to_json()})
    assert '"labels": ["a"]' in get_runtime(files.name).load(path, threads=1).metadata["gossamer"]
    assert np.array_equal(files.answers(path), files.answers(files.int8))


def test_the_verdict_is_of_the_runtime(files):
    verdict = judge_files(files.fp32, files.int8, on=files.name, seconds=0.05)
    assert verdict.runtime == files.name
    assert f"on {files.name}" in verdict.reason
    assert verdict.size_ratio == files.int8.stat().st_size / files.fp32.stat().st_size
    assert verdict.latency_ratio > 0
    assert not HEAVY[files.name] & set(verdict.float_operators)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (list, "int8 needs calibration inputs, got none; give some training pictures"),
        (
            lambda: [*pictures(2, 0)[:1], np.zeros((1, 3, 20, 20), np.float32)],
            r"takes inputs of shape \(1, 3, 33, 33\)",
        ),
        (lambda: [np.zeros((3, SIDE, SIDE), np.float32)], r"calibration has \(3, 33, 33\); keep fp32"),
    ],
)
def test_bad_calibration_is_refused(files, tmp_path, wrong, reason):
    with pytest.raises(ModelError, match=reason):
        files.to_int8(files.fp32, tmp_path / "x", wrong())
    assert list(tmp_path.iterdir()) == []


def test_a_quantized_file_is_refused(files, tmp_path):
    with pytest.raises(ModelError, match=r"is quantized already \(.*\); give the fp32 file"):
        files.to_int8(files.int8, tmp_path / "x", pictures(2, 0))


def test_the_source_is_no_target(files):
    with pytest.raises(ModelError, match="the int8 file goes beside its source"):
        files.to_int8(files.fp32, files.fp32, pictures(2, 0))


def test_a_damaged_or_missing_source_is_refused(files, tmp_path):
    source = tmp_path / files.fp32.name
    for content in (b"\xff no network", None):
        source.write_bytes(content) if content else source.unlink()
        with pytest.raises(ModelError, match=r"cannot quantize fp32\.\w+ to int8: .*; keep fp32") as caught:
            files.to_int8(source, tmp_path / "x", pictures(2, 0))
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_refused(files, tmp_path):
    source = tmp_path / files.fp32.name
    if files.name == "litert":
        weight = next(n for n in read_operators(files.fp32) if n.kind == "CONV_2D").inputs[1].values.tobytes()
        source.write_bytes(files.fp32.read_bytes().replace(weight[:4], np.float32(np.nan).tobytes(), 1))
    else:
        model = onnx.load(files.fp32)
        weight = next(t for t in model.graph.initializer if len(t.dims) == 4)
        values = numpy_helper.to_array(weight).copy()
        values.flat[0] = np.inf
        weight.CopyFrom(numpy_helper.from_array(values, weight.name))
        onnx.save(model, source)
    with pytest.raises(ModelError, match=r"weights to be quantized are finite, .* holds NaN or infinity in"):
        files.to_int8(source, tmp_path / "x", pictures(2, 0))


def test_a_quantizer_that_is_missing_is_named(monkeypatch, files, tmp_path):
    name, package = files.name, {"openvino": "nncf", "litert": "ai_edge_quantizer"}[files.name]
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingExtraError, match=rf"int8 for {name} needs {package.replace('_', '-')}, .*\[{name}\]"
    ):
        files.to_int8(files.fp32, tmp_path / "x", pictures(2, 0))


def test_a_verdict_on_damaged_files_says_which(files, tmp_path):
    path = tmp_path / files.int8.name
    path.write_bytes(b"none")
    with pytest.raises(BundleError, match=path.name):
        judge_files(files.fp32, path, on=files.name, seconds=0.01)


def test_a_runtime_without_int8_is_told_so(tmp_path):
    with pytest.raises(
        UnknownRuntimeError, match=r"fp16 and int8 are made for onnxruntime, .*, got 'abacus'; ship fp32"
    ):
        convert(tmp_path / "fp32.x", "int8", [], on="abacus")


@pytest.mark.parametrize(("kind", "gates"), [("squeeze_excite", 1), ("silu", 0)])
def test_gates_are_quantized_and_the_file_holds_no_trace_of_it(tmp_path, kind, gates):
    network = tiny_networks()["squeeze_excite" if gates else "plain"]
    for module in list(network.modules()):
        for name, child in module.named_children():
            if not gates and isinstance(child, nn.ReLU):
                setattr(module, name, nn.SiLU())
    source, target = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    get_runtime("openvino").export(network, CONTRACT, source)
    model = onnx.load(source)
    identities = sum(node.op_type == "Identity" for node in model.graph.node)
    sigmoids = sum(node.op_type in ("Sigmoid", "HardSigmoid") for node in model.graph.node)
    assert sigmoids > 0
    assert len(openvino_post_training._hide_gates(model)) == gates
    openvino_post_training.to_int8(source, target, pictures(16, 1))
    made = onnx.load(target)
    assert sum(node.op_type == "Identity" for node in made.graph.node) <= identities
    onnx.checker.check_model(made)
    assert not HEAVY["openvino"] & set(openvino_post_training.float_operators(target))


def test_hard_swish_stays_float_where_integers_are_slow(tmp_path):
    source, target = tmp_path / "fp32.tflite", tmp_path / "int8.tflite"
    get_runtime("litert").export(tiny_networks()["squeeze_excite"], CONTRACT, source)
    kinds = [node.kind for node in read_operators(source)]
    litert_post_training.to_int8(source, target, pictures(16, 1))
    assert litert_post_training.float_operators(target) == {"HARD_SWISH": kinds.count("HARD_SWISH")}
    assert kinds.count("HARD_SWISH") > 0


@pytest.mark.parametrize("files", ["litert"], indirect=True)
def test_int8_of_litert_takes_integers_by_the_scale_of_the_file(files):
    port = get_runtime("litert").load(files.int8, threads=1)._input
    assert port["dtype"] is np.int8
    assert port["quantization"][0] > 0
