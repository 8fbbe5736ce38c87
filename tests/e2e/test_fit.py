"""The main job, end to end on eighteen pictures: done, killed and gone on with, and refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gossamer._files import sha256
from gossamer.cost.file_count import count_file
from gossamer.deploy.bundle import load
from gossamer.deploy.predict import predict
from gossamer.zoo.of_bundle import network_of

pytestmark = pytest.mark.slow
WITHIN = "latency<=200ms, params<=0.4M"
STAGES = [
    "1-check", "2-shortlist", "3-minutes", "3-views", "3-probe", "3-shares", "3-train", "4-compress", "4-refit",
    "5-verify", "6-publish",
]  # fmt: skip


def _events(path):
    return [json.loads(line) for line in (path / "events.jsonl").read_text().splitlines()]


def test_it_is_done_and_says_so(tiny_run):
    assert tiny_run.code == 0, tiny_run.stderr
    assert "Traceback" not in tiny_run.stderr
    result = tiny_run.result
    assert set(result) == {
        "met", "task", "headline", "run", "bundle", "report", "model", "input", "precision", "probe_accuracy", "starved",
        "file", "measured",
    }  # fmt: skip
    assert set(result["measured"]) == {
        "accuracy", "interval", "intervals", "pictures", "latency", "size_bytes", "memory_bytes",
    }  # fmt: skip
    assert result["met"] is True
    assert result["run"] == str(tiny_run.path)
    assert result["measured"]["size_bytes"] == Path(result["file"]).stat().st_size


def test_the_run_folder_is_whole(tiny_run):
    names = {p.name for p in tiny_run.path.iterdir()}
    assert {
        "config.yaml",
        "env.json",
        "events.jsonl",
        "metrics.csv",
        "report.html",
        "report.json",
        "bundle",
    } <= names
    assert "cache" not in names, "decoded pictures are cleared away"
    stages = [e["stage"] for e in _events(tiny_run.path) if e["event"] == "stage finished"]
    assert stages == STAGES
    assert _events(tiny_run.path)[-1]["event"] == "done"
    assert len((tiny_run.path / "metrics.csv").read_text().splitlines()) >= 2


def test_the_bundle_holds_the_file_that_was_judged(tiny_run):
    bundle = load(tiny_run.path / "bundle")
    (file,) = bundle.files
    assert sha256(bundle.folder / file.path) == file.sha256 == bundle.measured["sha256"]
    assert bundle.labels == ('a "quoted" one', "field", "forêt dense")
    assert bundle.measured["accuracy"] == tiny_run.result["measured"]["accuracy"]
    assert bundle.measured["parity_agreement"] == 1.0
    assert sum(p.numel() for p in network_of(bundle).parameters()) <= 400_000
    assert {"MODEL_CARD.md", "report.html"} <= {p.name for p in bundle.folder.iterdir()}


def test_the_file_alone_predicts_as_the_bundle_does(tiny_run, tmp_path):
    moved = tmp_path / "alone.onnx"
    moved.write_bytes(Path(tiny_run.result["file"]).read_bytes())
    assert predict(moved, [tiny_run.data]) == predict(tiny_run.path / "bundle", [tiny_run.data])
    found = predict(moved, [tiny_run.data])
    assert len(found) == 16
    assert all(p.error is None for p in found)


def test_pictures_that_vanish_in_the_middle_stop_nothing(tiny_run):
    train = json.loads((tiny_run.path / "stages" / "3-train.json").read_text())
    verified = json.loads((tiny_run.path / "stages" / "5-verify.json").read_text())
    assert train["lost"] == [tiny_run.vanished["train"]]
    assert verified["lost"] == [tiny_run.vanished["test"]]
    assert verified["pictures"] == 2


def test_the_page_counts_the_graph_that_ships(tiny_run):
    layers = json.loads((tiny_run.path / "report.json").read_text())["layers"]
    counted = count_file(next((tiny_run.path / "bundle" / "deploy").rglob("model.onnx")))
    assert not {row["kind"] for row in layers} & {"BatchNorm2d", "BatchNormalization"}
    assert sum(row["macs"] for row in layers) == counted.macs


def test_the_page_needs_no_other_file(tiny_run):
    page = (tiny_run.path / "report.html").read_text()
    assert tiny_run.result["model"] in page
    assert "forêt dense" in page
    for outside in ('src="http', "src='http", 'href="http', "@import", "<script src"):
        assert outside not in page


def test_killed_and_gone_on_with(tmp_path, coloured):
    data, run = coloured(tmp_path / "data", seed=1), tmp_path / "run"
    command = [sys.executable, "-m", "gossamer", "fit", str(data), "--within", WITHIN, "--minutes", "0.4"]
    command += ["--out", str(run), "--json"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 300
        while not list(run.glob("train/*/ending/progress.json")) and time.monotonic() < deadline:
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    (progress,) = run.glob("train/*/ending/progress.json")
    before = json.loads(progress.read_text())
    checked = (run / "stages" / "1-check.json").read_bytes()
    assert not (run / "stages" / "3-train.json").exists()

    result = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False, timeout=500)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["met"] is True
    assert (run / "stages" / "1-check.json").read_bytes() == checked, "the same split"
    after = json.loads(progress.read_text())
    assert after["points"][: len(before["points"])] == before["points"]
    assert after["steps"] > before["steps"]
    events = [(e["event"], e.get("stage")) for e in _events(run)]
    cut = events.index(("resumed", None))
    assert ("stage finished", "2-shortlist") in events[:cut]
    kept = [stage for event, stage in events[cut:] if event == "stage kept"]
    assert kept[:3] == ["1-check", "2-shortlist", "3-minutes"]
    finished = [stage for event, stage in events if event == "stage finished"]
    assert sorted(finished) == sorted(STAGES), "each once"

    again = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False, timeout=500)
    assert again.returncode == 0
    assert json.loads(again.stdout) == json.loads(result.stdout)
    ended = [e["event"] for e in _events(run)]
    ended = ended[len(ended) - ended[::-1].index("resumed") :]
    assert set(ended[:-1]) == {"stage kept"}
    assert ended[-1] == "done"


def test_it_ships_the_probe_at_least_and_goes_on_with_more_minutes(gossamer, tmp_path):
    command = (
        "fit",
        "demo:scenes",
        "--within",
        "latency<=50ms, size<=1MB",
        "--out",
        tmp_path / "run",
        "--json",
    )
    code, out, err = gossamer(*command, "--minutes", "0.1")
    first = json.loads(out)
    assert code == 0, err
    assert "minutes are too few on this machine" in err
    assert first["measured"]["accuracy"] > first["probe_accuracy"] - 0.05
    assert first["measured"]["accuracy"] > 0.9
    assert first["starved"] is None or "of the 12 passes it wants" in first["headline"]
    before = json.loads((tmp_path / "run" / "stages" / "3-train.json").read_text())["networks"][0]
    code, out, err = gossamer(*command, "--minutes", "0.8", "--resume")
    assert code == 0, err
    again = json.loads(out)
    after = json.loads((tmp_path / "run" / "stages" / "3-train.json").read_text())["networks"][0]
    assert again["model"] == first["model"]
    assert after["points"][: len(before["points"])] == before["points"]
    assert len(after["points"]) > len(before["points"])
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Linear probe" in page
    assert load(tmp_path / "run" / "bundle").measured["accuracy"] == again["measured"]["accuracy"]


def test_a_budget_that_nothing_meets(gossamer, coloured, tmp_path):
    data = coloured(tmp_path / "data")
    code, out, err = gossamer(
        "fit",
        data,
        "--within",
        "latency<=0.0001ms, params<=0.4M",
        "--minutes",
        "0.1",
        "--out",
        tmp_path / "run",
    )
    assert (code, out) == (1, "")
    last = err.splitlines()[-1]
    assert last.startswith(
        "error: no network of the catalogue meets 'latency <= 0.0001 ms, params <= 400 k' at 64"
    )
    assert "latency binds; the nearest is" in last
    assert last.endswith("raise the limit on latency")
    assert not (tmp_path / "run" / "bundle").exists()
    assert not (tmp_path / "run" / "train").exists()
    assert _events(tmp_path / "run")[-1]["event"] == "goal not met"
