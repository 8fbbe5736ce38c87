"""The table of profilers: every runtime gives the same kind of answer, and says what it takes."""

from __future__ import annotations

import importlib.util

import pytest
from torch import nn

from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.errors import MissingExtraError, ModelError, UnknownRuntimeError
from gossamer.timing.profilers import profile_on, profilers, subject_of
from gossamer.types import Size

SHAPE = (1, 3, 32, 32)


@pytest.fixture(scope="module")
def network():
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 1))


@pytest.fixture(scope="module")
def file(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    contract = InputContract(Size(32, 32), ("r", "g", "b"), mean=(0.0,) * 3, std=(1.0,) * 3)
    export(network, contract, path, names=True)
    return path


def test_the_runtimes_are_these():
    assert {name: subject_of(name) for name in profilers()} == {
        "onnxruntime": "file",
        "openvino": "file",
        "torch": "network",
    }


@pytest.mark.parametrize("runtime", profilers())
def test_every_runtime_finds_the_same_convolutions(runtime, network, file):
    if not importlib.util.find_spec(runtime):
        pytest.skip(f"needs {runtime}")
    subject = file if subject_of(runtime) == "file" else network
    profile = profile_on(runtime, subject, shape=SHAPE, runs=3, layers={"0", "1", "2"})
    convolutions = [node for node in profile.nodes if node.kind.startswith("Conv")]
    assert [node.kind for node in convolutions] == ["Conv k x k", "Conv 1x1"]
    if (
        runtime != "onnxruntime"
    ):  # which names a node after the last thing merged into it, or the file's output
        assert [node.layer for node in convolutions] == ["0", "2"]
    assert (profile.runtime, profile.threads, profile.runs) == (runtime, 1, 3)
    assert profile.to_json()["runtime"] == runtime


@pytest.mark.parametrize(
    ("name", "hint"), [("openvin", "did you mean 'openvino'"), ("", "known: onnxruntime")]
)
def test_an_unknown_runtime(name, hint):
    for use in (subject_of, lambda name: profile_on(name, "a.onnx")):
        with pytest.raises(UnknownRuntimeError, match=f"no profiles are taken on '{name}'; {hint}"):
            use(name)


def test_each_takes_what_it_takes(network, file):
    with pytest.raises(
        ModelError, match="on torch is taken of a network, got a file; profile it on onnxruntime"
    ):
        profile_on("torch", file)
    with pytest.raises(
        ModelError, match="on openvino is taken of a file, got a network; profile it on torch"
    ):
        profile_on("openvino", network, shape=SHAPE)


def test_without_torch(monkeypatch, network):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"profiling on torch needs torch, .*gossamer\[train\]"):
        profile_on("torch", network, shape=SHAPE)
