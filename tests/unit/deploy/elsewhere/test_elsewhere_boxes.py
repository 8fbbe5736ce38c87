"""A detector runs without gossamer: the same boxes, drawn too."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from box_samples import LABELS, picture_of, write_detector
from PIL import Image

from gossamer.deploy.contract import InputContract
from gossamer.deploy.elsewhere import companions
from gossamer.deploy.predict import predict

CONTRACT = {
    rule: InputContract.from_json({**InputContract.of("unit", 64).to_json(), "resize": rule})
    for rule in ("letterbox", "squash", "short-side-centre-crop")
}


@pytest.fixture
def shipped(tmp_path):
    """`shipped(rule)` -> (folder with predict.py, the file that gossamer runs)."""

    def make(rule="letterbox"):
        model = onnx.load(write_detector(tmp_path / "model.onnx"))
        metadata = {each.key: each for each in model.metadata_props}
        document = json.loads(metadata["gossamer"].value)
        document["input"] = CONTRACT[rule].to_json()
        metadata["gossamer"].value = json.dumps(document)
        onnx.save(model, tmp_path / "model.onnx")
        files = [("onnxruntime", "model.onnx", 1, 1.0)]
        for name, text in companions("detect", LABELS, CONTRACT[rule], files, "# A card\n").items():
            (tmp_path / name).write_text(text)
        return tmp_path

    return make


@pytest.fixture
def odd_pictures(tmp_path):
    files = []
    rng = np.random.default_rng(0)
    for number, (width, height) in enumerate(((64, 64), (128, 96), (50, 90))):
        things = [
            (LABELS[int(k)], 4 * int(x), 4 * int(y)) for k, x, y in rng.integers(0, (2, 10, 12), (5, 3))
        ]
        files.append(tmp_path / f"{number}.png")
        picture_of(*things, size=(width, height)).save(files[-1])
    return files


def _run(folder, *arguments):
    barred = folder / "barred"
    for name in ("gossamer", "torch"):
        (barred / name).mkdir(parents=True, exist_ok=True)
        (barred / name / "__init__.py").write_text("raise ImportError('not here')")
    command = [sys.executable, str(folder / "predict.py"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(barred)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)


@pytest.mark.parametrize("rule", CONTRACT)
@pytest.mark.parametrize("threshold", [None, 0.1, 0.6])
def test_the_program_says_the_boxes_that_gossamer_says(shipped, odd_pictures, rule, threshold):
    folder = shipped(rule)
    options = () if threshold is None else ("--threshold", threshold)
    done = _run(folder, *odd_pictures, "--json", *options)
    assert (done.returncode, done.stderr) == (0, "")
    told, ours = json.loads(done.stdout), predict(folder / "model.onnx", odd_pictures, threshold=threshold)
    assert sum(len(each["boxes"]) for each in told) > 4
    for own, other in zip(told, (each.to_json() for each in ours), strict=True):
        assert own["counts"] == other["counts"]
        assert [row["label"] for row in own["boxes"]] == [row["label"] for row in other["boxes"]]
        for a, b in zip(own["boxes"], other["boxes"], strict=True):
            assert a["score"] == pytest.approx(b["score"], abs=2e-6)
            assert a["box"] == pytest.approx(b["box"], abs=0.011)


def test_lines_and_drawings(shipped, odd_pictures):
    folder = shipped()
    done = _run(folder, *odd_pictures, "--draw", folder / "drawn")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{odd_pictures[0]}  ")
    assert "square" in done.stdout
    for file in odd_pictures:
        with Image.open(folder / "drawn" / file.name) as drawn, Image.open(file) as picture:
            assert drawn.size == picture.size
            assert (np.asarray(drawn) != np.asarray(picture)).any()


def test_the_card_says_what_the_rows_are(shipped):
    card = (shipped() / "MODEL_CARD.md").read_text()
    assert "rows of 6 numbers a place: left, top, right, bottom in pixels of the 64 x 64 input" in card
    assert "### Raspberry Pi" in card
    assert "```cpp" not in card
