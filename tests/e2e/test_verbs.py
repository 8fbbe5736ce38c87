"""Every verb with --json: one document on standard output, the keys that DESIGN promises, nothing else there."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from gossamer.deploy.runtimes import RUNTIMES
from gossamer.zoo.catalogue import CLASSIFIERS

MEASURE = [
    "model",
    "input",
    "params",
    "macs",
    "param_bytes",
    "activation_bytes_read",
    "activation_bytes_written",
    "peak_bytes",
    "uncounted",
]
MORE = ["elementwise", "receptive_field", "notes", "intensity"]


@pytest.fixture
def document(gossamer):
    """`document(*arguments)`: the one JSON document; exit code 0, and nothing said beside it."""

    def call(*arguments):
        code, out, err = gossamer(*arguments, "--json")
        assert (code, err) == (0, "")
        assert out.endswith("\n")
        return json.loads(out)

    return call


def test_check(document, coloured, tmp_path):
    found = document("check", coloured(tmp_path / "data"))
    assert set(found) == {
        "name", "root", "labels", "pictures", "skipped", "split", "short_side", "mean_rgb", "upright", "fingerprint",
        "findings", "bands", "value_range", "task",
    }  # fmt: skip
    assert found["bands"] is None
    assert found["pictures"] == 18
    assert found["labels"] == ['a "quoted" one', "field", "forêt dense"]
    assert all(sum(counts.values()) == 6 and min(counts.values()) >= 1 for counts in found["split"].values())
    assert all(set(f) == {"severity", "code", "message", "files"} for f in found["findings"])


def test_check_is_deterministic(document, coloured, tmp_path):
    data = coloured(tmp_path / "data")
    assert document("check", data) == document("check", data)


def test_check_in_words(gossamer, coloured, tmp_path):
    code, out, err = gossamer("check", coloured(tmp_path / "data"))
    assert (code, err) == (0, "")
    assert out.startswith("18 pictures of 3 classes, median short side 40 px\n")
    assert "forêt dense" in out


def test_doctor(document):
    found = document("doctor")
    assert set(found) == {"machine", "versions", "runtimes", "missing", "needs"}
    assert 0 < found["needs"]["int8_calibration_bytes"] < 1e9
    assert 0 < found["needs"]["available_bytes"] <= found["machine"]["memory_bytes"]
    assert found["runtimes"] == dict.fromkeys(RUNTIMES, "ready")
    assert found["versions"]["gossamer"]
    assert "training" not in found["missing"]


def test_zoo(document):
    rows = document("zoo")
    assert [row["name"] for row in rows] == list(CLASSIFIERS)
    for row in rows:
        assert list(row) == [
            "name", "family", "paper", "input", "params", "macs", "published", "deviation", "note",
            "weights", "resolutions",
        ]  # fmt: skip
        assert row["params"] > 0
        assert row["macs"] > 0
        assert row["published"] is None or set(row["published"]) == {"params", "macs", "top1", "source"}
        assert set(row["deviation"]) == {"params", "macs"}
        assert (row["deviation"]["macs"] is None) == ((row["published"] or {}).get("macs") is None)


def test_zoo_of_one(document):
    (row,) = document("zoo", "squeezenet_1.1")
    assert row["name"] == "squeezenet_1.1"
    assert list(row)[-2:] == ["resolutions", "stages"]


def test_measure(document):
    found = document("measure", "shufflenet_v2_0.25", "--input", "4x64x96")
    assert list(found) == [*MEASURE, *MORE]
    assert found["model"] == "shufflenet_v2_0.25"
    assert found["input"] == [4, 64, 96]
    assert found["uncounted"] == []
    assert found["param_bytes"] == 4 * found["params"]


def test_measure_layers_and_latency(document):
    found = document(
        "measure", "shufflenet_v2_0.25[:1]", "--input", "3x64x64", "--layers", "--latency", "onnxruntime"
    )
    assert set(found) == {*MEASURE, *MORE, "layers", "operators", "latency"}
    assert sum(layer["macs"] for layer in found["layers"]) == found["macs"]
    figure = found["latency"]
    assert {"runtime", "threads", "precision", "p50_ms", "p95_ms", "runs", "state"} <= set(figure)
    assert (figure["runtime"], figure["threads"], figure["precision"]) == ("onnxruntime", 1, "fp32")
    assert 0 < figure["p50_ms"] <= figure["p95_ms"]
    assert figure["state"] == "clean" or figure["state"].startswith("flagged: ")


def test_measure_in_words(gossamer):
    code, out, err = gossamer("measure", "shufflenet_v2_0.25", "--layers", "--input", "3x64x64")
    assert (code, err) == (0, "")
    assert out.startswith("shufflenet_v2_0.25 at 3x64x64\n")
    assert "stem.0.0" in out


@pytest.mark.slow
def test_measure_of_a_bundle(document, tiny_run):
    found = document("measure", tiny_run.path / "bundle")
    assert found["input"] == tiny_run.result["input"]
    assert found["params"] <= 400_000


@pytest.mark.slow
def test_predict(document, tiny_run, tmp_path):
    pictures = sorted(tiny_run.data.rglob("*.png"))
    found = document("predict", tiny_run.path / "bundle", tiny_run.data, "--top", 2)
    assert [row["file"] for row in found] == [str(p) for p in pictures]
    for row in found:
        assert set(row) == {"file", "label", "top", "error"}
        assert len(row["top"]) == 2
        assert row["top"][0]["label"] == row["label"]
        assert row["top"][0]["score"] >= row["top"][1]["score"]


@pytest.mark.slow
def test_predict_writes_tables(gossamer, tiny_run, tmp_path):
    bundle, folder = tiny_run.path / "bundle", tiny_run.data / "field"
    for suffix in (".csv", ".json"):
        code, out, err = gossamer("predict", bundle, folder, "-o", tmp_path / f"out{suffix}")
        assert (code, err) == (0, "")
        assert len(out.splitlines()) == len(list(folder.iterdir()))
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    written = json.loads((tmp_path / "out.json").read_text())
    assert list(rows[0]) == ["file", "label", "score", "label_2", "score_2", "label_3", "score_3", "error"]
    assert [(r["file"], r["label"]) for r in rows] == [(w["file"], w["label"]) for w in written]


@pytest.mark.slow
def test_predict_goes_on_past_what_it_cannot_read(gossamer, tiny_run, tmp_path):
    shutil.copy(next(tiny_run.data.rglob("*.png")), tmp_path / "a.png")
    (tmp_path / "b.jpg").write_text("no picture")
    code, out, err = gossamer("predict", tiny_run.path / "bundle", tmp_path, "--json")
    assert (code, err) == (0, "")
    assert [row["error"] is None for row in json.loads(out)] == [True, False]
    (tmp_path / "a.png").unlink()
    code, out, _ = gossamer("predict", tiny_run.path / "bundle", tmp_path, "--json")
    assert code == 2, "nothing could be read"
    assert "b.jpg is named as a picture but is none" in json.loads(out)[0]["error"]


@pytest.mark.slow
def test_report(document, tiny_run, tmp_path):
    found = document("report", tiny_run.path, "-o", tmp_path / "page.html")
    assert found["met"] is True
    assert found["headline"] == tiny_run.result["headline"]
    assert [line["metric"] for line in found["budget"]] == ["latency", "params"]
    assert {"tried", "curves", "task", "compression", "layers", "provenance", "flags"} <= set(found)
    assert (tmp_path / "page.html").read_text() == (tiny_run.path / "report.html").read_text()
