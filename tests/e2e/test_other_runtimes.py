"""train, bench, compress and predict on OpenVINO and LiteRT, end to end on pictures that a colour tells apart."""

from __future__ import annotations

import json

import pytest
from tests.e2e.conftest import write_coloured

from gossamer.deploy.bundle import load
from gossamer.files.metadata import read_metadata

pytestmark = pytest.mark.slow
SUFFIX = {"openvino": ".onnx", "litert": ".tflite"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_coloured(tmp_path_factory.mktemp("runtimes") / "data", count=9)


@pytest.mark.parametrize("on", SUFFIX)
def test_a_bundle_is_made_timed_cut_and_used(gossamer, data, tmp_path, on):
    run = tmp_path / "run"
    network = ("--model", "shufflenet_v2_0.25", "--size", "32", "--epochs", "1")
    code, out, _ = gossamer("train", data, *network, "--on", on, "--out", run, "--json")
    assert code == 0
    assert f"on {on}" in json.loads(out)["headline"]

    bundle = load(run / "bundle")
    file = bundle.folder / bundle.files[0].path
    assert (bundle.files[0].runtime, file.suffix) == (on, SUFFIX[on])
    assert read_metadata(bundle.session().metadata, file)["labels"] == list(bundle.labels)

    code, out, _ = gossamer("bench", bundle.folder, "--on", on, "--seconds", "0.05", "--json")
    (row,) = json.loads(out)
    assert (code, row["runtime"], row["input"]) == (0, on, [3, 32, 32])
    assert row["macs"] > row["params"] > 0

    cut = tmp_path / "cut"
    code, out, _ = gossamer(
        "compress", bundle.folder, "--method", "prune:macs=70%", "--on", on, "--out", cut, "--json"
    )
    assert code == 0
    shipped = load(cut / "bundle")
    smaller = shipped.folder / shipped.files[0].path
    assert smaller.stat().st_size < file.stat().st_size
    assert read_metadata(shipped.session().metadata, smaller)["labels"] == list(bundle.labels)

    code, out, _ = gossamer("predict", shipped.folder, data, "--json")
    rows = json.loads(out)
    assert code == 0
    assert {row["label"] for row in rows} <= set(bundle.labels)
    assert len(rows) == 27
