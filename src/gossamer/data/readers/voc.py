"""The reader of Pascal VOC: `Annotations/*.xml` with `JPEGImages` and `ImageSets/Main`, or XML files beside their pictures.

VOC counts pixels from 1 and names the first and the last one of a box: xmin and ymin are lessened by 1, xmax and ymax are
kept, so that a box from 1 to the width covers the picture. Sets in which a box begins at 0 were written by tools that
count from 0 and are taken as they are, with a note. `difficult` objects count as crowd. A side whose two numbers are
the same is of size zero (a slip of the mouse), not of one pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from gossamer.data.dataset import Dataset, SplitName, split_named
from gossamer.data.pictures import PICTURE_SUFFIXES
from gossamer.data.readers.annotated import (
    Annotated,
    Odd,
    Shelf,
    bytes_of,
    dataset_of_boxes,
    label_of,
    size_of,
)
from gossamer.data.readers.markup import tree_of
from gossamer.errors import DataError

__all__ = ["read", "recognises"]

_MOST_LIST_BYTES = 64_000_000
_PEEKED = 5
_LISTS: tuple[tuple[str, SplitName], ...] = (
    ("trainval", "train"),
    ("train", "train"),
    ("val", "val"),
    ("test", "test"),
)
"""In the order in which they are read: later ones prevail."""
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class _Part(NamedTuple):
    """A folder of XML files, and the folder that its pictures lie below."""

    base: Path
    files: list[Path]
    split: SplitName | None = None


def recognises(path: Path) -> bool:
    """Whether it is a folder with VOC's annotations at most two folders down, or with XML files beside pictures."""
    return path.is_dir() and bool(_parts(path))


def read(path: Path) -> Dataset:
    """The pictures of all XML files with their boxes; splits as `ImageSets/Main` lists them, or as folders are called.

    Raises:
        DataError: there is no box.
    """
    odd, shelf = Odd(), Shelf(path)
    pictures: dict[Path, Annotated] = {}
    used: list[str] = []
    for part in _parts(path):
        used += [shelf.relative(_list(part.base, name)) for name, _ in _LISTS]
        lists = _lists(part.base, odd, shelf)
        for file in part.files:
            used.append(shelf.relative(file))
            if lists and file.stem not in lists:
                odd.add("unlisted", shelf.relative(file))
                continue
            picture = _picture(file, part, shelf, odd, lists.get(file.stem, part.split))
            if picture is not None and picture.path in pictures:
                odd.add("repeated", shelf.relative(picture.path), f"again in {shelf.relative(file)}")
            elif picture is not None:
                pictures[picture.path] = picture
        _unannotated(part, pictures, shelf, odd)
    entries = _from_zero(list(pictures.values()), odd)
    return dataset_of_boxes(path.resolve().name, shelf, entries, odd, used)


def _parts(root: Path) -> list[_Part]:
    """The folders of annotations."""
    for depth in ("", "*/", "*/*/"):
        parts = [
            _Part(folder.parent, files)
            for folder in sorted(root.glob(depth + "Annotations"))
            if (files := _annotations(folder))
        ]
        if parts:
            return parts
    folders = [root, *(each for each in sorted(root.iterdir()) if each.is_dir() and split_named(each.name))]
    sides = [(folder, files) for folder in folders if (files := _annotations(folder))]
    return [
        _Part(folder, files, split_named(folder.name) if folder != root else None)
        for folder, files in sides
        if any(file.with_suffix(ending).is_file() for file in files for ending in PICTURE_SUFFIXES)
    ]


def _annotations(folder: Path) -> list[Path]:
    """The XML files of a folder, if one of the first is an annotation."""
    files = sorted(file for file in folder.glob("*.xml") if not file.name.startswith("."))
    return files if any(map(_looks_so, islice(files, _PEEKED))) else []


