"""Bundles and files that an earlier version wrote load and predict as they did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

import gossamer as gs
from gossamer.data.scenes import render
from gossamer.deploy.runtimes.packed.tensors import read_packed
from gossamer.tasks.classify.confusion import softmax

EARLIER = Path(__file__).resolve().parents[1] / "samples" / "earlier_bundles"
KEPT = json.loads((EARLIER / "predictions.json").read_text())
TOLERANCE = {"export": 0.03}
"""int8 sums saturate differently on processors without VNNI; all else is equal to rounding."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """The pictures that were predicted, made again."""
    folder = tmp_path_factory.mktemp("scenes")
    for row in KEPT["train"]:
        label, name = row["file"].split("/")
        (folder / label).mkdir(exist_ok=True)
        Image.fromarray(render(label, int(name.removesuffix(".png")), 64)).save(folder / row["file"])
    return folder


@pytest.mark.parametrize("model", KEPT)
def test_they_say_what_they_said(model, scenes):
    said = gs.predict(EARLIER / model, [scenes / row["file"] for row in KEPT[model]], top=4)
    for prediction, row in zip(said, KEPT[model], strict=True):
        scores = dict(zip(prediction.labels, prediction.scores, strict=True))
        assert scores == pytest.approx(row["scores"], abs=TOLERANCE.get(model, 1e-5))


@pytest.mark.parametrize("name", ["train", "pack", "export"])
def test_the_network_in_them_says_the_same(name, scenes):
    bundle = gs.load(EARLIER / name)
    assert bundle.task == "classify"
    network = gs.network_of(bundle)
    row = KEPT["train" if name == "export" else name][0]
    with torch.no_grad():
        scores = network(torch.from_numpy(bundle.contract.open(scenes / row["file"]))).numpy()
    shares = dict(zip(bundle.labels, softmax(scores)[0].tolist(), strict=True))
    assert shares == pytest.approx(row["scores"], abs=1e-4)


def test_a_packed_file_with_the_old_keys_is_read():
    assert {"spec", "labels", "input"} <= set(read_packed(EARLIER / "pack/deploy/packed/model.gsm").metadata)


def test_they_are_exported_again(scenes, tmp_path, gossamer):
    """Also a bundle that knows no split seed: what it was trained with drew its split."""
    shutil.copytree(EARLIER / "train", tmp_path / "bundle")
    code, out, _ = gossamer(
        "export", tmp_path / "bundle", "--to", "onnxruntime", "--out", tmp_path / "run", "--json"
    )
    assert code == 0
    assert json.loads(out)["files"][0]["met"]
