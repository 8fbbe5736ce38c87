"""The reader of COCO: a JSON file of images, categories and annotations, or a folder with such files and pictures.

Boxes are `bbox` = left, top, width, height in pixels; `iscrowd` counts as crowd. Files called after splits
(`instances_train2017.json`, `valid/_annotations.coco.json`) are those. Classes are numbered anew, by their names.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gossamer.data.dataset import Dataset, SplitName, split_named
from gossamer.data.readers.annotated import (
    Annotated,
    Odd,
    Shelf,
    dataset_of_boxes,
    json_of,
    label_of,
    number_of,
    size_of,
)
from gossamer.errors import DataError

__all__ = ["read", "recognises"]

_MOST_BYTES = 2_000_000_000
_HEAD = 65_536
_KEYS = ("images", "annotations", "categories")
_BESIDE = ("captions", "person_keypoints", "stuff", "panoptic", "image_info")
"""What other files of COCO's own begin with."""
_FOLDERS = frozenset(["annotations", "annotation", "labels"])


def recognises(path: Path) -> bool:
    """Whether it is a JSON file, or a folder with JSON files of images and annotations at most two folders down."""
    return path.suffix.lower() == ".json" if path.is_file() else bool(_documents(path))


def read(path: Path) -> Dataset:
    """The pictures of the files with their boxes.

    Raises:
        DataError: a file given by itself is none of COCO, or there is no box.
    """
    if path.is_file():
        root = path.parent.parent if path.parent.name.casefold() in _FOLDERS else path.parent
        documents, name = [path], path.stem
    else:
        root, documents, name = path, _documents(path), path.resolve().name
    odd, shelf = Odd(), Shelf(root, whole=path.is_dir())
    pictures: dict[Path, Annotated] = {}
    classes: set[str] = set()
    for document in documents:
        try:
            entries = _Entries.of(document)
        except DataError as error:
            if len(documents) == 1:
                raise
            odd.refuse(shelf.relative(document), document, error)
            continue
        split = _split_of(document) if len(documents) > 1 else None
        reading = _Reading(shelf, odd, shelf.relative(document), split)
        classes |= reading.add(entries, pictures)
    used = [shelf.relative(document) for document in documents]
    return dataset_of_boxes(name, shelf, pictures.values(), odd, used, classes)


def _documents(folder: Path) -> list[Path]:
    """The files of images and annotations in a folder."""
    files = [
        file
        for pattern in ("*.json", "*/*.json", "*/*/*.json")
        for file in sorted(folder.glob(pattern))
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]
    likely = [file for file in files if not file.name.startswith(_BESIDE) and _looks_so(file)]
    instances = [file for file in likely if file.name.startswith("instances")]
    return instances or likely


