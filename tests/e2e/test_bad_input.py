"""What bad input gets: one line that says rule, value and next step, exit code 2, nothing written."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import zlib

import pytest

BUDGET = ("--within", "size<=1MB")


def _snapshot(folder):
    """Every file below with its bytes."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def refused(gossamer, tmp_path, monkeypatch):
    """`refused(message, *arguments)`: exit code 2, one line with the message, and the folder as it was."""
    monkeypatch.chdir(tmp_path)

    def call(message, *arguments):
        before = _snapshot(tmp_path)
        code, out, err = gossamer(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert message in err
        assert "Traceback" not in err
        assert _snapshot(tmp_path) == before
        return err

    return call


def _huge_png(side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("verb", ["fit", "check"])
class TestData:
    @pytest.fixture
    def extra(self, verb, tmp_path):
        return (*BUDGET, "--out", tmp_path / "run") if verb == "fit" else ()

    def test_an_empty_folder(self, refused, verb, extra, tmp_path):
        (tmp_path / "data").mkdir()
        refused(
            "data has no sub-folders with pictures in them; put the pictures of each class into a folder",
            verb,
            "data",
            *extra,
        )

    def test_one_class(self, refused, verb, extra, pictures):
        root = pictures({"only": 6})
        refused(
            "needs at least 2 classes with pictures, " + str(root) + " has only 'only'; add a folder a class",
            verb,
            root,
            *extra,
        )

    def test_a_path_that_is_not_there(self, refused, verb, extra):
        refused("no such folder: nowhere; check the path, or use demo:scenes", verb, "nowhere", *extra)

    def test_a_file(self, refused, verb, extra, tmp_path):
        (tmp_path / "a.zip").write_bytes(b"PK")
        refused(
            "data is a folder, a CSV table or a file of annotations, a.zip is none of these",
            verb,
            "a.zip",
            *extra,
        )

    def test_an_unknown_demo(self, refused, verb, extra):
        refused("demo data are demo, demo:scenes or demo:boxes, got 'demo:cats'", verb, "demo:cats", *extra)

    def test_a_word_that_is_none(self, refused, verb, extra, pictures):
        refused(
            "--on-bad is skip or stop, got 'ask'", verb, pictures({"a": 3, "b": 3}), *extra, "--on-bad", "ask"
        )


@pytest.mark.parametrize(
    ("within", "message"),
    [
        (
            "latency<=0ms",
            "no network can have latency of 0 or less, got 'latency<=0ms'; give a value above 0",
        ),
        (
            "speed<1",
            "unknown budget metric 'speed' in 'speed<1'; known: accuracy, ap, ap50, f1, latency, macs, mae, map, memory, miou, params, pixel_accuracy, r2, rmse, size",
        ),
        ("latencey<=1ms", "did you mean 'latency'?"),
        ("size<=1 lightyear", "unknown unit 'lightyear' for size; use B, kB, MB or GB"),
        ("latency<=5", "latency needs a unit (us, ms or s), got 'latency<=5'; write e.g. 'latency<=5ms'"),
        ("size>=1MB", "size takes <= or <, got '>='"),
        ("", "--within is empty, got ''; leave it out, or give a value"),
        (",", "a budget needs at least one limit"),
        ("small please", "a limit reads 'metric op value unit', got 'small please'"),
        ("size<=1MB, size<=2MB", "a budget takes one limit a metric, got size twice"),
        ("size<=nanMB", "a limit reads 'metric op value unit'"),
        ("accuracy>=120%", "accuracy is a share above 0 and at most 1"),
    ],
)
def test_budgets(refused, pictures, tmp_path, within, message):
    root = pictures({"a": 3, "b": 3})
    refused(message, "fit", root, "--within", within, "--out", tmp_path / "run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--on", "onnxruntme"), "unknown runtime 'onnxruntme'; did you mean 'onnxruntime'?"),
        (("--on", "tpu"), "unknown runtime 'tpu'; known: litert, onnxruntime, openvino"),
        (("--threads", "0"), "threads is between 1 and 1,024, got 0; use e.g. --threads 1"),
        (("--minutes", "0"), "minutes is between 0.05 and 10,080, got 0; use e.g. --minutes 20"),
        (("--minutes", "-3"), "minutes is between 0.05"),
        (("--minutes", "nan"), "minutes is between 0.05"),
        (("--max-drop", "200%"), "--max-drop is a share between 0 and 1 or a percentage, got '200%'"),
        (("--view", "side"), "--view is auto or aerial or ground, got 'side'"),
        (("--teacher", "me"), "--teacher is auto or none, got 'me'"),
        (("--seed", "-1"), "seed is between 0 and 2,147,483,648, got -1; use e.g. --seed 1"),
        (("--resume",), "nothing to resume in run; leave out --resume, or name the run's folder with --out"),
        (
            ("--out", "taken"),
            "taken is not empty and nothing is overwritten; continue it with --resume or give another --out",
        ),
        (("--out", "taken/mine.txt"), "nothing is overwritten"),
        (
            ("--out", "taken/mine.txt/run"),
            "a file stands where a folder is needed; give another folder with --out",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options(refused, pictures, tmp_path, arguments, message):
    root = pictures({"a": 3, "b": 3})
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    refused(message, "fit", root, *BUDGET, "--out", "run", *arguments)


@pytest.fixture
def mounted(tmp_path):
    """`mounted(options)`: a tiny file system of its own, where the system lets us."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if (
            shutil.which("mount") is None
            or subprocess.run(command, capture_output=True, check=False).returncode
        ):
            pytest.skip("mounting a tmpfs is not permitted here")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def test_a_read_only_output_folder(refused, pictures, mounted):
    root = pictures({"a": 3, "b": 3})
    disk = mounted("size=64k,ro")
    refused(
        "the file system is read-only; give another folder with --out",
        "fit",
        root,
        *BUDGET,
        "--out",
        disk / "run",
    )


def test_a_full_output_folder(gossamer, pictures, mounted):
    root = pictures({"a": 3, "b": 3})
    disk = mounted("size=64k")
    (disk / "fill").write_bytes(b"x" * 60_000)
    code, out, err = gossamer("fit", root, *BUDGET, "--out", disk / "run")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("error: cannot write ")
    assert err.endswith("the disk is full; free some space and run the same command with --resume\n")


def test_a_full_disk_in_the_middle(gossamer, coloured, tmp_path, mounted):
    disk = mounted("size=200k")
    code, out, err = gossamer(
        "fit", coloured(tmp_path / "data"), "--within", "latency<=200ms, params<=0.4M", "--minutes", "0.1",
        "--out", disk / "run",
    )  # fmt: skip
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith("error: cannot write ")
    assert last.endswith("the disk is full; free some space and run the same command with --resume")
    assert "Traceback" not in err
    assert (disk / "run" / "stages" / "2-shortlist.json").is_file(), "what was finished is kept"


def test_resuming_with_other_data(gossamer, refused, coloured, tmp_path, monkeypatch):
    import gossamer.fit.shortlist as stage

    def interrupt(*_arguments, **_keywords):
        raise KeyboardInterrupt

    data = coloured(tmp_path / "data")
    command = ("fit", data, *BUDGET, "--out", tmp_path / "run")
    monkeypatch.setattr(stage, "make_shortlist", interrupt)
    code, out, err = gossamer(*command)
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted; the same command with --resume goes on"
    other = coloured(tmp_path / "other", seed=5)
    refused("--resume continues the same command, data changed in", "fit", other, *command[2:], "--resume")
    refused("is not empty and nothing is overwritten", *command)
    shutil.copy(data / "field" / "0.png", data / "forêt dense" / "new.png")
    stages = _snapshot(tmp_path / "run" / "stages")
    code, out, err = gossamer(*command, "--resume")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("error: --resume needs the same data, the pictures in ")
    assert err.splitlines()[-1].endswith("start a new run with another --out")
    assert _snapshot(tmp_path / "run" / "stages") == stages


def test_bad_pictures_are_skipped_with_a_line_each(gossamer, coloured, tmp_path):
    data = coloured(tmp_path / "data")
    (data / "field" / "text.jpg").write_text("this is no picture")
    (data / "field" / "empty.png").write_bytes(b"")
    (data / "forêt dense" / "bomb.png").write_bytes(_huge_png(60_000))
    cut = (data / "field" / "0.png").read_bytes()
    (data / "field" / "cut.png").write_bytes(cut[: len(cut) // 2])
    code, out, err = gossamer("check", data, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    bad = {"field/text.jpg", "field/empty.png", "field/cut.png", "forêt dense/bomb.png"}
    assert set(document["skipped"]) == bad
    lines = {f["files"][0]: f["message"] for f in document["findings"] if f["code"] == "unreadable"}
    assert set(lines) == bad
    assert all("\n" not in line and file.split("/")[1] in line for file, line in lines.items())
    assert "claims more (60000x60000)" in lines["forêt dense/bomb.png"].replace(",", "").replace(
        " x ", "x"
    ) or ("may claim at most" in lines["forêt dense/bomb.png"])
    code, out, err = gossamer("check", data, "--on-bad", "stop")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("error: 4 pictures cannot be used and --on-bad is stop; first: ")


def test_only_bad_pictures(gossamer, pictures):
    root = pictures({"a": 3, "b": 3})
    for file in root.rglob("*.png"):
        file.write_text("no picture")
    code, out, err = gossamer("check", root)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "classification needs at least 2 classes with pictures that can be read" in err


def test_networks_that_are_none(refused):
    refused("the catalogue has no network 'mobilenet_v9'; did you mean", "zoo", "mobilenet_v9")
    refused("the catalogue has no network 'mobilenet_v9'; did you mean", "measure", "mobilenet_v9")
    refused("a network is cut after stage 1 to", "measure", "mobilenet_v2[:99]")
    refused(
        "--input is BANDSxHEIGHTxWIDTH, got '3x224'; write e.g. 3x224x224",
        "measure",
        "mobilenet_v2",
        "--input",
        "3x224",
    )
    refused(
        "unknown runtime 'tpu'", "measure", "shufflenet_v2_0.25", "--latency", "tpu", "--input", "3x64x64"
    )
    refused("weights are a source or a file, got mobilenet_v2@nowhere", "measure", "mobilenet_v2@nowhere")


def test_reports_that_are_none(refused, tmp_path):
    refused("holds no finished run (no report.json); run gossamer fit", "report", "nowhere")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.json").write_text('{"title": 3}')
    refused("is damaged", "report", "run")


class TestPredict:
    @pytest.fixture
    def bundle(self, tiny_run, tmp_path):
        return shutil.copytree(tiny_run.path / "bundle", tmp_path / "bundle")

    @pytest.fixture
    def picture(self, pictures):
        return pictures({"a": 1}) / "a" / "000.png"

    def test_models_that_are_none(self, refused, picture, tmp_path):
        refused("no such model file: none.onnx; check the path", "predict", "none.onnx", picture)
        refused(
            "a model is a bundle folder, a .onnx, .tflite or .gsm file, got model.pt",
            "predict",
            "model.pt",
            picture,
        )
        refused("is no bundle (it has no model.json)", "predict", tmp_path, picture)
        (tmp_path / "text.onnx").write_text("this is no network")
        refused("text.onnx is no ONNX file that can be run", "predict", "text.onnx", picture)

    def test_options(self, refused, picture):
        refused(
            "--top is between 1 and 100,000, got 0; use e.g. --top 1",
            "predict",
            "m.onnx",
            picture,
            "--top",
            "0",
        )
        refused(
            "--out is a .coco.json, .csv, .geojson, .json or .jsonl file, got out.txt",
            "predict",
            "m.onnx",
            picture,
            "-o",
            "out.txt",
        )

    @pytest.mark.slow
    def test_a_tampered_file(self, refused, bundle, picture):
        file = next(bundle.glob("deploy/*/model.onnx"))
        file.write_bytes(file.read_bytes()[:-100])
        refused(
            "is not the file that was shipped (its sha256 differs); copy the bundle again",
            "predict",
            bundle,
            picture,
        )
        refused("model.onnx is no ONNX file that can be run", "predict", file, picture)
        file.unlink()
        refused("copy the whole bundle again", "predict", bundle, picture)

    @pytest.mark.slow
    def test_a_damaged_description(self, refused, bundle, picture):
        (bundle / "model.json").write_text("{")
        refused("model.json is damaged", "predict", bundle, picture)

    @pytest.mark.slow
    def test_damaged_weights(self, refused, bundle):
        (bundle / "weights.safetensors").write_bytes(b"x" * 100)
        refused(
            "is not the file that was shipped (its sha256 differs); copy the bundle again", "measure", bundle
        )

    @pytest.mark.slow
    def test_pictures_that_are_not_there(self, refused, bundle, tmp_path):
        refused("no such picture or folder: none.png; check the path", "predict", bundle, "none.png")
        (tmp_path / "empty").mkdir()
        refused("no pictures in empty; give pictures or folders that hold some", "predict", bundle, "empty")

    @pytest.mark.slow
    def test_an_output_that_cannot_be_written(self, gossamer, bundle, picture, tmp_path):
        (tmp_path / "file").write_text("mine")
        code, _, err = gossamer("predict", bundle, picture, "-o", tmp_path / "file" / "out.csv")
        assert code == 2
        assert err.count("\n") == 1
        assert "a file stands where a folder is needed" in err
        assert (tmp_path / "file").read_text() == "mine"
