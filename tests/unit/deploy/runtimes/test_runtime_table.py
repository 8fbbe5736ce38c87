"""The table of runtimes: names, parts, and what is said of a part that is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import RUNTIMES, Runtime, get_runtime, runtime_of_file
from gossamer.deploy.runtimes.convert import convert
from gossamer.errors import UnknownRuntimeError
from gossamer.testing.networks import tiny_networks
from gossamer.types import Size

CONTRACT = InputContract(Size(33, 33))


def test_the_table_and_which_parts_are_there():
    parts = {
        name: (runtime.makes_files, runtime.int8 is not None, runtime.profile is not None)
        for name, runtime in ((name, Runtime(name)) for name in RUNTIMES)
    }
    assert parts == {
        "onnxruntime": (True, True, True),
        "openvino": (True, True, True),
        "litert": (True, True, False),
        "packed": (False, False, False),
        "reference": (True, False, False),
    }


@pytest.mark.parametrize("name", RUNTIMES)
def test_precisions_beside_fp32_are_those_that_int8_makes(name):
    runtime = get_runtime(name)
    lossy = set(runtime.precisions) - {"fp32"}
    assert lossy == (set() if runtime.int8 is None else {"fp16", "int8"})


def test_an_unknown_runtime_is_hinted():
    with pytest.raises(
        UnknownRuntimeError, match=r"unknown runtime 'onnxruntme'; did you mean 'onnxruntime'\?"
    ):
        get_runtime("onnxruntme")


@pytest.mark.parametrize(
    ("file", "runtime"),
    [("a.onnx", "onnxruntime"), ("a.tflite", "litert"), ("a.gsm", "packed"), ("a.pt", None), ("a", None)],
)
def test_a_lone_file_is_of_the_first_runtime_with_its_suffix(file, runtime):
    assert runtime_of_file(Path(file)) == runtime


def test_a_runtime_that_makes_no_files_says_what_does(tmp_path):
    rule = r"^runtime packed runs files and makes none; gossamer compress --method pack makes them$"
    with pytest.raises(UnknownRuntimeError, match=rule):
        get_runtime("packed", making=True)
    with pytest.raises(UnknownRuntimeError, match=rule):
        get_runtime("packed").export(None, CONTRACT, tmp_path / "m.gsm")
    with pytest.raises(
        UnknownRuntimeError, match=r"^runtime packed writes nothing into a file that is there; "
    ):
        get_runtime("packed").write_metadata(tmp_path / "m.gsm", {})


def test_fp32_alone_is_told_where_int8_is_asked_for(tmp_path):
    with pytest.raises(
        UnknownRuntimeError, match=r"int8 are made for onnxruntime, openvino, litert, got 'ref"
    ):
        convert(tmp_path / "fp32.onnx", "int8", [], on="reference")


def test_a_runtime_of_ones_own_stands_in_the_table_for_a_while(tmp_path, monkeypatch):
    folder = tmp_path / "my_runtime"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "run.py").write_text(
        "from gossamer.deploy.runtimes.reference.run import engine, load, missing, precisions\n"
        "suffix = '.mine'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "m.mine"
    get_runtime("reference").export(tiny_networks()["plain"], CONTRACT, path)
    with RUNTIMES.added("mine", "my_runtime"):
        assert runtime_of_file(path) == "mine"
        session = get_runtime("mine").load(path, threads=1)
        assert session.run(np.zeros(CONTRACT.shape, np.float32))[0].shape == (1, 5)
        with pytest.raises(UnknownRuntimeError, match="makes none; choose a runtime that files are exported"):
            get_runtime("mine", making=True)
    with pytest.raises(UnknownRuntimeError, match="unknown runtime 'mine'"):
        get_runtime("mine")
