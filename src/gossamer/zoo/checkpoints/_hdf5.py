"""HDF5 from a stranger, read with h5py: no other file is opened, and what is read is checked to be there first.

Source: the HDF5 file format, https://support.hdfgroup.org. The library trusts its files: it follows links to other
files, reads values from them, takes memory for any size that a header claims, and changing bytes at random found two
places where HDF5 2.0 hangs or crashes (heaps without end, attributes that are no text).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gossamer.errors import ModelError
from gossamer.zoo.checkpoints._bytes import read_bytes

__all__ = ["child", "floats", "refuse_endless_heaps", "texts"]

DTYPES = ("<f2", "<f4", "<f8")
HEAP, HEAP_HEADER = b"GCOL\x01\x00\x00\x00", 16


def refuse_endless_heaps(path: Path) -> None:
    """Nothing, if walking every global heap (where long texts lie) comes to an end.

    Section III.E of the format: a header with the size of the heap, then entries, each of an index (uint16), 6 bytes,
    the size (uint64) and the values, padded to 8; the size of the free rest (index 0) counts its header.

    Raises:
        ModelError: an entry leads back to itself, or heaps lie on top of each other.
    """
    data = read_bytes(path)
    steps = len(data) // HEAP_HEADER
    start = data.find(HEAP)
    while start >= 0:
        end = start + int.from_bytes(data[start + 8 : start + HEAP_HEADER], "little")
        at = start + HEAP_HEADER
        while at + HEAP_HEADER <= min(end, len(data)):
            size = int.from_bytes(data[at + 8 : at + HEAP_HEADER], "little")
            taken = HEAP_HEADER + -(-size // 8) * 8 if any(data[at : at + 2]) else size
            steps -= 1
            if taken % 2**64 == 0 or steps < 0:
                raise ModelError(
                    f"cannot read weights from {path}: its heap at byte {start} has no end; fetch it again"
                )
            at += taken
        start = data.find(HEAP, start + 1)


def texts(node: Any, key: str, path: Path) -> list[str] | None:
    """The texts of an attribute of a group or file, one or a list; None where there is no such attribute.

    Raises:
        ModelError: it is no text, or longer than the file.
    """
    import h5py

    if key not in node.attrs:
        return None
    attribute = node.attrs.get_id(key)
    kind, shape = attribute.dtype, attribute.shape
    if shape == (0,):  # h5py writes an empty list as one of numbers
        return []
    is_text = h5py.check_string_dtype(kind) is not None and shape is not None and len(shape) < 2
    if not is_text or math.prod(shape) * kind.itemsize > path.stat().st_size:
        raise ModelError(
            f"{path}: the attribute {key} is text, got {kind} of shape {shape}; save the model again"
        )
    found = node.attrs[key]
    return [text.decode() if isinstance(text, bytes) else str(text) for text in (found if shape else [found])]


def child(node: Any, name: str, path: Path) -> Any:
    """What lies below a group at "a/b", never through a link: links lead to other files.

    Raises:
        ModelError: there is nothing, or a link.
    """
    import h5py

    for part in filter(None, name.split("/")):
        links = getattr(node.id, "links", None)  # a data set has none
        if links is None or not links.exists(part.encode()):
            raise ModelError(f"{path}: {name!r:.80} is listed and not there; it is damaged, fetch it again")
        if links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
            raise ModelError(
                f"{path}: weights lie in the file itself, {name!r:.80} is a link; save the model again"
            )
        node = node[part]
    return node


def floats(dataset: Any, name: str, left: int, path: Path) -> Tensor:
    """The values of a data set, which may take up to `left` bytes, in its own type.

    Raises:
        ModelError: they are no little-endian floats, or not stored in the file as they are, in one piece.
    """
    kind = getattr(dataset, "dtype", None)
    if kind is None or kind.str not in DTYPES:
        raise ModelError(
            f"{path}: weights are {', '.join(DTYPES)}, {name!r:.80} is {kind}; save the model again"
        )
    if dataset.chunks is not None or dataset.external or dataset.is_virtual or not 0 < dataset.nbytes <= left:
        raise ModelError(
            f"{path}: weights are stored as they are, {name!r:.80} ({dataset.nbytes} bytes) is compressed, "
            "elsewhere, empty or longer than the file; save the model again without compression"
        )
    return torch.from_numpy(dataset[...])
