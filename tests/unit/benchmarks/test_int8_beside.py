"""NNCF beside our int8: its process is read back, its failure told, and its absence."""

from __future__ import annotations

import json

import numpy as np
import pytest
from benchmarks import _int8_beside, int8_accuracy
from benchmarks.int8_mobilenet_v3 import Judged


@pytest.fixture
def python(tmp_path, monkeypatch):
    """Write what stands for the peers' Python."""
    monkeypatch.setattr(_int8_beside, "ENVIRONMENT", tmp_path)
    (tmp_path / "bin").mkdir()

    def write(*lines):
        file = tmp_path / "bin" / "python"
        file.write_text("\n".join(["#!/bin/sh", *lines]))
        file.chmod(0o755)

    return write


def test_the_last_line_is_read_back(python, tmp_path):
    found = {
        "fp32": {"answers": [1, 2], "bytes": 40},
        "NNCF": {
            "answers": [1, 0],
            "seconds": 2.5,
            "bytes": 10,
            "ratio": [0.5, 0.4, 0.6],
            "cpu_ratio": 0.45,
            "float": {"Math": 3},
        },
    }
    python('echo "asked $*" >&2', "echo Statistics collection", f"echo '{json.dumps(found)}'")
    rows = _int8_beside.peer_rows(tmp_path, ["NNCF"])
    assert list(rows) == ["fp32", "NNCF"]
    assert rows["NNCF"].answers.tolist() == [1, 0]
    assert (rows["NNCF"].bytes, rows["NNCF"].seconds, rows["NNCF"].ratio) == (10, 2.5, (0.5, 0.4, 0.6))
    assert rows["NNCF"].float_operators == {"Math": 3}
    told = int8_accuracy._told(rows["NNCF"], rows["fp32"].answers, np.array([1, 1]))
    assert told == "top-1 50.00 %, agrees 50.00 %, 0.00 MB, 0.50 of the time, 2.5 CPU s"


def test_a_peer_that_stops_says_why(python, tmp_path):
    python("echo first >&2", "echo 'ValueError: no such operator' >&2", "exit 1")
    with pytest.raises(RuntimeError, match="could not be run: ValueError: no such operator"):
        _int8_beside.peer_rows(tmp_path, ["NNCF"])


def test_without_nncf_the_benchmark_says_so(python, tmp_path):
    assert not _int8_beside.installed()
    lines = list(int8_accuracy._peers("net", [], None, None, tmp_path))
    assert lines == [f"net: {_int8_beside.MISSING}"]
    package = tmp_path / "lib" / "python3.11" / "site-packages" / "nncf"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    assert _int8_beside.installed()


def test_validation_and_test_are_told_apart():
    judged = Judged([], np.array([0, 0, 0, 0, 1, 1]), first_test=4)
    answers = np.array([0, 0, 0, 1, 1, 1])
    assert judged.points(answers, "val") == 75
    assert judged.points(answers, "test") == 100
