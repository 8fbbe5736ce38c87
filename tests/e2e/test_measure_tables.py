"""gossamer measure of several models and sizes: one table, in the terminal and in files; bad input in one line."""

from __future__ import annotations

import csv
import json

import pytest

from gossamer.cost.meter import measure
from gossamer.zoo.build import build

TWO = ("measure", "lcnet_0.25", "shufflenet_v2_0.25")


def test_two_networks_make_a_table(gossamer, tmp_path):
    out_file = tmp_path / "t.csv"
    code, out, err = gossamer(*TWO, "--sort", "macs", "--out", out_file)
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(out_file.read_text().splitlines()))
    assert [row["model"] for row in rows] == ["lcnet_0.25", "shufflenet_v2_0.25"]
    assert int(rows[0]["macs"]) < int(rows[1]["macs"])
    assert f"{int(rows[1]['params']):,}" in out
    code, out, _ = gossamer(*TWO, "--json")
    documents = json.loads(out)
    assert [document["macs"] for document in documents] == [int(row["macs"]) for row in rows]


def test_sizes_and_latency_side_by_side(gossamer, tmp_path):
    page = tmp_path / "t.html"
    code, out, _ = gossamer(
        "measure", "lcnet_0.25", "--sizes", "32,64x96", "--latency", "onnxruntime", "--out", page, "--json"
    )
    assert code == 0
    small, large = json.loads(out)
    assert (small["input"], large["input"]) == ([3, 32, 32], [3, 64, 96])
    assert large["macs"] == measure(build("lcnet_0.25"), (1, 3, 64, 96)).macs
    assert large["latency"]["p50_ms"] > small["latency"]["p50_ms"]
    text = page.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert f'<td class="n">{large["macs"]:,}</td>' in text
    assert "<script" not in text


def test_fused_costs_less_to_move(gossamer):
    plain, fused = (
        json.loads(gossamer("measure", "lcnet_0.25", "--json", *more)[1]) for more in ([], ["--fused"])
    )
    assert fused["macs"] == plain["macs"]
    assert fused["activation_bytes_read"] < plain["activation_bytes_read"]
    assert fused["elementwise"] < plain["elementwise"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*TWO, "--profile"), "look at one network at one size, got 2 model(s)"),
        ((*TWO, "--sort", "mac"), "--sort is one of macs, params, peak, latency, name, got 'mac'"),
        ((*TWO, "--out", "t.txt"), "--out is a .csv, .md or .html file, got t.txt"),
        ((*TWO, "--sizes", "12,x"), "--sizes is a list of sides or HEIGHTxWIDTH, got 'x'"),
        ((*TWO, "--sizes", "64", "--input", "3x64x64"), "--sizes and --input both name the input"),
        (("measure", "lcnet_0.25", "--profile", "--on", "openvin"), "openvin"),
        (("measure", "lcnet_0.25", "--roofline", "--on", "torch"), "--roofline is taken on onnxruntime"),
        (
            ("measure", "lcnet_0.25", "--predict", "--precision", "int4"),
            "--precision is one of fp32, int8, got 'int4'",
        ),
        (
            ("measure", "lcnet_0.25", "--precision", "int8"),
            "--precision is of a prediction, got int8; add --predict",
        ),
        (("measure", "none.onnx", "--fused"), "--fused is for networks"),
        (("measure", "none.onnx"), "which does not exist; check the path"),
    ],
)
def test_bad_input_is_one_line(gossamer, arguments, words):
    code, out, err = gossamer(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
