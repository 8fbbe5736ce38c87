"""Files that a stranger spoilt, by a fixed seed: what comes out is an answer or an error for a person, never a traceback.

The fast core takes a few mutants of each kind; the slow rest some hundreds.
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
import shutil
import struct
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

import gossamer as gs
from gossamer.compress.methods import read_plan
from gossamer.cost.file_count import count_file
from gossamer.deploy.file_metadata import file_metadata
from gossamer.deploy.predict import Predictor
from gossamer.deploy.runtimes import get_runtime
from gossamer.errors import GossamerError
from gossamer.fit.config import FitConfig
from gossamer.zoo.checkpoints import read_checkpoint

EARLIER = Path(__file__).resolve().parents[1] / "samples" / "earlier_bundles"
FEW, MANY = range(12), range(12, 300)
LONGEST_SECONDS = 30.0
VALUES = (
    None, True, -1, 0, 1, 7, 10**17, 2**63, 1e308, -0.5, "", "x", "..", "/etc/hostname", "a\0b", "x" * 5000, [], {}, [[]],
    [1, "a"], {"a": 1}, [0, 10**12], {"edit": "fuse"}, [{"edit": "fuse"}] * 80, ["onnxruntime"], "litert", "timm:resnet18",
)  # fmt: skip
TEXTS = ("1e999", "NaN", "9" * 5000, "[" * 5000, '{"a":' * 300 + "1" + "}" * 300, "", "nul")


def _places(value, path=()):
    """Every place in a document."""
    yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from _places(child, (*path, key))


def spoil_document(document, rng):
    """A JSON text with one to three places replaced, taken away, or of no JSON at all."""
    document = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        path = rng.choice(list(_places(document))[1:] or [()])
        if not path:
            break
        owner = document
        for key in path[:-1]:
            owner = owner[key]
        if rng.random() < 0.2:
            del owner[path[-1]]
        else:
            owner[path[-1]] = copy.deepcopy(rng.choice(VALUES))
    text = json.dumps(document)
    if rng.random() < 0.2:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(TEXTS) + text[at + rng.randint(0, 20) :]
    return text


def spoil_bytes(data, rng):
    """Bytes with some flipped, overwritten, cut off, doubled or put in."""
    spoilt = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        at, length = rng.randrange(len(spoilt)), rng.choice((1, 1, 4, 16))
        way = rng.randrange(5)
        if way == 0:
            spoilt[at] ^= 1 << rng.randrange(8)
        elif way == 1:
            spoilt[at : at + length] = bytes(rng.choice((0, 0x7F, 0x80, 0xFF)) for _ in range(length))
        elif way == 2:
            spoilt[at : at + length] = rng.randbytes(length)
        elif way == 3 and len(spoilt) > 64:
            del spoilt[at : at + length]
        else:
            spoilt[at:at] = spoilt[at : at + length]
    return bytes(spoilt[: rng.randrange(len(spoilt))] if rng.random() < 0.1 else spoilt)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    from PIL import Image

    path = tmp_path_factory.mktemp("picture") / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    return path


def _survives(what, *arguments):
    """Run it: an error of ours is right, an answer too; anything else is not, and neither is a long wait."""
    start, message = time.perf_counter(), ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            what(*arguments)
        except GossamerError as error:
            message = str(error)
    assert "\n" not in message
    assert len(message) < 4000
    assert time.perf_counter() - start < LONGEST_SECONDS


def _use_bundle(folder, picture):
    bundle = gs.load(folder)
    network = gs.network_of(bundle)
    gs.predict(folder, [picture])
    with torch.no_grad():
        network(torch.zeros(bundle.contract.shape))


def _use_file(path, picture):
    with contextlib.suppress(GossamerError):
        count_file(path)
    predictor = Predictor(path)
    assert predictor.predict(picture).file == picture


def _bundle(seed, tmp_path, picture):
    rng = random.Random(seed)
    folder = tmp_path / "bundle"
    shutil.copytree(EARLIER / rng.choice(("train", "pack", "export")), folder)
    document = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(spoil_document(document, rng))
    _survives(_use_bundle, folder, picture)


def _onnx(seed, tmp_path, picture):
    path = tmp_path / "model.onnx"
    source = (
        EARLIER / "export/deploy" / ("onnxruntime-int8" if seed % 2 else "onnxruntime-fp32") / "model.onnx"
    )
    path.write_bytes(spoil_bytes(source.read_bytes(), random.Random(seed)))
    _survives(_use_file, path, picture)


def _packed(seed, tmp_path, picture):
    """Behind the checksum, which is made anew: what is read must hold by itself."""
    path = tmp_path / "model.gsm"
    body = spoil_bytes((EARLIER / "pack/deploy/packed/model.gsm").read_bytes()[:-4], random.Random(seed))
    path.write_bytes(body + struct.pack("<I", zlib.crc32(body)))
    _survives(Predictor, path)


def _weights(seed, tmp_path, picture):
    rng = random.Random(seed)
    source = EARLIER / "train/weights.safetensors"
    if seed % 2:
        path = tmp_path / "x.safetensors"
        path.write_bytes(spoil_bytes(source.read_bytes(), rng))
    else:
        path = tmp_path / "x.pth"
        torch.save(read_checkpoint(source), path)
        path.write_bytes(spoil_bytes(path.read_bytes(), rng))
    _survives(read_checkpoint, path)


def _plan(seed, tmp_path, picture):
    path = tmp_path / "plan.json"
    edit = {
        "edit": "prune", "kept": {"stem.0.0.weight": {"0": [[0, 4]]}}, "outputs": {"stem": 4}, "macs": 1, "macs_before": 2,
        "params": 1, "params_before": 2, "removed": {"stem": [4, 8]}, "frozen": {"why": 3},
    }  # fmt: skip
    path.write_text(spoil_document(edit, random.Random(seed)))
    _survives(read_plan, path)


def _yaml(seed, tmp_path, picture):
    rng = random.Random(seed)
    path = tmp_path / "config.yaml"
    text = FitConfig(data="demo:scenes", within="size<=1MB").to_yaml()
    lines = text.splitlines()
    at = rng.randrange(len(lines))
    hostile = (
        "a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]", "? [1, 2]\n: 3", "x: !!python/name:os.system", "[" * 500, "x: .inf",
        "seed: " + "9" * 5000, "- 1", "seed: [1]", "data: {a: 1}", "\x07", "minutes: 2024-01-01", "<<: {a: 1}", "1: 2",
    )  # fmt: skip
    lines[at : at + rng.randint(0, 1)] = [rng.choice(hostile)]
    path.write_bytes("\n".join(lines).encode() if rng.random() < 0.7 else spoil_bytes(text.encode(), rng))
    _survives(FitConfig.from_yaml, path)


@pytest.fixture(scope="module")
def tflite(tmp_path_factory):
    """A file of LiteRT with a contract behind its network."""
    pytest.importorskip("litert_torch")
    path = tmp_path_factory.mktemp("tflite") / "model.tflite"
    bundle = gs.load(EARLIER / "train")
    runtime = get_runtime("litert")
    runtime.export(gs.network_of(bundle), bundle.contract, path)
    runtime.write_metadata(path, file_metadata(bundle.spec, bundle.contract, bundle.labels, "fp32"))
    return path


@pytest.mark.slow
def test_many_spoilt_files_of_litert(tflite, tmp_path, picture):
    data = tflite.read_bytes()
    for seed in range(200):
        path = tmp_path / f"{seed}.tflite"
        path.write_bytes(spoil_bytes(data, random.Random(seed)))
        _survives(_use_file, path, picture)


KINDS = {
    "bundle": _bundle,
    "onnx": _onnx,
    "packed": _packed,
    "weights": _weights,
    "plan": _plan,
    "yaml": _yaml,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_spoilt_files(kind, tmp_path, picture):
    for seed in FEW:
        (tmp_path / str(seed)).mkdir()
        KINDS[kind](seed, tmp_path / str(seed), picture)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_spoilt_files(kind, tmp_path, picture):
    for seed in MANY:
        (tmp_path / str(seed)).mkdir()
        KINDS[kind](seed, tmp_path / str(seed), picture)
        shutil.rmtree(tmp_path / str(seed))
