"""Files appear whole or not at all, and a failed write tells the next step."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from gossamer._files import atomic_path, sha256, write_bytes, write_json, write_text
from gossamer.errors import RunFolderError


def _names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_written_whole_with_folders_and_readable_mode(tmp_path):
    target = tmp_path / "a" / "b" / "note.txt"
    write_text(target, "élan\n")
    assert target.read_bytes() == "élan\n".encode()
    assert _names(target.parent) == ["note.txt"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_a_write_replaces_what_stood_there(tmp_path):
    target = tmp_path / "x.bin"
    write_bytes(target, b"old and long")
    write_bytes(target, b"new")
    assert target.read_bytes() == b"new"


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "x.bin"
    write_bytes(target, b"old")

    def fail_half_way():
        with atomic_path(target) as temporary:
            temporary.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert target.read_bytes() == b"old"
    assert _names(tmp_path) == ["x.bin"]


def test_nothing_appears_before_the_end(tmp_path):
    target = tmp_path / "x.npy"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        assert not target.exists()
        assert temporary.suffix == ".npy"
        assert temporary.parent == target.parent
        assert temporary.name.startswith(".")
    assert target.read_bytes() == b"half"


def test_keyboard_interrupt_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "x"):
        raise KeyboardInterrupt
    assert _names(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "the disk is full; free some space and run the same command with --resume"),
        (errno.EDQUOT, "the disk quota is used up; free some space"),
        (errno.EROFS, "the file system is read-only; give another folder with --out"),
        (errno.EACCES, "there is no permission to write there; give another folder with --out"),
        (errno.EPERM, "there is no permission to write there"),
        (errno.EIO, "Input/output error; check the disk or give another folder with --out"),
    ],
)
def test_a_failed_write_names_the_file_and_the_next_step(tmp_path, monkeypatch, code, reason):
    def fail(self: Path, data: bytes) -> int:
        raise OSError(code, os.strerror(code))

    target = tmp_path / "x.json"
    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(RunFolderError) as caught:
        write_bytes(target, b"data")
    assert str(caught.value).startswith(f"cannot write {target}: {reason}")
    assert _names(tmp_path) == []


def test_a_read_only_folder_is_named(tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> tuple[int, str]:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", fail)
    with pytest.raises(
        RunFolderError, match=r"cannot write .*x: there is no permission to write there; give another"
    ):
        write_text(tmp_path / "x", "data")


def test_a_disk_that_fills_up_at_the_last_moment(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "x"
    write_text(target, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFolderError, match="the disk is full; free some space"):
        write_text(target, "new")
    assert target.read_text() == "old"
    assert _names(tmp_path) == ["x"]


def test_a_file_where_a_folder_is_needed(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(RunFolderError, match="a file stands where a folder is needed; give another folder"):
        write_text(tmp_path / "run" / "config.yaml", "x")
    with pytest.raises(RunFolderError, match="a file stands where a folder is needed"):
        write_text(tmp_path / "run" / "deeper" / "config.yaml", "x")
    assert (tmp_path / "run").read_text() == "a file"


def test_json_is_indented_unicode_and_strict(tmp_path):
    target = tmp_path / "x.json"
    write_json(target, {"class": "forêt", "n": [1, 2]})
    text = target.read_text(encoding="utf-8")
    assert "forêt" in text
    assert text.endswith("}\n")
    assert json.loads(text) == {"class": "forêt", "n": [1, 2]}
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(target, {"n": float("nan")})
    assert json.loads(target.read_text()) == {"class": "forêt", "n": [1, 2]}


def test_sha256_is_the_files(tmp_path):
    target = tmp_path / "x"
    target.write_bytes(b"abc")
    assert sha256(target) == hashlib.sha256(b"abc").hexdigest()
