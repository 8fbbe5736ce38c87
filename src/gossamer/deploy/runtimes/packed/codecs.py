"""One tensor to bytes and back: THE table of codecs, each a pair `encode` and `decode` on numpy arrays.

| codec | what is kept | loses |
|---|---|---|
| raw | every number in its type or as fp16, byte planes entropy-coded where that is smaller | nothing (fp32) |
| codebook | an index into shared values (k-means, or the distinct values where there are few) | nothing where exact |
| step | round(value / step) with one fp32 step for the tensor | up to step / 2, more within the dead zone |
| product | an index for each sub-vector of a filter into shared sub-vectors (Stock et al., 2020, arXiv 1907.05686) | yes |

Indices and multiples go to the file's entropy coder; everything else to the tensor's own section.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.runtimes.packed.bytestream import ByteReader, ByteWriter, damaged
from gossamer.deploy.runtimes.packed.integers import (
    Decoder,
    Encoder,
    put_numbers,
    put_sparse,
    take_numbers,
    take_sparse,
)
from gossamer.deploy.runtimes.packed.kmeans import cluster_rows, cluster_values, nearest_values
from gossamer.deploy.runtimes.packed.settings import KINDS, MOST_CODES, MOST_WIDTH
from gossamer.errors import ModelError

__all__ = ["CODECS", "Codec", "distinct_values", "multiples"]

Array = NDArray[Any]
Shape = tuple[int, ...]
Settings = Mapping[str, Any]
MOST_MULTIPLE = 2**31 - 1


class Codec(NamedTuple):
    """One row of the table. `encode` returns the bits that the tensor takes; `decode` gives its shape and type."""

    encode: Callable[[ByteWriter, Encoder, Array, Settings], float]
    decode: Callable[[ByteReader, Decoder, Shape, str], Array]


def _put_raw(writer: ByteWriter, encoder: Encoder, tensor: Array, settings: Settings) -> float:
    """The type's code, then each byte plane as a run or as it is."""
    stored = _as_half(tensor) if settings["dtype"] == "float16" else tensor
    kind = stored.dtype.newbyteorder("<").str.replace("|", "").removeprefix("<")
    writer.number(KINDS.index(kind))
    planes = np.frombuffer(np.ascontiguousarray(stored, f"<{kind}").tobytes(), np.uint8)
    bits = 8.0
    for plane in planes.reshape(-1, stored.dtype.itemsize).T.astype(np.int64):
        trial = ByteWriter()
        if settings["planes"] and put_numbers(trial, type(encoder)(), plane) < 8 * len(plane):
            writer.number(1)
            bits += 8 + put_numbers(writer, encoder, plane)
        else:
            writer.number(0)
            writer.array(plane, "u1")
            bits += 8 + 8 * len(plane)
    return bits


def _as_half(tensor: Array) -> Array:
    with np.errstate(over="ignore"):
        half = tensor.astype(np.float16)
    if np.isfinite(tensor).all() and not np.isfinite(half).all():
        raise ModelError("fp16 holds values up to 65504, the tensor has larger ones; keep it as it is")
    return half


def _take_raw(reader: ByteReader, decoder: Decoder, shape: Shape, kind: str) -> Array:
    stored = np.dtype(f"<{KINDS[reader.number('the type of a tensor', len(KINDS) - 1)]}")
    count = _count(shape)
    planes = np.empty((count, stored.itemsize), np.uint8)
    for place in range(stored.itemsize):
        if reader.number("how a byte plane is kept", 1):
            plane = take_numbers(reader, decoder, count)
            if plane.min(initial=0) < 0 or plane.max(initial=0) > 255:
                raise damaged("bytes are 0 to 255")
            planes[:, place] = plane
        else:
            planes[:, place] = np.frombuffer(reader.take(count, "a byte plane"), np.uint8)
    return np.frombuffer(planes.tobytes(), stored).reshape(shape).astype(np.dtype(kind))


def distinct_values(tensor: Array, most: int = MOST_CODES) -> NDArray[np.float32] | None:
    """The values that occur in an fp32 tensor, sorted; None where there are more than `most`, or one is no number.

    Zeros of either sign are two values: they are told apart by their bits.
    """
    if not np.isfinite(tensor).all():
        return None
    flat = tensor.ravel().view(np.uint32)
    values = np.unique(flat)
    if len(values) > most:
        return None
    found = values.view(np.float32)
    return found[np.lexsort((~np.signbit(found), found))]


def _put_codebook(writer: ByteWriter, encoder: Encoder, tensor: Array, settings: Settings) -> float:
    """Shared values as a raw tensor, the pivot (the index of zero), then indices less the pivot."""
    flat = np.ascontiguousarray(tensor, np.float32).ravel()
    values = distinct_values(flat) if settings["exact"] else _fitted(flat, settings)
    if values is None:
        raise ModelError(
            f"an exact codebook holds at most {MOST_CODES} finite values, the tensor has more; pack it raw or with bits"
        )
    if settings["exact"]:
        keys = _ordered_keys(values)
        codes = np.searchsorted(keys, _ordered_keys(flat))
    else:
        codes = nearest_values(flat, values)
    zero = np.flatnonzero((values == 0) & ~np.signbit(values))
    pivot = int(zero[0]) if len(zero) else 0
    if not settings["exact"] and len(zero):
        codes = np.where(flat == 0, pivot, codes)
    before = len(writer.data)
    writer.number(len(values))
    writer.number(pivot)
    bits = 8.0 * (len(writer.data) - before)
    bits += _put_raw(writer, encoder, values, {"dtype": settings["dtype"], "planes": True})
    return bits + put_sparse(writer, encoder, codes - pivot, settings["positions"])


