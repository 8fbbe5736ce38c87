"""The container of packed weights: magic, version, table of tensors, metadata, payload, checksum; checked when read.

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

from gossamer.compress.codebook.bytestream import ByteReader, ByteWriter, damaged
from gossamer.compress.codebook.codecs import CODECS
from gossamer.compress.codebook.integers import CODERS, Coder
from gossamer.compress.codebook.settings import KINDS
from gossamer.errors import BundleError, ModelError

__all__ = ["MAGIC", "VERSION", "Content", "Row", "assemble", "dissect"]

MAGIC = b"\x89GSMR\r\n\n"
"""Not text, and no longer itself after a transfer that changes line ends."""
VERSION = 1
_HEADER = struct.Struct("<8sHHIIQ")
_CRC = struct.Struct("<I")
MOST_TEXT_BYTES = 1 << 22
"""Bytes that metadata and table may have when inflated."""
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


def assemble(
    metadata: Mapping[str, Any], coder: Coder, rows: Sequence[Row], sections: Sequence[bytes], stream: bytes
) -> bytes:
    """The bytes of a file.

    Raises:
        ModelError: the metadata are no JSON, or tensors or metadata are more than a reader takes.
    """
    try:
        text = json.dumps(metadata, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"metadata of a packed file are JSON, got something else ({error}); give texts and numbers"
        ) from error
    table = _table(rows)
    if max(len(text), len(table)) > MOST_TEXT_BYTES:
        raise ModelError(
            f"metadata and table have at most {MOST_TEXT_BYTES} bytes each, got {len(text)} and {len(table)}; shorten them"
        )
    deflated, packed_table = zlib.compress(text, 9), zlib.compress(table, 9)
    payload = b"".join(sections) + stream
    flags = list(CODERS).index(coder)
    header = _HEADER.pack(MAGIC, VERSION, flags, len(deflated), len(packed_table), len(payload))
    body = header + deflated + packed_table + payload
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
    if len(data) < _HEADER.size + _CRC.size:
        raise BundleError(f"{label} is cut off after {len(data)} bytes; fetch it again")
    _, version, flags, text_size, table_size, payload_size = _HEADER.unpack_from(data)
    if version > VERSION:
        raise BundleError(
            f"{label} has version {version}, this gossamer reads up to {VERSION}; update gossamer"
        )
    expected = _HEADER.size + text_size + table_size + payload_size + _CRC.size
    if expected != len(data):
        raise BundleError(f"{label} should have {expected} bytes and has {len(data)}; fetch it again")
    body = memoryview(data)[: -_CRC.size]
    if zlib.crc32(body) != _CRC.unpack_from(data, len(body))[0]:
        raise BundleError(f"{label} is damaged: its checksum does not fit its bytes; fetch it again")
    reader = ByteReader(body[_HEADER.size :])
    metadata = _metadata(_inflated(reader.take(text_size, "the metadata"), "the metadata"))
    rows = _rows(_inflated(reader.take(table_size, "the table"), "the table"), len(data))
    sections = tuple(reader.take(row.section_bytes, f"the section of {row.name}") for row in rows)
    if version < 1 or flags >= len(CODERS):
        raise damaged(f"version {version} and coder {flags} do not exist")
    return Content(metadata, list(CODERS)[flags], rows, sections, reader.take(reader.left, "the stream"))


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
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
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
