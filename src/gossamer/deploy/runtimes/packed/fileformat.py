"""The container of packed weights: magic, version, metadata, table of tensors, graph, payload, checksum; checked when read.

`docs/reference/packed.md` gives it byte by byte. Nothing is allocated for a length before it is held against the bytes
that are there, and no tensor before its shape is held against the size of the file.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gossamer._documents import parse_json
from gossamer.deploy.runtimes.packed.bytestream import ByteReader, ByteWriter, damaged
from gossamer.deploy.runtimes.packed.codecs import CODECS
from gossamer.deploy.runtimes.packed.integers import CODERS, Coder
from gossamer.deploy.runtimes.packed.settings import KINDS
from gossamer.errors import BundleError, ModelError

__all__ = ["MAGIC", "VERSION", "Content", "Row", "assemble", "dissect"]

MAGIC = b"\x89GSMR\r\n\n"
"""Not text, and no longer itself after a transfer that changes line ends."""
VERSION = 2
"""A file without a graph is written as version 1, which has no place for one."""
_HEADER = struct.Struct("<8sHHIIQ")
_GRAPH = struct.Struct("<I")
_CRC = struct.Struct("<I")
MOST_TEXT_BYTES = 1 << 22
"""Bytes that metadata, table and graph may have when inflated, each."""
MOST_WEIGHTS = 1 << 28
WEIGHTS_A_BYTE = 1 << 16
"""Weights that a file may claim for each of its bytes: even a tensor of zeros is not denser."""
MOST_AXES = 8


class Row(NamedTuple):
    """One tensor in the table: its own section is `section_bytes` of the payload, its symbols are in the stream."""

    name: str
    shape: tuple[int, ...]
    kind: str
    codec: str
    section_bytes: int


class Content(NamedTuple):
    """A file taken apart: sections in the order of the rows, then the stream of the entropy coder."""

    metadata: dict[str, Any]
    coder: Coder
    rows: tuple[Row, ...]
    sections: tuple[memoryview, ...]
    stream: memoryview
    graph: bytes
    """Empty where the file has none."""
    graph_bytes: int
    """What it takes in the file."""


def assemble(
    metadata: Mapping[str, Any],
    coder: Coder,
    rows: Sequence[Row],
    sections: Sequence[bytes],
    stream: bytes,
    graph: bytes = b"",
) -> bytes:
    """The bytes of a file.

    Raises:
        ModelError: the metadata are no JSON, or tensors, metadata or graph are more than a reader takes.
    """
    try:
        text = json.dumps(metadata, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"metadata of a packed file are JSON, got something else ({error}); give texts and numbers"
        ) from error
    table = _table(rows)
    if max(len(text), len(table), len(graph)) > MOST_TEXT_BYTES:
        raise ModelError(
            f"metadata, table and graph have at most {MOST_TEXT_BYTES} bytes each, got {len(text)}, {len(table)} "
            f"and {len(graph)}; shorten them"
        )
    deflated, packed_table = zlib.compress(text, 9), zlib.compress(table, 9)
    payload = b"".join(sections) + stream
    flags = list(CODERS).index(coder)
    version = VERSION if graph else 1
    header = _HEADER.pack(MAGIC, version, flags, len(deflated), len(packed_table), len(payload))
    packed_graph = zlib.compress(graph, 9) if graph else b""
    if graph:
        header += _GRAPH.pack(len(packed_graph))
    body = header + deflated + packed_table + packed_graph + payload
    weights = sum(math.prod(row.shape) for row in rows)
    if weights > min(MOST_WEIGHTS, WEIGHTS_A_BYTE * len(body)):
        raise ModelError(
            f"a packed file holds at most {MOST_WEIGHTS} weights and {WEIGHTS_A_BYTE} a byte, "
            f"got {weights} in {len(body)} bytes; split the network"
        )
    return body + _CRC.pack(zlib.crc32(body))


def _table(rows: Sequence[Row]) -> bytes:
    writer = ByteWriter()
    writer.number(len(rows))
    for row in rows:
        name = row.name.encode()
        writer.number(len(name))
        writer.data += name
        writer.number(KINDS.index(row.kind))
        writer.number(len(row.shape))
        for side in row.shape:
            writer.number(side)
        writer.number(list(CODECS).index(row.codec))
        writer.number(row.section_bytes)
    return bytes(writer.data)


def dissect(data: bytes, label: str) -> Content:
    """A file taken apart and checked; `label` names it in errors.

    Raises:
        BundleError: it is foreign, of a newer version, truncated, damaged or contradicts itself.
    """
    if not data.startswith(MAGIC):
        raise BundleError(
            f"{label} is no packed network: it does not start as one; give a file that write_packed wrote"
        )
    header = _header(data, label)
    body = memoryview(data)[: -_CRC.size]
    if zlib.crc32(body) != _CRC.unpack_from(data, len(body))[0]:
        raise BundleError(f"{label} is damaged: its checksum does not fit its bytes; fetch it again")
    version, flags = header.version, header.flags
    reader = ByteReader(body[header.size_bytes :])
    metadata = _metadata(_inflated(reader.take(header.metadata_bytes, "the metadata"), "the metadata"))
    rows = _rows(_inflated(reader.take(header.table_bytes, "the table"), "the table"), len(data))
    drawn = reader.take(header.graph_bytes, "the graph")
    graph = _inflated(drawn, "the graph") if version > 1 else b""
    sections = tuple(reader.take(row.section_bytes, f"the section of {row.name}") for row in rows)
    if version < 1 or flags >= len(CODERS):
        raise damaged(f"version {version} and coder {flags} do not exist")
    stream = reader.take(reader.left, "the stream")
    return Content(metadata, list(CODERS)[flags], rows, sections, stream, graph, header.graph_bytes)


class _Header(NamedTuple):
    """The numbers at the start of a file."""

    version: int
    flags: int
    metadata_bytes: int
    table_bytes: int
    graph_bytes: int
    size_bytes: int


def _header(data: bytes, label: str) -> _Header:
    """The header, held against the size of the file."""
    cut_off = BundleError(f"{label} is cut off after {len(data)} bytes; fetch it again")
    if len(data) < _HEADER.size + _CRC.size:
        raise cut_off
    _, version, flags, text, table, payload = _HEADER.unpack_from(data)
    if version > VERSION:
        raise BundleError(
            f"{label} has version {version}, this gossamer reads up to {VERSION}; update gossamer"
        )
    size = _HEADER.size + (_GRAPH.size if version > 1 else 0)
    if len(data) < size + _CRC.size:
        raise cut_off
    graph = int(_GRAPH.unpack_from(data, _HEADER.size)[0]) if version > 1 else 0
    expected = size + text + table + graph + payload + _CRC.size
    if expected != len(data):
        raise BundleError(f"{label} should have {expected} bytes and has {len(data)}; fetch it again")
    return _Header(version, flags, text, table, graph, size)


def _inflated(data: memoryview, what: str) -> bytes:
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, MOST_TEXT_BYTES + 1)
    except zlib.error as error:
        raise damaged(f"{what} cannot be inflated") from error
    if len(text) > MOST_TEXT_BYTES or not inflater.eof or inflater.unused_data:
        raise damaged(f"{what} has no proper end within {MOST_TEXT_BYTES} bytes")
    return text


def _metadata(text: bytes) -> dict[str, Any]:
    try:
        document = parse_json(text)
    except ValueError as error:
        raise damaged("the metadata are no JSON") from error
    if not isinstance(document, dict):
        raise damaged("the metadata are no JSON object")
    return document


def _rows(table: bytes, size_bytes: int) -> tuple[Row, ...]:
    reader = ByteReader(table)
    rows: list[Row] = []
    weights = 0
    for _ in range(reader.number("the number of tensors", len(table))):
        length = reader.number("a tensor's name", len(table))
        try:
            name = bytes(reader.take(length, "a tensor's name")).decode()
        except UnicodeDecodeError as error:
            raise damaged("a tensor's name is no UTF-8") from error
        kind = KINDS[reader.number("a tensor's type", len(KINDS) - 1)]
        axes = reader.number("a tensor's axes", MOST_AXES)
        shape = tuple(reader.number("a tensor's side", MOST_WEIGHTS) for _ in range(axes))
        codec = list(CODECS)[reader.number("a tensor's codec", len(CODECS) - 1)]
        rows.append(Row(name, shape, kind, codec, reader.number("a section's size", size_bytes)))
        weights += math.prod(shape)
        if weights > min(MOST_WEIGHTS, WEIGHTS_A_BYTE * size_bytes):
            raise damaged(f"{size_bytes} bytes cannot hold the {weights} weights that it claims")
    reader.finish("the table")
    if len({row.name for row in rows}) < len(rows):
        raise damaged("two tensors have one name")
    return tuple(rows)
