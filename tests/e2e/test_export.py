"""gossamer export, end to end: files of several runtimes in one bundle, guarded, resumed, refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gossamer._files import sha256
from gossamer.deploy.bundle import load
from gossamer.deploy.runtimes import get_runtime
from gossamer.files.metadata import read_metadata
from gossamer.testing.networks import enliven
from gossamer.zoo.build import build

pytestmark = pytest.mark.slow
TO = "onnxruntime:int8,onnxruntime,openvino:int8,onnxruntime:fp16"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from tests.e2e.conftest import write_coloured

    return write_coloured(tmp_path_factory.mktemp("export") / "data", count=20)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A bundle that knows the colours."""
    import gossamer as gs

    out = tmp_path_factory.mktemp("export") / "trained"
    settings = ("batch=6", "learning_rate=0.01")
    made = gs.train(data, model="shufflenet_v2_0.25", size=32, epochs=16, set=settings, out=out)
    return made.bundle.folder


def test_one_bundle_holds_files_for_every_target(gossamer, data, trained, tmp_path):
    out = tmp_path / "run"
    code, text, err = gossamer(
        "export", trained, "--to", TO, "--data", data, "--max-drop", "50%", "--out", out, "--json"
    )
    assert code == 0, err
    document = json.loads(text)
    assert [f"{f['runtime']}:{f['precision']}" for f in document["files"]] == [
        "onnxruntime:int8",
        "onnxruntime:fp32",
        "openvino:int8",
        "onnxruntime:fp16",
    ]
    int8, exact, other, halves = document["files"]
    assert int8["size_ratio"] < 0.6
    assert 0.4 < halves["size_ratio"] < 0.7
    assert exact["difference"] < 1e-5
    assert exact["tried"] == []
    for file in (int8, other, halves):
        assert file["difference"] is None
        assert file["tried"][-1]["drop"] == file["drop"] <= 0.5
    assert "of the time and" in int8["verdict"]
    bundle = load(out / "bundle")
    for file, entry in zip(bundle.files, document["files"], strict=True):
        path = bundle.folder / file.path
        assert sha256(path) == file.sha256 == entry["sha256"]
        session = get_runtime(file.runtime).load(path, threads=1)
        assert json.loads(session.metadata["gossamer"])["labels"] == list(load(trained).labels)
        assert session.run(np.zeros((1, 3, 32, 32), np.float32))[0].shape == (1, 3)
    assert not (out / "work").exists()
    assert "int8" in (out / "report.html").read_text(encoding="utf-8")
    first = sorted(data.glob("*/*"))[0]
    for on in ((), ("--on", "openvino"), ("--on", "onnxruntime:fp16")):
        code, text, err = gossamer("predict", out / "bundle", first, "--json", *on)
        assert code == 0, err
        assert json.loads(text)[0]["label"] in load(trained).labels
    code, _, err = gossamer("predict", out / "bundle", first, "--on", "litert")
    assert code == 2
    assert (
        "has files for onnxruntime:int8, onnxruntime:fp32, openvino:int8, onnxruntime:fp16, got 'litert'"
        in err
    )
    code, _, err = gossamer("predict", out / "bundle" / bundle.files[0].path, first, "--on", "onnxruntime")
    assert (code, "--on chooses among the files of a bundle" in err) == (2, True)


def test_resume_goes_on_with_the_file_at_hand(gossamer, data, trained, tmp_path):
    out = tmp_path / "run"
    command = ("export", trained, "--to", "onnxruntime,onnxruntime:fp16", "--data", data, "--out", out)
    assert gossamer(*command, "--json")[0] == 0
    (out / "stages" / "2-file-onnxruntime-fp16.json").unlink()
    kept = out / "stages" / "2-file-onnxruntime-fp32.json"
    before = kept.stat().st_mtime_ns
    code, text, err = gossamer(*command, "--resume", "--json")
    assert code == 0, err
    assert kept.stat().st_mtime_ns == before
    assert [f["precision"] for f in json.loads(text)["files"]] == ["fp32", "fp16"]
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert {"stage kept"} <= {event["event"] for event in events}


def test_a_network_with_other_classes_is_judged_by_agreement_with_itself(gossamer, data, tmp_path):
    code, text, err = gossamer(
        "export",
        "squeezenet_1.1",
        "--to",
        "onnxruntime:fp16",
        "--data",
        data,
        "--input",
        "3x64x64",
        "--out",
        tmp_path / "run",
        "--json",
    )
    assert code == 0, err
    (file,) = json.loads(text)["files"]
    assert file["test"] >= 0.9
    assert "agreement" in json.loads(text)["headline"]


@pytest.mark.parametrize("verb", [("export", "--to", "onnxruntime"), ("compress", "--method", "pack")])
def test_an_exported_file_is_no_network(gossamer, tmp_path, verb):
    code, text, err = gossamer(verb[0], tmp_path / "model.onnx", *verb[1:], "--out", tmp_path / "run")
    assert (code, text) == (2, "")
    assert err.startswith("error: an exported file has no layers left to work on, got ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--to", "onnxruntime:int8"), "onnxruntime:int8 is calibrated on pictures and judged by them"),
        (("--to", "onnxrntime"), "unknown runtime 'onnxrntime'; did you mean 'onnxruntime'"),
        (("--to", "onnxruntime:int4"), "onnxruntime has fp32, fp16, int8, got 'int4'"),
        (("--to", "onnxruntime,onnxruntime:fp32"), "each target is written once, got onnxruntime:fp32 twice"),
        (("--to", " , "), "--to names runtimes, got ' , '; write e.g."),
        (("--to", "onnxruntime", "--max-drop", "200%"), "--max-drop"),
        (("--to", "onnxruntime", "--data", "/nowhere"), "/nowhere"),
    ],
)
def test_bad_input_is_one_line(gossamer, trained, tmp_path, arguments, message):
    out = tmp_path / "run"
    code, text, err = gossamer("export", trained, *arguments, "--out", out)
    assert (code, text) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) <= 3
    assert not out.exists()


