"""safetensors files: what the header says is held against the file."""

from __future__ import annotations

import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from gossamer.errors import ModelError
from gossamer.zoo.checkpoints import read_checkpoint
from gossamer.zoo.checkpoints.safetensors_file import read


def test_tensors_come_back_floats_as_float32(tmp_path):
    state = {
        "b": torch.arange(6.0).reshape(2, 3),
        "a": torch.tensor([0.5], dtype=torch.float16),
        "n": torch.tensor(3),
    }
    save_file(state, tmp_path / "w.safetensors")
    found = read_checkpoint(tmp_path / "w.safetensors")
    assert set(found) == set(state)
    assert {k: v.dtype for k, v in found.items()} == {
        "b": torch.float32,
        "a": torch.float32,
        "n": torch.int64,
    }
    assert all(torch.equal(found[k], state[k].to(found[k].dtype)) for k in state)


def test_the_file_has_lost_the_networks_order(tmp_path):
    """Why the module says to fill by name."""
    save_file({"conv.weight": torch.ones(1), "bn.bias": torch.ones(1)}, tmp_path / "w.safetensors")
    assert list(read(tmp_path / "w.safetensors")) == ["bn.bias", "conv.weight"]


def _file(path, shape, end, values=b"\x00" * 8):
    header = json.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + values)


def test_the_smallest_file(tmp_path):
    _file(tmp_path / "w.safetensors", [2], 8)
    assert read(tmp_path / "w.safetensors")["w"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("shape", "end", "values"),
    [
        ([10**12], 4 * 10**12, bytes(8)),
        ([10**12], 8, bytes(8)),
        ([2], 8, bytes(4)),
        ([2], 8, bytes(9)),
    ],
    ids=["oversize", "shape beyond its bytes", "truncated", "trailing"],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path, shape, end, values):
    _file(tmp_path / "w.safetensors", shape, end, values)
    with pytest.raises(
        ModelError,
        match=r"cannot read weights from .*w\.safetensors: .+; give a \.safetensors file or a torch state dict$",
    ):
        read(tmp_path / "w.safetensors")


@pytest.mark.parametrize("content", [b"", b"these are no weights", struct.pack("<Q", 10**12) + b"{}"])
def test_no_safetensors_file_is_refused(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot read weights from .*w\.safetensors"):
        read(tmp_path / "w.safetensors")
