"""Packed networks: tensors and a plan to one small file, and back with numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer._files import write_bytes
from gossamer.deploy.runtimes.packed.bytestream import ByteReader, ByteWriter
from gossamer.deploy.runtimes.packed.codecs import CODECS, distinct_values
from gossamer.deploy.runtimes.packed.fileformat import Row, assemble, dissect
from gossamer.deploy.runtimes.packed.integers import CODERS, Encoder
from gossamer.deploy.runtimes.packed.settings import KINDS, PackPlan, TensorPlan
from gossamer.errors import BundleError, ModelError

__all__ = ["Packed", "PackedTensor", "pack", "parse", "read_packed", "unpack", "write_packed"]

Array = NDArray[Any]
FEW_VALUES = 256
"""Tensors with at most so many distinct values are tried as an exact codebook."""


@dataclass(frozen=True)
class PackedTensor:
    """What one tensor takes in a file."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    codec: str
    section_bytes: int
    """Tables, shared values, raw bits."""
    coded_bytes: float
    """Its share of the entropy coder's stream."""

    @property
    def bytes(self) -> float:
        """Everything of the file that is there for this tensor."""
        return self.section_bytes + self.coded_bytes


@dataclass(frozen=True)
class Packed:
    """A file that was read: tensors by name in their order, the metadata, and what each tensor takes."""

    tensors: Mapping[str, Array]
    metadata: Mapping[str, Any]
    table: tuple[PackedTensor, ...]
    coder: str
    size_bytes: int
    graph: bytes = b""
    """The network that the tensors are of, without them (see `graph.join_graph`); empty where the file has none."""
    graph_bytes: int = 0
    """What it takes in the file."""


def pack(
    tensors: Mapping[str, Array],
    plan: PackPlan | None = None,
    metadata: Mapping[str, Any] | None = None,
    graph: bytes = b"",
) -> bytes:
    """Tensors as a file's bytes. What the plan does not name is kept exactly: as a codebook or raw, which is smaller.

    Raises:
        ModelError: the plan names a tensor that is not there, a type is not supported, or a codec refuses its tensor.
    """
    plan = plan or PackPlan()
    if missing := [name for name in plan.tensors if name not in tensors]:
        raise ModelError(
            f"a plan names tensors of the network, {missing[0]!r} is none; plan for this network anew"
        )
    encoder: Encoder = CODERS[plan.coder].encoder()
    rows, sections = [], []
    for name, values in tensors.items():
        tensor = np.asarray(values)
        each = plan.tensors.get(name) or _exact_plan(tensor, type(encoder))
        writer = ByteWriter()
        try:
            kind = _kind(tensor, each.codec)
            CODECS[each.codec].encode(writer, encoder, tensor, each.complete)
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from error
        rows.append(Row(name, tensor.shape, kind, each.codec, len(writer.data)))
        sections.append(bytes(writer.data))
    return assemble(metadata or {}, plan.coder, rows, sections, encoder.finish(), graph)


def _kind(tensor: Array, codec: str) -> str:
    """The type's name in the file."""
    kind = tensor.dtype.str.lstrip("<>=|")
    if kind not in KINDS:
        raise ModelError(f"tensors are of type {', '.join(KINDS)}, got {tensor.dtype}; convert it first")
    if codec != "raw":
        if tensor.dtype.kind != "f":
            raise ModelError(f"the codec {codec} takes floats, got {tensor.dtype}; pack it raw")
        if not np.isfinite(tensor).all():
            raise ModelError(
                f"{int((~np.isfinite(tensor)).sum())} of {tensor.size} weights are NaN or infinite; "
                "mend the network before packing it"
            )
    return kind


def _exact_plan(tensor: Array, encoder: type[Encoder]) -> TensorPlan:
    """The smaller of the two codecs that lose nothing, in halves where these hold every number."""
    if tensor.dtype != np.float32:
        return TensorPlan("raw")
    own, shared = ("float16", "float16") if _are_halves(tensor) else ("own", "float32")
    raw, exact = TensorPlan("raw", {"dtype": own}), TensorPlan("codebook", {"exact": True, "dtype": shared})
    if distinct_values(tensor, FEW_VALUES) is None:
        return raw
    return min(
        (raw, exact),
        key=lambda plan: CODECS[plan.codec].encode(ByteWriter(), encoder(), tensor, plan.complete),
    )


def _are_halves(tensor: Array) -> bool:
    """Whether fp16 holds every number of the tensor."""
    with np.errstate(over="ignore"):
        return bool(tensor.size and np.array_equal(tensor.astype(np.float16).astype(np.float32), tensor))


def parse(data: bytes, label: str = "the file") -> Packed:
    """A file's bytes as tensors and what is known of them; `label` names it in errors.

    Raises:
        BundleError: it is foreign, of a newer version, truncated, damaged or contradicts itself.
    """
    content = dissect(data, label)
    try:
        decoder = CODERS[content.coder].decoder(content.stream)
        tensors: dict[str, Array] = {}
        table = []
        for row, section in zip(content.rows, content.sections, strict=True):
            reader, before = ByteReader(section), decoder.bits_taken
            tensors[row.name] = CODECS[row.codec].decode(reader, decoder, row.shape, row.kind)
            reader.finish(f"the section of {row.name}")
            coded = (decoder.bits_taken - before) / 8
            dtype = str(np.dtype(row.kind))
            table.append(PackedTensor(row.name, row.shape, dtype, row.codec, row.section_bytes, coded))
        decoder.finish()
    except BundleError as error:
        raise BundleError(f"{label}: {error}") from error
    return Packed(
        tensors,
        content.metadata,
        tuple(table),
        content.coder,
        len(data),
        content.graph,
        content.graph_bytes,
    )


def unpack(data: bytes) -> dict[str, Array]:
    """The tensors of a file's bytes, by name in their order.

    Raises:
        BundleError: as `parse`.
    """
    return dict(parse(data).tensors)


def write_packed(
    path: Path,
    tensors: Mapping[str, Array],
    plan: PackPlan | None = None,
    metadata: Mapping[str, Any] | None = None,
    graph: bytes = b"",
) -> int:
    """Pack into a file that appears whole or not at all; how many bytes it has.

    `metadata` is JSON: what prediction needs besides the weights (`spec`, `input`, `labels`).

    Raises:
        ModelError: as `pack`.
        RunFolderError: the file cannot be written.
    """
    data = pack(tensors, plan, metadata, graph)
    write_bytes(path, data)
    return len(data)


def read_packed(path: Path) -> Packed:
    """Read what `write_packed` wrote, with numpy alone.

    Raises:
        BundleError: the file is not there, or as `parse`.
    """
    try:
        if not path.is_file():  # a device or a pipe never ends
            raise BundleError(f"no packed network at {path}; check the path")
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"cannot read {path}: {error.strerror}; check the path and its permissions"
        ) from error
    return parse(data, str(path))
