"""gossamer bench, and measure on a file: side by side, sorted, as JSON and tables, and what it is told in vain."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gossamer.cli import app
from gossamer.cli._common import run
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.types import Size
from gossamer.zoo.build import build

SMALL = "shufflenet_v2_0.25"
FAST = ["--seconds", "0.05", "--input", "3x64x64"]


def _call(capsys, *arguments):
    code = run(app, list(map(str, arguments)))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def file(tmp_path):
    network = build("mobilenet_v2_0.25", num_classes=5).eval()
    get_runtime("onnxruntime").export(network, InputContract(Size(64, 64)), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_a_name_and_a_file_side_by_side(capsys, file):
    code, out, _ = _call(capsys, "bench", SMALL, file, *FAST, "--threads", "1,2", "--sort", "macs", "--json")
    assert code == 0
    rows = json.loads(out)
    assert [row["threads"] for row in rows] == [1, 1, 2, 2]
    assert {row["model"] for row in rows} == {SMALL, str(file)}
    for row in rows:
        assert row["input"] == [3, 64, 64]
        assert 0 < row["p50_ms"] <= row["p95_ms"]
        assert row["size_bytes"] > row["params"]
    assert rows[0]["macs"] == rows[2]["macs"] < rows[1]["macs"] == rows[3]["macs"]


def _graph(path, kind, sides):
    """A convolution of 3 bands, as others write it: its input in bytes or floats, sizes open or not."""
    weights = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["f", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, [1, 3, *sides])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, None, None])],
        [weights],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.FLOAT])
def test_a_file_with_open_sizes_takes_the_input_that_is_given(capsys, tmp_path, kind):
    file = _graph(tmp_path / "m.onnx", kind, ["h", "w"])
    code, out, _ = _call(capsys, "bench", file, "--seconds", "0.05", "--input", "3x16x20", "--json")
    assert code == 0
    (row,) = json.loads(out)
    assert (row["input"], row["macs"], row["params"]) == ([3, 16, 20], 27 * 4 * 14 * 18, 108)


def test_a_file_of_another_size_is_refused(capsys, tmp_path):
    file = _graph(tmp_path / "m.onnx", TensorProto.UINT8, [8, 8])
    code, out, err = _call(capsys, "bench", file, "--seconds", "0.05", "--input", "3x16x16")
    assert (code, out) == (2, "")
    assert "takes an input of 3x8x8, got --input 3x16x16; leave it out or give that shape" in err


def test_ratios_to_the_first(capsys, file):
    code, out, _ = _call(capsys, "bench", file, SMALL, *FAST, "--compare", "--json")
    assert code == 0
    (ratio,) = json.loads(out)["ratios"]
    assert ratio["model"] == f"{SMALL} fp32"
    assert 0 < ratio["low"] <= ratio["ratio"] <= ratio["high"]


def test_a_file_that_cannot_be_counted_is_timed(capsys):
    """The packed file of a bundle: its weights are in no graph."""
    bundle = Path(__file__).parents[1] / "samples" / "earlier_bundles" / "pack"
    code, out, _ = _call(capsys, "bench", bundle, "--on", "packed", *FAST[:2], "--sort", "macs", "--json")
    assert code == 0
    (row,) = json.loads(out)
    assert (row["precision"], row["params"], row["macs"]) == ("packed", None, None)
    assert row["input"] == [3, 64, 64]
    assert row["p50_ms"] > 0


@pytest.mark.parametrize("suffix", [".csv", ".md"])
def test_tables(capsys, file, tmp_path, suffix):
    code, out, err = _call(capsys, "bench", file, *FAST[:2], "--out", tmp_path / f"t{suffix}")
    assert code == 0
    assert str(file) in out
    assert "timing 1 files in turns" in err
    text = (tmp_path / f"t{suffix}").read_text()
    if suffix == ".csv":
        (row,) = csv.DictReader(text.splitlines())
        assert row["model"] == str(file)
    else:
        assert len(text.splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((SMALL, "--threads", "0"), "--threads is a list of whole numbers from 1 to 1,024, got '0'; write e.g. 1,2"),
        ((SMALL, "--sort", "latencie"), "--sort is latency or macs or params or size or name, got 'latencie'; did you mean 'latency'?"),
        ((SMALL, "--seconds", "0"), "seconds is between 0.001 and 3,600, got 0; use e.g. --seconds 1"),
        ((SMALL, "--out", "t.xls"), "--out is a .csv, .md or .html file, got t.xls"),
        (("none.onnx",), "a model is a name, a bundle or a file, got none.onnx, which does not exist; check the path"),
        (("shufflenet_v9",), "the catalogue has no network 'shufflenet_v9'"),
    ],
)  # fmt: skip
def test_bad_usage(capsys, arguments, message):
    code, out, err = _call(capsys, "bench", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_measure_counts_a_file_without_torch(capsys, file, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    code, out, _ = _call(capsys, "measure", file, "--layers", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["input"] == [3, 64, 64]
    assert document["macs"] == sum(layer["macs"] for layer in document["layers"]) > 0


def test_measure_times_and_profiles_a_file(capsys, file):
    code, out, _ = _call(capsys, "measure", file, "--latency", "onnxruntime", "--profile", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["latency"]["precision"] == "as stored"
    assert document["profile"]["nodes"]


def test_measure_a_file_that_is_not_there(capsys):
    code, _, err = _call(capsys, "measure", "none.onnx")
    assert code == 2
    assert "got none.onnx, which does not exist" in err


def test_measure_wants_a_thread_before_it_measures(capsys):
    code, out, err = _call(capsys, "measure", SMALL, "--latency", "onnxruntime", "--threads", "0")
    assert (code, out) == (2, "")
    assert "--threads is between 1 and 1,024, got 0; use e.g. --threads 1" in err


def test_a_prediction_is_made_of_blocks_and_kept(capsys, tmp_path):
    arguments = [
        "measure",
        SMALL,
        "--input",
        "3x64x64",
        "--predict",
        "--table",
        tmp_path / "t.sqlite",
        "--json",
    ]
    code, out, _ = _call(capsys, *arguments)
    assert code == 0
    first = json.loads(out)["prediction"]
    assert first["latency_ms"] > 0
    assert (first["low_ms"], first["extrapolated"]) == (None, False)
    again = json.loads(_call(capsys, *arguments)[1])["prediction"]
    assert again == first, "the blocks of the table are not timed again"


def test_a_file_has_no_blocks_to_predict_from(capsys, file):
    code, _, err = _call(capsys, "measure", file, "--predict")
    assert code == 2
    assert "a prediction is made of a network's blocks, got a file; time it with --latency" in err
