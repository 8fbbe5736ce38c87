"""Every program in examples/ runs as its first lines say, and says what gossamer says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gossamer as gs
from gossamer.deploy.contract import InputContract
from gossamer.deploy.file_metadata import file_metadata
from gossamer.deploy.runtimes import get_runtime
from gossamer.testing.networks import tiny_networks
from gossamer.types import Size
from gossamer.zoo.spec import ModelSpec

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TESTED = {"fit_from_python.py", "predict_with_onnxruntime_only.py"}
LABELS = ["field", "forêt dense", "river", "road", "shore"]


def _run(name, *arguments, folder):
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=500)


@pytest.fixture
def pictures_of_many_shapes(tmp_path):
    rng = np.random.default_rng(3)
    files = []
    for number, (height, width) in enumerate(((40, 40), (64, 37), (33, 90))):
        file = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (height, width, 3)).astype(np.uint8)).save(file)
        files.append(file)
    return files


def _file(folder, task, size):
    """An ONNX file with everything inside."""
    contract, spec = InputContract.of("imagenet", size), ModelSpec("tiny")
    runtime, path = get_runtime("onnxruntime"), folder / f"{task}.onnx"
    outputs, heat = ("values",) if task == "regress" else ("scores",), 0.6 if task == "classify" else 1.0
    runtime.export(tiny_networks()["plain"], contract, path, outputs=outputs)
    runtime.write_metadata(
        path, file_metadata(spec, contract, LABELS, "fp32", task=task, outputs=outputs, temperature=heat)
    )
    return path


def test_every_example_is_run():
    assert {file.name for file in EXAMPLES.glob("*.py")} == TESTED


@pytest.mark.parametrize("task", ["classify", "multi-label", "regress"])
@pytest.mark.parametrize("size", [Size(33, 33), Size(33, 48)], ids=str)
def test_onnxruntime_alone_says_what_gossamer_says(tmp_path, pictures_of_many_shapes, task, size):
    file = _file(tmp_path, task, size)
    done = _run("predict_with_onnxruntime_only.py", file, *pictures_of_many_shapes, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for line, said in zip(
        done.stdout.splitlines(), gs.predict(file, pictures_of_many_shapes, top=1), strict=True
    ):
        pairs = list(zip(said.labels, said.scores, strict=True))
        told = "  ".join(f"{label} {value:.3f}" for label, value in pairs) or "(no label)"
        assert line == f"{said.file}  {told}"


def test_onnxruntime_alone_refuses_what_it_does_not_know(tmp_path, pictures_of_many_shapes):
    contract = InputContract(Size(33, 33), resize="letterbox")
    runtime, path = get_runtime("onnxruntime"), tmp_path / "m.onnx"
    runtime.export(tiny_networks()["plain"], contract, path)
    runtime.write_metadata(path, file_metadata(ModelSpec("tiny"), contract, LABELS, "fp32"))
    done = _run("predict_with_onnxruntime_only.py", path, pictures_of_many_shapes[0], folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: this program knows RGB and short-side-centre-crop, the file wants")


@pytest.mark.slow
def test_fit_from_python(tmp_path, coloured):
    data = coloured(tmp_path / "data", count=8)
    done = _run("fit_from_python.py", data, 0.1, folder=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    headline, met, bundle, report, answer = done.stdout.splitlines()
    assert "test pictures right" in headline
    assert met.startswith(("met: True", "met: False"))
    folder = tmp_path / bundle.removeprefix("bundle: ")
    assert gs.load(folder).task == "classify"
    assert (tmp_path / report.removeprefix("report: ")).is_file()
    assert ".png: {" in answer


def test_fit_from_python_says_what_is_wrong(tmp_path):
    done = _run("fit_from_python.py", tmp_path / "none", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: no such folder: {tmp_path / 'none'}; ")
