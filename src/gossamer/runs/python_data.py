"""Data given in Python: a torch Dataset, a DataLoader, or pairs of picture and target, kept once as files and a table."""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gossamer._files import cache_folder, write_text
from gossamer._text import printable
from gossamer.data.pictures import check_file
from gossamer.errors import DataError

__all__ = ["as_data"]


def as_data(data: Any) -> str:
    """The path of the data: of a folder or a table as it is, of anything else the folder that its pictures are kept in.

    A Dataset gives (picture, target) by number, a DataLoader is asked for its dataset. Pictures are paths of files, PIL
    pictures, arrays (H, W, 3) of bytes, (H, W, bands) of other numbers, or tensors (bands, H, W), bytes or shares of 1. A
    whole number is a class (named by the `classes` of the Dataset, or of the one that it is a part of), a real one a value,
    a text a class.

    Raises:
        DataError: there is nothing in it, or a picture or target of another kind.
    """
    if isinstance(data, str | Path):
        return str(data)
    source = data.dataset if hasattr(data, "batch_sampler") else data
    if not hasattr(source, "__getitem__") or not hasattr(source, "__len__") or not len(source):
        raise DataError(
            f"data is a folder, a CSV table, a Dataset, a DataLoader or a list of pairs, got {type(data).__name__}; "
            "give one that has pictures"
        )
    parent = cache_folder() / "datasets"
    parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=parent, prefix=".writing-"))
    try:
        target = parent / _write(source, temporary)
        if target.exists():
            shutil.rmtree(temporary)
        else:
            temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return str(target)


def _write(source: Any, folder: Path) -> str:
    """The pictures and their table; the digest of both."""
    digest, rows = hashlib.sha256(), []
    kinds: set[str] = set()
    for number, (picture, target) in enumerate(_pairs(source)):
        column, text = _target(target, _classes(source))
        kinds.add(column)
        name, content = _picture(number, picture)
        (folder / name).write_bytes(content)
        digest.update(f"{name}\0{text}\0".encode() + content)
        rows.append([name, text])
    if len(kinds) > 1:
        raise DataError("targets are all classes or all values, got both; give them one type")
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([["file", *kinds], *rows])
    write_text(folder / "labels.csv", buffer.getvalue())
    return digest.hexdigest()[:20]


def _pairs(source: Any) -> Iterator[tuple[Any, Any]]:
    for index in range(len(source)):
        item = source[index]
        if not isinstance(item, Sequence) or len(item) < 2:
            raise DataError(
                f"data gives (picture, target), item {index} is {type(item).__name__}; return both"
            )
        yield item[0], item[1]


def _classes(source: Any) -> Sequence[str] | None:
    """Names of classes; a part of a Dataset (torch's Subset) has those of the whole."""
    while not hasattr(source, "classes") and hasattr(source, "dataset"):
        source = source.dataset
    classes: Sequence[str] | None = getattr(source, "classes", None)
    return classes


def _target(target: Any, classes: Sequence[str] | None) -> tuple[str, str]:
    """(column, text)."""
    value = target.item() if hasattr(target, "item") and np.ndim(target) == 0 else target
    if isinstance(value, bool | int):
        if classes is not None and not 0 <= value < len(classes):
            raise DataError(f"a class is 0 to {len(classes) - 1} where {len(classes)} are named, got {value}")
        return "label", str(classes[value]) if classes is not None else str(int(value))
    if isinstance(value, float):
        return "value", repr(value)
    if isinstance(value, str) and value.strip():
        return "label", value
    raise DataError(f"a target is a class (a whole number or a text) or a real number, got {target!r:.40}")


def _picture(number: int, picture: Any) -> tuple[str, bytes]:
    """(name, content): a file as it is, PNG of bytes, .npy of other numbers."""
    if isinstance(picture, str | Path):
        path = Path(picture)
        check_file(path)
        return f"{number:06d}-{printable(path.name)}", path.read_bytes()
    buffer = io.BytesIO()
    if isinstance(picture, Image.Image):
        picture.save(buffer, "PNG")
        return f"{number:06d}.png", buffer.getvalue()
    array = np.asarray(picture.numpy() if hasattr(picture, "numpy") else picture)
    if hasattr(picture, "numpy") and array.ndim == 3:  # a tensor: bands first, shares of 1
        array = array.transpose(1, 2, 0)
        if array.dtype.kind == "f" and array.min() >= 0 and array.max() <= 1 and array.shape[2] in (1, 3):
            array = np.rint(255 * array).astype(np.uint8)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.dtype.kind not in "uif":
        raise DataError(
            f"a picture is (H, W, bands) or a tensor (bands, H, W), item {number} is {array.shape} of {array.dtype}"
        )
    if array.dtype == np.uint8 and array.shape[2] in (1, 3):
        Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(buffer, "PNG")
        return f"{number:06d}.png", buffer.getvalue()
    np.save(buffer, array)
    return f"{number:06d}.npy", buffer.getvalue()
