"""gossamer compress --method pack and gossamer predict model.gsm, end to end."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.e2e.conftest import LABELS, write_coloured

from gossamer._files import sha256
from gossamer.deploy import bundle
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.deploy.runtimes.packed.tensors import pack, read_packed
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.network import last_layer
from gossamer.runs.compress.config import CompressConfig
from gossamer.runs.compress.run import compress_model
from gossamer.testing.networks import enliven
from gossamer.zoo.build import build
from gossamer.zoo.of_bundle import network_of

pytestmark = pytest.mark.slow
NAME, SIDE = "mobilenet_v1_0.25", 32


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_coloured(tmp_path_factory.mktemp("pack") / "data", count=12, side=SIDE)


@pytest.fixture(scope="module")
def shipped(data, tmp_path_factory):
    """A bundle that knows the colours: random features, the last layer fitted to them."""
    folder = tmp_path_factory.mktemp("pack")
    network = enliven(build(NAME, num_classes=len(LABELS)), (3, SIDE, SIDE))
    contract = InputContract.of("imagenet", SIDE)
    files = sorted(data.rglob("*.png"))
    pictures = np.concatenate([contract.prepare(Image.open(file)) for file in files])
    wanted = np.eye(len(LABELS))[[LABELS.index(file.parent.name) for file in files]]
    _, last = last_layer(network)
    seen = []
    handle = last.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].flatten(1).numpy()))
    with torch.no_grad():
        network(torch.from_numpy(pictures))
    handle.remove()
    features = np.concatenate([seen[0], np.ones((len(files), 1))], axis=1)
    fitted = np.linalg.lstsq(features.T @ features + 0.1 * np.eye(features.shape[1]), features.T @ wanted)[0]
    last.weight.data = (
        torch.tensor(8 * fitted[:-1].T, dtype=torch.float32).reshape(last.weight.shape).contiguous()
    )
    last.bias.data = torch.tensor(8 * fitted[-1], dtype=torch.float32)
    export(network, contract, folder / "model.onnx")
    save_file(network.state_dict(), folder / "weights.safetensors")
    saved = bundle.save(
        folder / "bundle", spec=network.spec, weights=folder / "weights.safetensors", task="classify", labels=LABELS,
        contract=contract, files=[("onnxruntime", "fp32", 1, folder / "model.onnx")], measured={}, provenance={}, texts={},
    )  # fmt: skip
    return saved.folder


@pytest.fixture(scope="module")
def packed(data, shipped, tmp_path_factory):
    """The bundle pruned and packed to 6 bits, both within the guard."""
    config = CompressConfig(
        model=str(shipped), data=str(data), method=("prune:params=95%", "pack:bits=6"), max_drop=0.5
    )
    return compress_model(config, out=tmp_path_factory.mktemp("pack") / "run")


def test_the_bundle_holds_the_packed_file(packed):
    assert packed.met
    folder = packed.bundle.folder
    whole, small = packed.bundle.files
    assert (small.runtime, small.precision, small.path) == ("packed", "", "deploy/packed/model.gsm")
    file = folder / small.path
    assert (sha256(file), file.stat().st_size) == (small.sha256, small.size_bytes)
    assert small.size_bytes < 0.3 * whole.size_bytes
    told = packed.measured["packed"]
    assert (told["size_bytes"], told["sha256"]) == (small.size_bytes, small.sha256)
    assert 0 < told["graph_bytes"] < 3000
    metadata = read_packed(file).metadata
    assert set(metadata) == {
        "version", "task", "labels", "input", "model", "precision", "outputs", "gossamer", "temperature",
    }  # fmt: skip
    assert metadata["labels"] == list(LABELS)
    assert metadata["model"]["name"] == NAME
    assert f"{small.size_bytes / 1e6:.3f} MB packed" in packed.headline


def test_network_bundle_and_file_say_the_same(packed, gossamer, data):
    network, folder = network_of(packed.bundle), packed.bundle.folder
    state = network.state_dict()
    for name, tensor in read_packed(folder / "deploy/packed/model.gsm").tensors.items():
        assert np.array_equal(tensor, state[name].numpy()), name
    documents = []
    for model in ((folder,), (folder, "--on", "packed"), (folder / "deploy/packed/model.gsm",)):
        code, out, err = gossamer("predict", model[0], data, "--json", *model[1:])
        assert (code, err) == (0, "")
        documents.append(json.loads(out))
    assert documents[0] == documents[1] == documents[2]
    assert len(documents[0]) == 36


def test_a_packed_bundle_is_packed_again_without_loss(packed, gossamer, tmp_path):
    code, out, _ = gossamer(
        "compress", packed.bundle.folder, "--method", "pack", "--out", tmp_path / "run", "--json"
    )
    assert code == 0
    again = bundle.load(tmp_path / "run" / "bundle")
    before, after = network_of(packed.bundle).state_dict(), network_of(again).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    sizes = [each.files[1].size_bytes for each in (packed.bundle, again)]
    assert sizes[1] <= 1.03 * sizes[0]
    assert json.loads(out)["measured"]["packed"]["size_bytes"] == sizes[1]


def test_no_drop_allowed_keeps_layers_exact(shipped, data, gossamer, tmp_path):
    out = tmp_path / "run"
    code, text, err = gossamer(
        "compress",
        shipped,
        "--data",
        data,
        "--method",
        "pack:bits=1",
        "--max-drop",
        "0",
        "--out",
        out,
        "--json",
    )
    (step,) = json.loads(text)["steps"]
    assert (code, step["met"]) == (1, False)
    assert "the best network is saved" in err
    assert step["metric"][0] >= step["metric"][1]
    before, after = (fuse(network_of(bundle.load(each))).state_dict() for each in (shipped, out / "bundle"))
    refused = {each["part"] for each in step["refused"]}
    assert refused
    for part in refused:
        assert torch.equal(before[f"{part}.weight"], after[f"{part}.weight"]), part


def test_a_size_out_of_reach_ends_with_1_and_the_best(shipped, gossamer, tmp_path):
    code, text, _ = gossamer(
        "compress", shipped, "--method", "pack:size=1kB", "--out", tmp_path / "run", "--json"
    )
    document = json.loads(text)
    assert (code, document["met"]) == (1, False)
    assert "cannot be reached" in " ".join(document["steps"][0]["notes"])
    told = document["measured"]["packed"]
    assert (told["target_bytes"], told["met"]) == (1000, False)
    file = tmp_path / "run" / "bundle" / "deploy" / "packed" / "model.gsm"
    assert file.stat().st_size == told["size_bytes"] > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "pack", "--method", "prune:macs=50%"), "prune cannot follow pack"),
        (("--method", "factorise:macs=70%", "--method", "prune:macs=50%"), "prune cannot follow factorise"),
        (("--method", "pack:bits=6", "--method", "pack"), "pack cannot follow pack"),
        (("--method", "pack:bits=99"), "bits is from 1 to 16, got 99"),
        (("--method", "pack:size=0.4"), "size is in bytes"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(gossamer, tmp_path, arguments, message):
    code, _, err = gossamer("compress", NAME, "--input", "3x32x32", *arguments, "--out", tmp_path / "run")
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_a_packed_file_is_no_start_of_a_chain(packed, gossamer, tmp_path):
    file = packed.bundle.folder / "deploy/packed/model.gsm"
    code, _, err = gossamer("compress", file, "--method", "pack", "--out", tmp_path / "run")
    assert code == 2
    assert "a packed file is the end of a chain" in err


def test_broken_files_are_one_line(packed, gossamer, data, tmp_path):
    whole = (packed.bundle.folder / "deploy/packed/model.gsm").read_bytes()
    broken = {
        "cut.gsm": whole[:-100],
        "flipped.gsm": whole[:200] + bytes([whole[200] ^ 8]) + whole[201:],
        "foreign.gsm": b"\xff\xd8\xff" * 100,
        "bare.gsm": pack({"w": np.ones(9, np.float32)}, metadata={"labels": ["a"], "input": {}}),
        "empty.gsm": b"",
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        code, out, err = gossamer("predict", tmp_path / name, data)
        assert (code, out, err.count("\n")) == (2, "", 1), name
        assert name in err