def test_the_card_and_page_of_a_file_that_takes_bytes(gossamer, data, trained, tmp_path):
    out = tmp_path / "run"
    code, text, err = gossamer(
        "export", trained, "--to", "onnxruntime", "--uint8", "--data", data, "--out", out, "--json"
    )
    assert code == 0, err
    file = json.loads(text)["files"][0]
    assert file["uint8_difference"] < 1e-5
    bundle = load(out / "bundle")
    beside = "deploy/onnxruntime-fp32/uint8.onnx"
    assert bundle.digests[beside] == sha256(bundle.checked(beside))
    assert bundle.temperature() == file["temperature"]
    assert bundle.measured["calibration"]["temperature"] == file["temperature"]
    assert f"`{beside}` takes `picture`" in (out / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    page = (out / "report.html").read_text(encoding="utf-8")
    for told in (
        "gossamer export",
        "The files",
        "Class by class",
        "Calibration error",
        "Where the cost lies",
    ):
        assert told in page
    first = sorted(data.glob("*/*"))[0]
    plain, other = (
        json.loads(gossamer("predict", path, first, "--json")[1])[0]["top"]
        for path in (out / "bundle", out / "bundle" / beside)
    )
    assert [row["label"] for row in other] == [row["label"] for row in plain]
    assert [row["score"] for row in other] == pytest.approx([row["score"] for row in plain], abs=1e-5)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A detector whose boxes are of many sides, as MODEL: of one that never learned they lie on a grid, and overlaps are ties."""
    torch.manual_seed(0)
    network = enliven(build("nanodet_plus_m_320"), (3, 96, 128))
    for name in network.head.class_layers():
        torch.nn.init.normal_(network.head.get_submodule(name).weight, std=0.3)
    weights = tmp_path_factory.mktemp("detector") / "weights.safetensors"
    save_file(network.state_dict(), weights)
    return f"nanodet_plus_m_320@{weights}"


def test_a_file_that_suppresses_says_what_the_plain_one_says(gossamer, draw, detector, tmp_path):
    for name, to, more in (
        ("plain", "onnxruntime", ()),
        ("nms", "onnxruntime,openvino", ("--nms", "--uint8")),
    ):
        out = ("--out", tmp_path / name, "--json")
        code, text, err = gossamer("export", detector, "--to", to, "--input", "3x96x128", *more, *out)
        assert code == 0, err
    for file in json.loads(text)["files"]:
        assert file["ending"] == "suppressed"
        assert file["ending_difference"] < 1e-5
        assert file["plain_ms"] > 0
    assert "without nms ms" in (tmp_path / "nms" / "report.html").read_text(encoding="utf-8")
    assert "suppressed in the file" in (tmp_path / "nms/bundle/MODEL_CARD.md").read_text(encoding="utf-8")
    picture = tmp_path / "a.png"
    draw(3, (80, 120)).save(picture)
    folder = "deploy/onnxruntime-fp32"
    files = [tmp_path / "plain/bundle", tmp_path / "nms/bundle"]
    files += [tmp_path / "nms/bundle" / folder / each for each in ("model.onnx", "uint8.onnx")]
    said = [
        json.loads(gossamer("predict", each, picture, "--threshold", "0.006", "--json")[1])[0]["boxes"]
        for each in files
    ]
    assert len(said[0]) > 5
    for rows in said[1:]:
        assert [row["label"] for row in rows] == [row["label"] for row in said[0]]
        assert [row["score"] for row in rows] == pytest.approx([row["score"] for row in said[0]], abs=1e-5)
    session = get_runtime("onnxruntime").load(files[2], threads=1)
    assert read_metadata(session.metadata, files[2])["suppressed"] == {
        "labels": 80,
        "threshold": 0.005,
        "overlap": 0.6,
        "most": 100,
        "candidates": 1000,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("yolox_nano", "--to", "onnxruntime,litert"),
            "is for files of onnxruntime and openvino, got litert:fp32",
        ),
        (("yolox_nano", "--to", "litert:fp16"), "got litert:fp16; leave it out, or export to those alone"),
        (("squeezenet_1.1", "--to", "onnxruntime"), "squeezenet_1.1 is for classify; leave it out"),
    ],
)
def test_what_cannot_suppress_is_one_line(gossamer, tmp_path, arguments, message):
    code, text, err = gossamer("export", *arguments, "--nms", "--out", tmp_path / "run")
    assert (code, text) == (2, "")
    assert message in err
    assert not (tmp_path / "run").exists()


def test_bytes_are_for_onnxruntime_alone(gossamer, trained):
    code, _, err = gossamer("export", trained, "--to", "openvino", "--uint8")
    assert code == 2
    assert "--uint8 is for files of onnxruntime, got --to openvino" in err