def _fitted(flat: NDArray[np.float32], settings: Settings) -> NDArray[np.float32]:
    """Shared values by k-means over the weights that are not zero, and zero itself where it occurs."""
    some = flat[flat != 0].astype(np.float64)
    zero = len(some) < len(flat)
    count = (1 << settings["bits"]) - zero
    centres = cluster_values(some, count, initial=settings["initial"], seed=settings["seed"])
    rounded = (_as_half(centres) if settings["dtype"] == "float16" else centres).astype(np.float32)
    return np.unique(np.concatenate([rounded, np.zeros(int(zero), np.float32)]))


def _ordered_keys(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Whole numbers in the order of the values, -0.0 below 0.0."""
    bits = values.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF) - 1, bits)


def _take_codebook(reader: ByteReader, decoder: Decoder, shape: Shape, kind: str) -> Array:
    entries = reader.number("the shared values of a tensor", MOST_CODES)
    pivot = reader.number("the index of zero", max(0, entries - 1))
    values = _take_raw(reader, decoder, (entries,), "float32")
    codes = take_sparse(reader, decoder, _count(shape)) + pivot
    if len(codes) and (not entries or codes.min() < 0 or codes.max() >= entries):
        raise damaged(f"a weight points outside of {entries} shared values")
    return values[codes].reshape(shape).astype(np.dtype(kind)) if entries else np.zeros(shape, np.dtype(kind))


def multiples(tensor: Array, step: float, deadzone: float = 0.0) -> NDArray[np.int64]:
    """round(value / step), half to even; 0 where |value| < deadzone * step. Shape of the tensor.

    Raises:
        ModelError: the step is not a positive number, or so small that a multiple does not fit 32 bits.
    """
    if not step > 0 or not np.isfinite(step):
        raise ModelError(f"a step is a positive number, got {step}; give one or let plan_steps choose it")
    scaled = tensor.astype(np.float64) / step
    if np.abs(scaled).max(initial=0.0) > MOST_MULTIPLE:
        raise ModelError(
            f"weights are at most {MOST_MULTIPLE} steps, got {np.abs(scaled).max():.3g}; use a larger step"
        )
    found = np.rint(scaled).astype(np.int64)
    return np.where(np.abs(scaled) < deadzone, 0, found)


def _put_step(writer: ByteWriter, encoder: Encoder, tensor: Array, settings: Settings) -> float:
    """The step (fp32), then multiples of it."""
    step = np.float32(settings["step"])
    codes = multiples(tensor, float(step), settings["deadzone"])
    writer.array(np.array([step]), "<f4")
    return 32.0 + put_sparse(writer, encoder, codes.ravel(), settings["positions"])


def _take_step(reader: ByteReader, decoder: Decoder, shape: Shape, kind: str) -> Array:
    step = reader.array("<f4", 1, "the step of a tensor")[0]
    if not np.isfinite(step):
        raise damaged("a step is no number")
    codes = take_sparse(reader, decoder, _count(shape))
    if np.abs(codes).max(initial=0) > MOST_MULTIPLE:
        raise damaged("multiples of a step have at most 32 bits")
    tensor: Array = (codes.astype(np.float32) * step).reshape(shape).astype(np.dtype(kind))
    return tensor


def _put_product(writer: ByteWriter, encoder: Encoder, tensor: Array, settings: Settings) -> float:
    """Width, number of sub-vectors in the codebook, the codebook as a raw tensor, then an index a sub-vector."""
    flat = np.ascontiguousarray(tensor, np.float32).ravel()
    width = int(settings["width"])
    rows = np.pad(flat, (0, -len(flat) % width)).reshape(-1, width).astype(np.float64)
    centres, codes = cluster_rows(rows, settings["codes"], seed=settings["seed"])
    before = len(writer.data)
    writer.number(width)
    writer.number(len(centres))
    bits = 8.0 * (len(writer.data) - before)
    bits += _put_raw(
        writer, encoder, centres.astype(np.float32).ravel(), {"dtype": settings["dtype"], "planes": True}
    )
    return bits + put_numbers(writer, encoder, codes)


def _take_product(reader: ByteReader, decoder: Decoder, shape: Shape, kind: str) -> Array:
    count = _count(shape)
    width = max(1, reader.number("the width of a sub-vector", MOST_WIDTH))
    rows = -(-count // width)
    entries = reader.number("the shared sub-vectors of a tensor", rows)
    centres = _take_raw(reader, decoder, (entries, width), "float32")
    codes = take_numbers(reader, decoder, rows)
    if rows and (codes.min() < 0 or codes.max() >= entries):
        raise damaged(f"a sub-vector points outside of {entries} shared ones")
    tensor: Array = centres[codes].ravel()[:count].reshape(shape).astype(np.dtype(kind))
    return tensor


def _count(shape: Shape) -> int:
    return int(np.prod(shape, dtype=np.int64)) if shape else 1


CODECS: dict[str, Codec] = {
    "raw": Codec(_put_raw, _take_raw),
    "codebook": Codec(_put_codebook, _take_codebook),
    "step": Codec(_put_step, _take_step),
    "product": Codec(_put_product, _take_product),
}
"""Their place in this table is their number in the file."""
