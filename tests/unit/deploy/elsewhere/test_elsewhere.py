"""A bundle runs without gossamer: predict.py says what `gossamer predict` says, the snippets are programs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from gossamer.deploy.bundle import save
from gossamer.deploy.contract import InputContract
from gossamer.deploy.file_metadata import file_metadata
from gossamer.deploy.predict import predict
from gossamer.deploy.runtimes import Runtime, get_runtime
from gossamer.testing.networks import enliven
from gossamer.types import RESIZE_RULES, Size
from gossamer.zoo.build import build
from gossamer.zoo.spec import parse_model

LABELS = ["field", "forêt 'dense'", 'the "river"\nbed']
CONTRACT = InputContract.of("imagenet", 32)


@pytest.fixture(scope="module")
def network():
    spec, _ = parse_model("shufflenet_v2_0.25[:1]", num_classes=3)
    return spec, enliven(build(spec), (3, 32, 32))


@pytest.fixture
def shipped(network, tmp_path):
    """`shipped(contract, task=..., temperature=...)` -> folder of a bundle."""
    spec, module = network

    def make(contract=CONTRACT, *, task="classify", temperature=1.0, labels=LABELS, on="onnxruntime"):
        save_file(module.state_dict(), tmp_path / "w.safetensors")
        runtime = get_runtime(on)
        path = tmp_path / f"model{runtime.suffix}"
        runtime.export(module, contract, path)
        runtime.write_metadata(
            path, file_metadata(spec, contract, labels, "fp32", task=task, temperature=temperature)
        )
        return save(
            tmp_path / "bundle", spec=spec, weights=tmp_path / "w.safetensors", task=task, labels=labels,
            contract=contract, files=[(on, "fp32", 1, path)], measured={}, provenance={}, texts={},
            card="# A card\n", temperatures=[temperature],
        ).folder  # fmt: skip

    return make


@pytest.fixture
def odd_pictures(tmp_path):
    """Pictures of many shapes and modes, upright and not."""
    rng, files = np.random.default_rng(3), []
    for number, (height, width) in enumerate(((40, 40), (64, 37), (33, 90), (32, 32))):
        image = Image.fromarray(rng.integers(0, 256, (height, width, 4)).astype(np.uint8))
        for mode, suffix in (("RGB", ".png"), ("RGBA", ".webp"), ("L", ".bmp"), ("CMYK", ".jpg")):
            files.append(tmp_path / f"{number}-{mode}{suffix}")
            image.convert("RGB" if mode == "CMYK" else mode).convert(mode).save(files[-1])
    turned = Image.Exif()
    turned[0x0112] = 6
    files.append(tmp_path / "turned.jpg")
    image.convert("RGB").crop((0, 0, 32, 20)).save(files[-1], exif=turned)
    return files


def _run(folder, *arguments):
    """predict.py in a process where gossamer and torch cannot be imported."""
    barred = folder.parent / "barred"
    for name in ("gossamer", "torch"):
        (barred / name).mkdir(parents=True, exist_ok=True)
        (barred / name / "__init__.py").write_text("raise ImportError('not here')")
    environment = {**os.environ, "PYTHONPATH": str(barred)}
    command = [sys.executable, str(folder / "predict.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)


def _equal(ours, theirs):
    assert [d["file"] for d in ours] == [d["file"] for d in theirs]
    for own, other in zip(ours, theirs, strict=True):
        assert own == other


@pytest.mark.parametrize("rule", [rule for rule in RESIZE_RULES if rule != "none"])
def test_the_program_says_what_gossamer_says(shipped, odd_pictures, rule):
    contract = replace(CONTRACT, size=Size(32, 48), resize=rule)
    folder = shipped(contract, temperature=1.7)
    middle = float(np.median([p.scores[0] for p in predict(folder, odd_pictures)]))
    done = _run(folder, *odd_pictures, "--json", "--top", "2", "--threshold", middle)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    _equal(told, [p.to_json() for p in predict(folder, odd_pictures, top=2, threshold=middle)])
    assert {row["unsure"] for row in told} == {True, False}


@pytest.mark.parametrize("task", ["multi-label", "regress"])
def test_the_program_of_other_tasks(shipped, odd_pictures, task):
    folder = shipped(task=task)
    done = _run(folder, *odd_pictures, "--json", "--top", "5")
    _equal(json.loads(done.stdout), [p.to_json() for p in predict(folder, odd_pictures)])
    lines = _run(folder, *odd_pictures).stdout
    assert lines.startswith(f"{odd_pictures[0]}  ")


@pytest.mark.parametrize("on", ["openvino", "litert"])
def test_the_program_on_other_runtimes(shipped, odd_pictures, on):
    runtime = Runtime(on)
    if runtime.missing(making=True) is not None:
        pytest.skip(f"{on} is not installed")
    folder = shipped(on=on)
    done = _run(folder, *odd_pictures, "--json", "--top", "3")
    theirs = [p.to_json() for p in predict(folder, odd_pictures, top=3)]
    for own, other in zip(json.loads(done.stdout), theirs, strict=True):
        assert own["label"] == other["label"]
        assert [t["score"] for t in own["top"]] == pytest.approx([t["score"] for t in other["top"]], abs=1e-5)


def test_the_program_of_other_bands(network, shipped, tmp_path):
    bands = ("band1", "band3", "band2")
    contract = InputContract(Size(32, 32), bands, mean=(900.0, 1100.0, 1000.0), std=(300.0, 200.0, 250.0))
    folder = shipped(contract)
    rng = np.random.default_rng(0)
    for number in range(3):
        values = rng.normal(1000, 250, (40, 50, 4)).astype(np.float32)
        values[number, number, :] = np.nan
        np.save(tmp_path / f"{number}.npy", values)
    files = sorted(tmp_path.glob("*.npy"))
    _equal(
        json.loads(_run(folder, *files, "--json").stdout),
        [p.to_json() for p in predict(folder, files, top=3)],
    )


def test_what_cannot_be_read_stops_nothing(shipped, odd_pictures, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    deep = np.arange(1600, dtype=np.uint16).reshape(40, 40) * 40
    Image.fromarray(deep).save(tmp_path / "deep.png")
    folder = shipped()
    done = _run(folder, tmp_path / "text.png", tmp_path / "deep.png", odd_pictures[0])
    first, second, third = done.stdout.splitlines()
    assert done.returncode == 0
    assert "not read: " in first
    assert "more than 8 bits" in second
    assert "not read" not in third
    assert _run(folder, tmp_path / "text.png").returncode == 2
    wide = shipped(replace(CONTRACT, value_range=(0.0, 65535.0)))
    told = json.loads(_run(wide, tmp_path / "deep.png", "--json").stdout)
    _equal(told, [p.to_json() for p in predict(wide, [tmp_path / "deep.png"], top=3)])


def test_labels_one_a_line(shipped):
    assert (shipped() / "labels.txt").read_text(encoding="utf-8").splitlines() == [
        "field", "forêt 'dense'", 'the "river" bed',
    ]  # fmt: skip


def _snippet(folder, language):
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.startswith("# A card\n")
    return re.search(rf"```{language}\n(.*?)```", card, re.S)[1]


@pytest.mark.parametrize("task", ["classify", "multi-label", "regress"])
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_javascript_gives_the_files_answer(shipped, tmp_path, task):
    """On a stand-in for the runtime that answers with the input's first values."""
    folder = shipped(task=task, temperature=2.0 if task == "classify" else 1.0)
    code = _snippet(folder, "javascript").replace('import * as ort from "onnxruntime-web";', "")
    stand_in = "const ort = { Tensor: class { constructor(t, d, s) { this.data = d; this.shape = s; } } };\n"
    output = "values" if task == "regress" else "scores"
    asked = (
        f"const session = {{ run: async ({{ input }}) => ({{ {output}: {{ data: input.data.slice(0, 3) }} }}) }};\n"
        "const picture = Uint8Array.from({ length: 32 * 32 * 4 }, (_, i) => (i * 7) % 256);\n"
        "console.log(JSON.stringify(await predict(session, picture)));\n"
    )
    (tmp_path / "run.mjs").write_text(stand_in + code + asked, encoding="utf-8")
    done = subprocess.run(
        ["node", str(tmp_path / "run.mjs")], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    picture = ((np.arange(32 * 32 * 4) * 7) % 256).astype(np.uint8).reshape(32, 32, 4)[:, :, :3]
    raw = CONTRACT.normalise(picture[None])[0].ravel()[:3].astype(np.float64)
    expected = {
        "classify": np.exp(raw / 2) / np.exp(raw / 2).sum(),
        "multi-label": 1 / (1 + np.exp(-raw)),
        "regress": raw,
    }[task]
    assert json.loads(done.stdout) == pytest.approx(expected, abs=1e-5)


_ORT_HEADER = """
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>
enum OrtAllocatorType { OrtArenaAllocator }; enum OrtMemType { OrtMemTypeDefault };
namespace Ort {
struct MemoryInfo { static MemoryInfo CreateCpu(OrtAllocatorType, OrtMemType); };
struct RunOptions { explicit RunOptions(std::nullptr_t); };
struct Value {
  template <typename T> static Value CreateTensor(const MemoryInfo&, T*, std::size_t, const std::int64_t*, std::size_t);
  template <typename T> const T* GetTensorData() const;
};
struct Session { std::vector<Value> Run(const RunOptions&, const char* const*, const Value*, std::size_t, const char* const*, std::size_t); };
}
"""


@pytest.mark.parametrize("task", ["classify", "multi-label", "regress"])
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_the_cpp_compiles(shipped, tmp_path, task):
    (tmp_path / "onnxruntime_cxx_api.h").write_text(_ORT_HEADER)
    (tmp_path / "run.cpp").write_text(_snippet(shipped(task=task), "cpp"), encoding="utf-8")
    command = ["g++", "-std=c++17", "-Wall", "-fsyntax-only", "-I", str(tmp_path), str(tmp_path / "run.cpp")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_language_has_the_contracts_own_numbers(shipped):
    folder = shipped(temperature=1.25)
    for language in ("cpp", "kotlin", "javascript"):
        code = _snippet(folder, language)
        assert f"{CONTRACT.scale / CONTRACT.std[1]!r}" in code
        assert f"{-CONTRACT.mean[2] / CONTRACT.std[2]!r}" in code
        assert "1.25" in code
        assert code.count("(") == code.count(")")
        assert code.count("{") == code.count("}")
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "python predict.py picture.jpg" in card
    assert "Raspberry Pi" in card
