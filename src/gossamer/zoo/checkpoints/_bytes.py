"""Bytes from a stranger: nothing is taken from them that is not there."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from gossamer.errors import ModelError

__all__ = ["ByteReader", "read_bytes", "read_text", "whole_number"]

LARGEST = 2**31 - 1


def read_bytes(path: Path) -> bytes:
    """The content of a regular file.

    Raises:
        ModelError: it is not there or cannot be read.
    """
    try:
        if not path.is_file():  # a device or a pipe never ends
            raise ModelError(f"cannot read weights from {path}: there is no such file; check the path")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"cannot read weights from {path}: {error.strerror}; check the path and its permissions"
        ) from error


def read_text(path: Path) -> str:
    """The content of a text file; bytes that are no UTF-8 (people's comments) become replacement characters.

    Raises:
        ModelError: it is not there or cannot be read.
    """
    return read_bytes(path).decode(errors="replace")


def whole_number(value: object, what: str, path: Path) -> int:
    """A size or a flag, 0 to 2**31 - 1, from text or JSON.

    Raises:
        ModelError: it is anything else; `what` names it.
    """
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= LARGEST:
        shown = repr(value[:40]) if isinstance(value, str) else type(value).__name__
        shown = str(value) if isinstance(value, int) and abs(value) < 10**20 else shown
        raise ModelError(
            f"{path}: {what} is a whole number up to {LARGEST}, got {shown}; give the file as it was published"
        )
    return number


class ByteReader:
    """Tensors from a run of little-endian bytes, first to last, never more than there are."""

    def __init__(self, data: bytes | bytearray, path: Path) -> None:
        self._rest = memoryview(data)
        self._path = path

    def take(self, count: int, dtype: torch.dtype, what: str) -> Tensor:
        """The next `count` values as a flat tensor of its own memory.

        Raises:
            ModelError: fewer are left; `what` names them.
        """
        needed = count * dtype.itemsize
        if needed > len(self._rest):
            raise ModelError(
                f"{self._path} ends too early: {what} needs {needed} bytes, {len(self._rest)} are left; "
                "it is truncated or of another network, fetch it again"
            )
        if not needed:  # frombuffer takes no empty buffer
            return torch.empty(0, dtype=dtype)
        taken, self._rest = self._rest[:needed], self._rest[needed:]
        return torch.frombuffer(bytearray(taken), dtype=dtype)

    def floats(self, shape: tuple[int, ...], what: str) -> Tensor:
        """The next float32 values, in this shape.

        Raises:
            ModelError: fewer are left; `what` names them.
        """
        return self.take(math.prod(shape), torch.float32, what).reshape(shape)

    def finish(self) -> None:
        """Nothing may be left.

        Raises:
            ModelError: there is.
        """
        if self._rest:
            raise ModelError(
                f"{self._path} goes on after its last layer: {len(self._rest)} bytes are left; "
                "it is damaged or of another network, fetch it again"
            )
