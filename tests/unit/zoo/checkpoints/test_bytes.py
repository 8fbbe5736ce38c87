"""Bytes from a stranger: what is not there is not taken, and no memory is asked for it."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
import torch

from gossamer.errors import ModelError
from gossamer.zoo.checkpoints._bytes import ByteReader, read_bytes, read_text, whole_number

PATH = Path("w.bin")


def test_values_come_first_to_last_in_memory_of_their_own():
    data = struct.pack("<Bhfi", 7, -2, 1.5, 9)[:1] + struct.pack("<hfi", -2, 1.5, 9)
    source = ByteReader(data, PATH)
    small = source.take(1, torch.uint8, "small")
    assert small.tolist() == [7]
    assert source.take(1, torch.int16, "odd place").tolist() == [-2]
    assert source.take(0, torch.float32, "none").tolist() == []
    assert source.floats((1, 1), "block").tolist() == [[1.5]]
    assert source.take(1, torch.int32, "last").tolist() == [9]
    source.finish()
    small += 1
    assert data[0] == 7


@pytest.mark.parametrize("count", [3, 10**12, 10**40])
def test_more_than_is_there_is_refused_before_memory_is_asked_for(count):
    source = ByteReader(b"12345678", PATH)
    message = (
        f"w.bin ends too early: conv1 needs {4 * count} bytes, 8 are left; "
        "it is truncated or of another network, fetch it again"
    )
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        source.take(count, torch.float32, "conv1")
    assert source.floats((2,), "still there").shape == (2,)


def test_what_is_left_over_is_counted():
    source = ByteReader(b"12345", PATH)
    source.floats((1,), "first")
    with pytest.raises(
        ModelError, match=r"^w\.bin goes on after its last layer: 1 bytes are left; it is damaged"
    ):
        source.finish()


@pytest.mark.parametrize(("value", "number"), [("0", 0), (" 12 ", 12), (3, 3), (2**31 - 1, 2**31 - 1)])
def test_whole_numbers(value, number):
    assert whole_number(value, "size", PATH) == number


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("-1", "'-1'"),
        ("1e3", "'1e3'"),
        ("9" * 5000, f"'{'9' * 40}'"),
        (2**31, str(2**31)),
        (10**30, "int"),
        (-1, "-1"),
        (True, "True"),
        (1.0, "float"),
        (None, "NoneType"),
        ([1], "list"),
    ],
)
def test_other_sizes_are_refused(value, shown):
    message = (
        f"w.bin: size is a whole number up to {2**31 - 1}, got {shown}; give the file as it was published"
    )
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        whole_number(value, "size", PATH)


@pytest.mark.parametrize("name", ["gone", "a" * 300, "."])
def test_what_is_no_file_is_refused(tmp_path, name):
    with pytest.raises(ModelError, match=r"^cannot read weights from .*; check the path"):
        read_bytes(tmp_path / name)


def test_text_in_any_encoding_is_read(tmp_path):
    (tmp_path / "t").write_bytes(b"size=3 # \xd6\xd0")
    assert read_text(tmp_path / "t").startswith("size=3 # ")
