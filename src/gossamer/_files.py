"""Files that appear whole or not at all, and digests of them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gossamer.errors import DataError, RunFolderError

__all__ = [
    "atomic_folder",
    "atomic_path",
    "cache_folder",
    "new_folder",
    "sha256",
    "write_bytes",
    "write_json",
    "write_text",
]


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; on a clean exit what was written there takes its place in one step.

    Raises:
        RunFolderError: the folder is read-only or the disk is full; nothing is left behind.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise folder_error(error, path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` to write into; on a clean exit it takes the place of what stood there, whole.

    What a killed process wrote stays beside it under a name that begins with a dot, until the next one starts.

    Raises:
        RunFolderError: the folder is read-only or the disk is full; what stood there is as it was.
    """
    new, old = (path.with_name(f".{path.name}.{age}") for age in ("new", "old"))
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        yield new
        if path.is_dir():
            shutil.rmtree(old, ignore_errors=True)
            path.replace(old)
        new.replace(path)
    except OSError as error:
        raise folder_error(error, path) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` to write into; on a clean exit it becomes `path`, whole. Several processes may do so at once.

    Raises:
        DataError: `path` holds something already.
        RunFolderError: the place is read-only or the disk is full.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise DataError(
            f"made-up pictures go into a new or empty folder, got {path}; name another one or delete it"
        )
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        yield temporary
        temporary.chmod(0o755)
        if path.exists():
            path.rmdir()
        temporary.rename(path)
        temporary = None
    except OSError as error:
        raise folder_error(error, path) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def folder_error(error: OSError, path: Path) -> RunFolderError:
    """The error for a person behind a failed write."""
    reasons = {
        errno.ENOSPC: "the disk is full; free some space and run the same command with --resume",
        errno.EDQUOT: "the disk quota is used up; free some space and run the same command with --resume",
        errno.EROFS: "the file system is read-only; give another folder with --out",
        errno.EACCES: "there is no permission to write there; give another folder with --out",
        errno.EPERM: "there is no permission to write there; give another folder with --out",
        errno.ENOTDIR: "a file stands where a folder is needed; give another folder with --out",
        errno.EEXIST: "a file stands where a folder is needed; give another folder with --out",
    }
    reason = reasons.get(
        error.errno or 0, f"{error.strerror or error}; check the disk or give another folder with --out"
    )
    return RunFolderError(f"cannot write {path}: {reason}")


def cache_folder() -> Path:
    """This person's folder for what can be made again: gossamer below XDG_CACHE_HOME, by default below ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gossamer"


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes by atomic rename."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text by atomic rename."""
    write_bytes(path, text.encode())


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document, indented, by atomic rename."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(path, text.encode("utf-8", "backslashreplace").decode())  # a name that is no UTF-8: \udce9


def sha256(path: Path) -> str:
    """The file's SHA-256, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