def _looks_so(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return b"<annotation" in stream.read(4096)
    except OSError:
        return False


def _lists(base: Path, odd: Odd, shelf: Shelf) -> dict[str, SplitName]:
    """Stem -> split, as the lists beside the annotations have it; of a stem in two the one that is held back."""
    splits: dict[str, SplitName] = {}
    surely: dict[str, SplitName] = {}
    for name, split in _LISTS:
        file = _list(base, name)
        stems = {line.split()[0] for line in _lines(file, odd, shelf)} if file.is_file() else set()
        for stem in stems:
            earlier = surely if split == "val" else splits  # trainval names the pictures of val too
            if earlier.get(stem, split) != split:
                odd.add("split-twice", stem)
            splits[stem] = split
            if name != "trainval":
                surely[stem] = split
    return splits


def _list(base: Path, name: str) -> Path:
    return base / "ImageSets" / "Main" / f"{name}.txt"


def _lines(file: Path, odd: Odd, shelf: Shelf) -> Iterator[str]:
    try:
        text = bytes_of(file, _MOST_LIST_BYTES).decode("utf-8-sig")
    except (DataError, UnicodeDecodeError) as error:
        odd.refuse(shelf.relative(file), file, error)
        return
    yield from (line for line in text.splitlines() if line.strip())


def _picture(file: Path, part: _Part, shelf: Shelf, odd: Odd, split: SplitName | None) -> Annotated | None:
    """What one XML file says; None where nothing can be made of it."""
    where = shelf.relative(file)
    try:
        root = tree_of(file)
    except DataError as error:
        odd.refuse(where, file, error)
        return None
    if root.tag != "annotation":
        odd.add("bad-annotation", where, f"it is of {label_of(root.tag)}")
        return None
    name = (root.findtext("filename") or "").strip()
    near = "" if part.base == shelf.root else shelf.relative(part.base)
    path = shelf.of_stem(file.stem, near, name) or shelf.find(name, near)
    if path is None:
        odd.add("no-picture", where, label_of(name))
        return None
    size = size_of(root.findtext("size/height"), root.findtext("size/width"))
    picture = Annotated(path, [], [], [], size, split)
    for number, thing in enumerate(root.findall("object")):
        corners = _corners(thing)
        if corners is None:
            odd.add("bad-box", where, f"object {number}")
            continue
        picture.xyxy.append(corners)
        picture.names.append(label_of(thing.findtext("name") or ""))
        picture.crowd.append((thing.findtext("difficult") or "").strip() == "1")
    return picture


def _corners(thing: Element) -> tuple[float, ...] | None:
    try:
        return tuple(float(thing.findtext(f"bndbox/{name}") or "") for name in _CORNERS)
    except ValueError:
        return None


def _from_zero(pictures: list[Annotated], odd: Odd) -> list[Annotated]:
    """The pictures with places counted from 0."""
    zero = [p for p in pictures if any(0.0 in corners[:2] for corners in p.xyxy)]
    if zero:
        odd.say(
            "note",
            "counted-from-0",
            f"boxes of {zero[0].path.name} begin at 0, so pixels are counted from 0 in this set, not from 1 as VOC does",
        )
        return pictures
    return [p._replace(xyxy=[_lessened(corners) for corners in p.xyxy]) for p in pictures]


def _lessened(corners: tuple[float, ...]) -> tuple[float, ...]:
    """VOC's corners counted from 0, with the end of the last pixel; sides of size zero stay that."""
    (left, right), (top, bottom) = _axis(corners[0], corners[2]), _axis(corners[1], corners[3])
    return left, top, right, bottom


def _axis(low: float, high: float) -> tuple[float, float]:
    if low == high:
        return low, high
    if low - high >= 1:  # swapped
        return low, high - 1
    return low - 1, high


def _unannotated(part: _Part, pictures: Mapping[Path, Annotated], shelf: Shelf, odd: Odd) -> None:
    """Count the pictures that no XML file is about."""
    stems = {file.stem for file in part.files}
    near = "" if part.base == shelf.root else shelf.relative(part.base) + "/"
    for inner, path in shelf.pictures.items():
        if inner.startswith(near) and path.stem not in stems and path not in pictures:
            odd.add("no-annotation", inner)
