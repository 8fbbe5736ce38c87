"""The table of weight formats: what a path is says which reader it gets, and an error says what is known."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import gossamer.zoo.checkpoints as package
from gossamer.errors import ModelError
from gossamer.zoo.checkpoints import READERS, read_checkpoint

FOLDER = Path(package.__file__).parent


def test_the_table_is_what_the_folder_holds():
    modules = {f"{package.__name__}.{file.stem}" for file in FOLDER.glob("[a-z]*.py")}
    assert {reader.module for reader in READERS} == modules
    assert len({reader.name for reader in READERS}) == len(READERS)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_row_names_a_reader_and_says_what_to_give(reader):
    module = importlib.import_module(reader.module)
    assert module.__all__[-1] == "read"
    assert "Raises:\n        ModelError: " in module.read.__doc__
    assert all(suffix in reader.give for suffix in reader.suffixes if suffix not in ("/", ".json"))


def test_a_suffix_belongs_to_one_row_unless_a_partner_decides():
    plain = [suffix for reader in READERS if not reader.partner for suffix in reader.suffixes]
    assert len(set(plain)) == len(plain)
    assert {(r.name, r.partner) for r in READERS if r.partner} == {("ncnn", ".param")}
    assert READERS[0].partner  # asked before torch, which takes every other .bin


def test_the_table_needs_no_torch():
    code = f"import sys; import {package.__name__}; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


@pytest.mark.parametrize(
    "name", ["w.pth", "w.PT", "w.bin", "model.pth.tar", "w.th", "w.ckpt", "weights", "w.zip"]
)
@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files_are_known_by_suffix_or_first_bytes(tmp_path, name, zipped):
    state = {"a.weight": torch.tensor([1.0, 2.0])}
    torch.save(state, tmp_path / name, _use_new_zipfile_serialization=zipped)
    assert read_checkpoint(tmp_path / name)["a.weight"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", ["w.safetensors", "W.SAFETENSORS"])
def test_a_suffix_is_known_in_either_case(tmp_path, name):
    save_file({"a.weight": torch.ones(1)}, tmp_path / name)
    assert list(read_checkpoint(tmp_path / name)) == ["a.weight"]


def test_a_bin_beside_a_param_is_ncnns(tmp_path):
    torch.save({"a.weight": torch.ones(1)}, tmp_path / "w.bin")
    assert list(read_checkpoint(tmp_path / "w.bin")) == ["a.weight"]
    (tmp_path / "w.param").write_text("7767517\n1 1\nInput data 0 1 data\n")
    with pytest.raises(ModelError, match=r"w\.bin goes on after its last layer"):
        read_checkpoint(tmp_path / "w.bin")


@pytest.mark.parametrize("name", ["w.npz", "notes.txt", "weights"])
def test_an_unknown_format_lists_the_known(tmp_path, name):
    (tmp_path / name).write_bytes(b"these are no weights")
    known = (
        "ncnn: .param or .bin, the other beside it; torch: .pth .pt .bin .tar .th; safetensors: .safetensors; "
        "TF.js: the folder of model.json; Keras: .h5 .hdf5; darknet: .weights, the .cfg beside it; "
        "Deep Compression: SqueezeNet's .net"
    )
    message = f"weights are known by their suffix, got {tmp_path / name}; give one of {known}"
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        read_checkpoint(tmp_path / name)


def test_an_empty_file_without_suffix_is_unknown(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(ModelError, match="weights are known by their suffix"):
        read_checkpoint(tmp_path / "empty")


def test_a_folder_without_model_json_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"a folder of weights holds a TF\.js model\.json, .* does not"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["w.pth", "w.weights", "gone", "a" * 300 + ".pth"])
def test_a_path_that_is_not_there_is_refused(tmp_path, name):
    with pytest.raises(ModelError, match=r"got .*neither; check the path|File name too long; check the path"):
        read_checkpoint(tmp_path / name)


def test_devices_and_pipes_are_no_files():
    with pytest.raises(ModelError, match="got /dev/zero, which is neither"):
        read_checkpoint(Path("/dev/zero"))
