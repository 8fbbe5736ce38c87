"""What a .tflite file says of itself: operators, tensors, the contract behind them (no interpreter, no torch).

The contract is a file in a ZIP archive at the end, where TensorFlow Lite keeps what goes along with a model (its
metadata documentation, "associated files"): interpreters stop where the flatbuffer ends, and any unzip reads it.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gossamer._files import atomic_path
from gossamer.errors import BundleError
from gossamer.files.metadata import METADATA_KEY, MOST_METADATA_BYTES

__all__ = ["FLOAT", "Operator", "Tensor", "read_metadata_props", "read_operators", "write_metadata"]

FLOAT = frozenset({"FLOAT32", "FLOAT16"})
"""Kinds of tensors that are not integers."""
_NOTE = f"{METADATA_KEY}.json"
_DATED = (1980, 1, 1, 0, 0, 0)
"""Equal contents give equal files."""


class Tensor(NamedTuple):
    """An operand or result."""

    name: str
    shape: tuple[int, ...]
    kind: str
    """By the schema's names: FLOAT32, INT8 ..."""
    values: NDArray[np.uint8] | None
    """Bytes of a stored one."""


class Operator(NamedTuple):
    """A node, by the schema's name (CONV_2D ...)."""

    kind: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def read_operators(path: Path) -> list[Operator]:
    """The operators of the main graph, in the order they run; every part of the file is looked at.

    Raises:
        BundleError: the file is missing or damaged.
    """
    from ai_edge_litert import schema_py_generated as schema

    if not path.is_file():
        raise BundleError(f"no such model file: {path}; check the path")
    data = path.read_bytes()
    try:
        if data[4:8] != b"TFL3":
            raise ValueError("it does not begin as one")
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
        return _operators(model, data)
    except Exception as error:  # flatbuffers reads at whatever place a damaged file names
        reason = " ".join(str(error).split())[:160]
        raise BundleError(f"{path} is no LiteRT file that can be run ({reason}); export it again") from error


def _operators(model: Any, data: bytes) -> list[Operator]:
    graph = model.subgraphs[0]
    stored = [_content(buffer, data) for buffer in model.buffers]
    tensors = [_tensor(each, stored) for each in graph.tensors]
    named = [_names("BuiltinOperator")[_code(each)] for each in model.operatorCodes]
    return [
        Operator(
            named[node.opcodeIndex],
            tuple(tensors[i] for i in node.inputs if i >= 0),
            tuple(tensors[i] for i in node.outputs),
        )
        for node in graph.operators
    ]


def _code(operator: Any) -> int:
    """Codes below 127 stand in a byte of their own in old files."""
    return int(max(operator.builtinCode, operator.deprecatedBuiltinCode))


def _content(buffer: Any, data: bytes) -> NDArray[np.uint8] | None:
    """Inside the flatbuffer, or, as the quantizer writes it, behind it at a place that is named."""
    if buffer.offset <= 1:  # 0 and 1 mean that it is inside
        found: NDArray[np.uint8] | None = buffer.data
        return found
    return np.frombuffer(data, np.uint8, buffer.size, buffer.offset)


def _tensor(tensor: Any, stored: Sequence[NDArray[np.uint8] | None]) -> Tensor:
    shape = () if tensor.shape is None else tuple(int(side) for side in tensor.shape)
    kind = _names("TensorType")[tensor.type]
    return Tensor(tensor.name.decode(), shape, kind, stored[tensor.buffer])


@cache
def _names(enumeration: str) -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    values = vars(getattr(schema, enumeration))
    return {value: name for name, value in values.items() if isinstance(value, int)}


def write_metadata(path: Path, document: Mapping[str, Any]) -> None:
    """Write contract, labels and provenance behind the network, in place of those the file holds."""
    end, kept = _behind_network(path)
    with atomic_path(path) as temporary:
        shutil.copyfile(path, temporary)
        with temporary.open("r+b") as file:
            file.truncate(end)
        with zipfile.ZipFile(temporary, "a") as archive:
            for entry, content in kept:
                archive.writestr(entry, content)
            note = json.dumps(document, ensure_ascii=False, allow_nan=False)
            archive.writestr(zipfile.ZipInfo(_NOTE, _DATED), note)


def _behind_network(path: Path) -> tuple[int, list[tuple[zipfile.ZipInfo, bytes]]]:
    """(where the archive begins, the file's end where it has none; what others put into it)."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            kept = [(entry, _inflated(archive, entry, path)) for entry in entries if entry.filename != _NOTE]
            return min((entry.header_offset for entry in entries), default=archive.start_dir), kept
    except zipfile.BadZipFile:
        return path.stat().st_size, []


def read_metadata_props(path: Path) -> dict[str, str]:
    """What `write_metadata` wrote, by its key; empty where nothing was.

    Raises:
        BundleError: what stands there is too large, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if _NOTE not in archive.namelist():
                return {}
            return {METADATA_KEY: _inflated(archive, archive.getinfo(_NOTE), path).decode()}
    except zipfile.BadZipFile:
        return {}
    except UnicodeDecodeError as error:
        raise BundleError(
            f"the input contract in {path} is damaged (it is no UTF-8); export the file again"
        ) from error


def _inflated(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> bytes:
    """A file of the archive, never more of it than metadata have.

    Raises:
        BundleError: it is larger, or damaged.
    """
    try:
        with archive.open(entry) as file:
            data = file.read(MOST_METADATA_BYTES + 1)
    except Exception as error:  # each way of packing raises its own
        reason = " ".join(str(error).split())[:160]
        raise BundleError(
            f"what lies behind the network in {path} is damaged ({reason}); export it again"
        ) from error
    if len(data) > MOST_METADATA_BYTES:
        raise BundleError(
            f"what lies behind a network has at most {MOST_METADATA_BYTES} bytes, {entry.filename!r} in {path} has more; "
            "export it again"
        )
    return data