def _looks_so(file: Path) -> bool:
    """Whether the beginning and the end of a file are of COCO."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
            stream.seek(max(_HEAD, file.stat().st_size - _HEAD))
            text = head + stream.read(_HEAD)
    except OSError:
        return False
    if not head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return False
    keys = sum(re.search(rf'"{key}"\s*:\s*\['.encode(), text) is not None for key in _KEYS)
    return keys >= 2 or (keys == 1 and b'"bbox"' in text)


def _split_of(document: Path) -> SplitName | None:
    words = [*re.split(r"[^A-Za-z0-9]+", document.stem), document.parent.name]
    return next(filter(None, map(split_named, words)), None)


class _Entries(NamedTuple):
    """The three lists of a file."""

    images: list[Any]
    annotations: list[Any]
    categories: list[Any]

    @classmethod
    def of(cls, file: Path) -> _Entries:
        """Of a file.

        Raises:
            DataError: it is no JSON, or has no lists of images and annotations.
        """
        document = json_of(file, _MOST_BYTES, _without_outlines)
        lists = [document.get(key, []) for key in _KEYS]
        if "images" not in document or not all(isinstance(entries, list) for entries in lists):
            raise DataError(
                f"COCO files have lists of images, annotations and categories, {file} has "
                f"{', '.join(label_of(key) for key in list(document)[:5]) or 'none'}; give the file of instances"
            )
        return cls(*lists)


def _without_outlines(entry: dict[str, Any]) -> dict[str, Any]:
    """Outlines are most of a large file and are not read."""
    entry.pop("segmentation", None)
    return entry


class _Reading(NamedTuple):
    """What is done with the entries of one file."""

    shelf: Shelf
    odd: Odd
    file: str
    split: SplitName | None

    def add(self, entries: _Entries, pictures: dict[Path, Annotated]) -> set[str]:
        """Put the pictures of the file to those that are there; the names of its classes."""
        names = self._names(entries.categories)
        boxes: dict[Any, list[tuple[tuple[float, ...], str, bool]]] = defaultdict(list)
        for number, entry in enumerate(entries.annotations):
            self._add_box(number, entry, names, boxes)
        seen: set[Any] = set()
        for number, entry in enumerate(entries.images):
            key = _key(entry.get("id")) if isinstance(entry, Mapping) else None
            if key is None or not isinstance(entry.get("file_name"), str):
                self.odd.add("bad-entry", self.file, f"image {number} has no id or file_name")
            elif key in seen:
                self.odd.add("repeated", self.file, f"image id {key}")
            else:
                seen.add(key)
                self._add_picture(entry, boxes.get(key, []), pictures)
        for key in boxes.keys() - seen:
            for _ in boxes[key]:
                self.odd.add("no-image", self.file, f"image id {key}")
        return set(names.values())

    def _names(self, categories: list[Any]) -> dict[Any, str]:
        names: dict[Any, str] = {}
        for number, entry in enumerate(categories):
            key = _key(entry.get("id")) if isinstance(entry, Mapping) else None
            name = label_of(entry.get("name")) if key is not None else ""
            if key is None or not name:
                self.odd.add("bad-entry", self.file, f"category {number} has no id or name")
            elif key in names:
                self.odd.add("repeated", self.file, f"category id {key}")
            else:
                names[key] = name
        numbers = sorted(key for key in names if isinstance(key, int))
        if numbers and numbers[-1] - numbers[0] + 1 > len(numbers):
            self.odd.say(
                "note",
                "id-gaps",
                f"{self.file} numbers {len(numbers)} categories from {numbers[0]} to {numbers[-1]}, with gaps: classes are "
                "numbered anew, by their names",
            )
        return names

    def _add_box(
        self,
        number: int,
        entry: Any,
        names: Mapping[Any, str],
        boxes: dict[Any, list[tuple[tuple[float, ...], str, bool]]],
    ) -> None:
        key = _key(entry.get("image_id")) if isinstance(entry, Mapping) else None
        if key is None:
            self.odd.add("bad-entry", self.file, f"annotation {number} has no image_id")
            return
        place = _place(entry.get("bbox"))
        if place is None:
            self.odd.add("bad-box", self.file, f"annotation {number}")
            return
        name = names.get(_key(entry.get("category_id")), "")
        boxes[key].append((place, name, entry.get("iscrowd") in (1, True)))

    def _add_picture(
        self,
        entry: Mapping[str, Any],
        boxes: list[tuple[tuple[float, ...], str, bool]],
        pictures: dict[Path, Annotated],
    ) -> None:
        near = self.file.rpartition("/")[0]
        path = self.shelf.find(entry["file_name"], near, self.split)
        if path is None:
            self.odd.add("no-picture", self.file, label_of(entry["file_name"]))
            return
        if path in pictures:
            self.odd.add("repeated", self.shelf.relative(path), f"again in {self.file}")
            return
        size = size_of(entry.get("height"), entry.get("width"))
        places, names, crowd = ([box[i] for box in boxes] for i in range(3))
        pictures[path] = Annotated(path, places, names, crowd, size, self.split)  # type: ignore[arg-type]


def _key(value: Any) -> int | str | None:
    """An id: a whole number or a text."""
    if isinstance(value, bool) or not isinstance(value, int | str | float):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) or len(value) < 200 else None


def _place(bbox: Any) -> tuple[float, ...] | None:
    """Corners of left, top, width and height."""
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    values = [number_of(value) for value in bbox]
    if None in values:
        return None
    left, top, width, height = (value for value in values if value is not None)
    return left, top, left + width, top + height
