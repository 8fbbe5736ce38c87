"""The runtime module: export agrees with torch, damaged files are named, the table is right."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from deploy_samples import CONTRACT, inputs, scores, tiny_network
from torch import nn

from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.onnxruntime import run as runtime
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.errors import BundleError, MissingExtraError, ModelError, RunFolderError


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "m.onnx"
    network = tiny_network()
    export(network, CONTRACT, path)
    return network, path


@pytest.mark.parametrize("threads", [1, 2])
def test_scores_are_torchs(exported, threads):
    network, path = exported
    session = runtime.load(path, threads=threads)
    seen = set()
    for value in inputs(12):
        ours = session.run(value)[0]
        assert ours.shape == (1, 5)
        assert ours.dtype == np.float32
        assert np.abs(ours - scores(network, value)).max() <= 1e-4
        seen.add(int(ours.argmax()))
    assert len(seen) >= 2


def test_the_file_takes_one_picture_and_names_its_ends(exported):
    graph = onnx.load(exported[1]).graph
    assert [i.name for i in graph.input] == ["input"]
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == list(CONTRACT.shape)
    assert [o.name for o in graph.output] == ["scores"]


def test_export_is_deterministic(exported, tmp_path):
    network, path = exported
    export(network, CONTRACT, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()


def test_a_network_in_training_mode_is_exported_for_use(exported, tmp_path):
    export(tiny_network().train(), CONTRACT, tmp_path / "m.onnx")
    value = inputs(1)[0]
    assert (
        np.abs(runtime.load(tmp_path / "m.onnx", threads=1).run(value)[0] - scores(exported[0], value)).max()
        <= 1e-4
    )


def test_a_network_that_does_not_run_is_a_model_error(tmp_path):
    network = nn.Sequential(nn.Conv2d(4, 2, 1))
    with pytest.raises(
        ModelError, match=r"cannot export Sequential to ONNX: .*channels.*; check that it runs on one picture"
    ):
        export(network, CONTRACT, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_export_into_a_file_is_a_folder_error(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(RunFolderError, match="a file stands where a folder is needed"):
        export(nn.Sequential(nn.Conv2d(3, 2, 1)), CONTRACT, tmp_path / "x" / "m.onnx")


def test_a_missing_file(tmp_path):
    with pytest.raises(BundleError, match=r"no such model file: .*none\.onnx; check the path"):
        runtime.load(tmp_path / "none.onnx", threads=1)
    with pytest.raises(BundleError, match="no such model file"):
        runtime.load(tmp_path, threads=1)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped"])
def test_a_damaged_file(exported, tmp_path, damage):
    whole = exported[1].read_bytes()
    path = tmp_path / "m.onnx"
    data = {
        "empty": b"",
        "text": b"this is no network",
        "cut": whole[: len(whole) // 2],
        "flipped": b"\xff" * 64 + whole[64:],
    }
    path.write_bytes(data[damage])
    with pytest.raises(
        BundleError, match=r"m\.onnx is no ONNX file that can be run \(.*\); export it again"
    ) as caught:
        runtime.load(path, threads=1)
    assert "\n" not in str(caught.value)


def test_a_file_without_metadata_has_none_of_ours(exported):
    assert "gossamer" not in runtime.load(exported[1], threads=1).metadata


def test_a_runtime_that_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setattr(runtime, "missing", lambda making: ("onnxruntime", "train"))
    with pytest.raises(
        MissingExtraError, match=r"runtime onnxruntime needs onnxruntime, .*pip install 'gossamer\[train\]'"
    ):
        get_runtime("onnxruntime")


def test_no_graph_is_left_on_the_network(exported):
    network, _ = exported
    assert all(p.grad is None for p in network.parameters())
    assert torch.is_grad_enabled()
