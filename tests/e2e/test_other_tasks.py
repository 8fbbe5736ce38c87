"""Other tasks, sizes and sources end to end: a value and several labels a picture, rectangles, data and modules in Python."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import gossamer as gs
from gossamer.deploy.bundle import load
from gossamer.deploy.predict import predict
from gossamer.types import Size

pytestmark = pytest.mark.slow
NETWORK = ("--model", "shufflenet_v2_0.25", "--set", "batch=8", "--set", "learning_rate=0.01")


def _table(folder, targets, *, shape=(32, 32)):
    """Pictures whose red is a value of 0 to 1 and whose green and blue are on or off, with the columns of `targets`."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        for i in range(60):
            red, green, blue = rng.random(), rng.integers(2), rng.integers(2)
            pixels = rng.integers(0, 30, (*shape, 3))
            pixels = pixels + np.array([200 * red, 200 * green, 200 * blue])
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
            row = targets(red, green, blue)
            if not i:
                writer.writerow(["file", *row])
            writer.writerow([f"{i}.png", *row.values()])
    return folder


def _said(gossamer, *arguments):
    code, out, err = gossamer(*arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_a_value_is_learnt_pruned_rounded_and_predicted(gossamer, tmp_path):
    data = _table(tmp_path / "values", lambda red, _green, _blue: {"value:ripeness": f"{100 * red:.2f}"})
    told = _said(gossamer, "train", data, *NETWORK, "--size", "32", "--epochs", 30, "--out", tmp_path / "run")
    assert set(told["measured"]) >= {"mae", "rmse", "r2"}
    assert told["measured"]["r2"] > 0.5, "red is easy"
    bundle = load(told["bundle"])
    assert (bundle.task, bundle.labels) == ("regress", ("ripeness",))
    assert "of 3 classes" not in (tmp_path / "run" / "report.html").read_text()

    cut = _said(
        gossamer, "compress", told["bundle"], "--data", data, "--method", "prune:macs=80%,importance=taylor",
        "--max-drop", "50%", "--out", tmp_path / "cut",
    )  # fmt: skip
    assert load(cut["bundle"]).task == "regress"

    made = _said(
        gossamer, "export", cut["bundle"], "--to", "onnxruntime:int8", "--data", data, "--max-drop", "50%",
        "--out", tmp_path / "export",
    )  # fmt: skip
    files = load(made["bundle"]).files
    assert {file.precision for file in files} >= {"int8"}

    (row,) = _said(gossamer, "predict", made["bundle"], data / "0.png")
    with (data / "labels.csv").open() as file:
        expected = float(next(csv.DictReader(file))["value:ripeness"])
    assert abs(row["values"]["ripeness"] - expected) < 40
    assert row["error"] is None


def test_several_labels_a_picture_in_a_letterbox(gossamer, tmp_path):
    def targets(_red, green, blue):
        return {"label": ";".join(name for name, on in (("leaf", green), ("water", blue)) if on)}

    data = _table(tmp_path / "labels", targets, shape=(24, 48))
    told = _said(
        gossamer, "train", data, *NETWORK, "--size", "32x64", "--resize", "letterbox", "--epochs", 30,
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert told["input"] == [3, 32, 64]
    assert told["measured"]["map"] > 0.7, "colours are easy"
    bundle = load(told["bundle"])
    assert (bundle.task, bundle.contract.size, bundle.contract.resize) == (
        "multi-label",
        Size(32, 64),
        "letterbox",
    )
    with (data / "labels.csv").open() as file:
        wanted = {row["file"]: set(filter(None, row["label"].split(";"))) for row in csv.DictReader(file)}
    named = {each.file.name: set(each.labels) for each in predict(told["bundle"], [data])}
    assert np.mean([named[name] == labels for name, labels in wanted.items()]) > 0.6
    row = _said(gossamer, "predict", told["bundle"], data / "0.png")[0]
    assert set(row) >= {"file", "error"}


@pytest.mark.parametrize("what", ["rate", "batch"])
def test_finders_honour_what_training_would(gossamer, coloured, tmp_path, what):
    rng = np.random.default_rng(0)
    for label in ("dry", "wet"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(8):
            np.save(tmp_path / "data" / label / f"{i}.npy", rng.random((32, 48, 4), np.float32))
    (tmp_path / "data" / "wet" / "bad.npy").write_bytes(b"\x93NUMPY")
    options = ("--bands", "band4,band2", "--view", "aerial", "--size", "32x48")
    told = _said(gossamer, "train", tmp_path / "data", *NETWORK, *options, "--find", what)
    assert "--set " in told["advice"]
    code, out, err = gossamer(
        "train", tmp_path / "data", *NETWORK, *options, "--on-bad", "stop", "--find", what
    )
    assert (code, out) == (2, "")
    assert "bad.npy" in err


def test_data_and_modules_in_python(tmp_path):
    class Named(torch.utils.data.TensorDataset):
        classes = ("dark", "light")

    targets = torch.arange(40) % 2
    pixels = 0.3 * torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    data = Named(pixels + 0.6 * targets[:, None, None, None], targets)
    run = gs.train(
        data, model="shufflenet_v2_0.25", size="32", epochs=15, set=["batch=8", "learning_rate=0.01"],
        out=tmp_path / "run",
    )  # fmt: skip
    assert run.bundle.labels == ("dark", "light")

    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    made = gs.export(module, to=["onnxruntime"], input="3x32x32", out=tmp_path / "module")
    bundle = made.bundle
    assert bundle.contract.size == Size(32, 32)
    inputs = torch.rand(1, 3, 32, 32)
    (scores,) = bundle.session(threads=1).run(inputs.numpy())
    assert np.allclose(scores, module.eval()(inputs).detach().numpy(), atol=1e-5)
