"""The reader of tables of boxes: a CSV file with a row a box, or a folder with such files.

Columns: `file` (or image_path, filename, image, path), `xmin`, `ymin`, `xmax`, `ymax` in pixels from 0 (or x1, y1, x2,
y2; left, top, right, bottom), and `label` (or class, name, category); without one all boxes are of one class. `width`
and `height` of the picture, `split` and `crowd` may stand beside them. Without a header the columns are
file, xmin, ymin, xmax, ymax, label. A row with empty places is a picture without boxes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gossamer.data.dataset import Dataset, SplitName, split_named
from gossamer.data.readers.annotated import (
    Annotated,
    Odd,
    Shelf,
    bytes_of,
    dataset_of_boxes,
    label_of,
    size_of,
)
from gossamer.errors import DataError

__all__ = ["read", "recognises"]

_MOST_BYTES = 2_000_000_000
_HEAD = 16_384
_FILE = ("file", "image_path", "filename", "file_name", "image", "image_name", "path", "img")
_LABEL = ("label", "class", "class_name", "name", "category")
_CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("left", "top", "right", "bottom"))
_CROWD = ("crowd", "iscrowd", "difficult")
_BARE = ("file", "xmin", "ymin", "xmax", "ymax", "label")
_PLAIN = "object"
"""What boxes are called that have no label."""
_NAMES = ("boxes.csv", "annotations.csv", "_annotations.csv", "labels.csv", "targets.csv", "bboxes.csv")


class _Columns(NamedTuple):
    """Where things stand in a row."""

    file: int
    corners: tuple[int, ...]
    label: int | None
    size: tuple[int, int] | None
    split: int | None
    crowd: int | None
    header: bool
    """Whether the first row names the columns."""


def recognises(path: Path) -> bool:
    """Whether it is a CSV file of boxes, or a folder with one: `boxes.csv`, `annotations.csv`, or one a split."""
    if path.is_file():
        return path.suffix.lower() == ".csv" and _columns_of(path) is not None
    return bool(_tables(path))


def read(path: Path) -> Dataset:
    """The pictures that the tables name, with their boxes.

    Raises:
        DataError: a table cannot be read, or there is no box.
    """
    tables = [path] if path.is_file() else _tables(path)
    root = path.parent if path.is_file() else path
    odd, shelf = Odd(), Shelf(root, whole=path.is_dir())
    pictures: dict[Path, Annotated] = {}
    for table in tables:
        columns = _columns_of(table)
        if columns is None:
            raise DataError(
                f"a table of boxes has the columns {', '.join(_BARE)}, {table} has others; name its columns so"
            )
        split = _split_of(table) if len(tables) > 1 else None
        reading = _Reading(shelf, odd, shelf.relative(table), split, columns, {})
        for number, row in _rows(table):
            if number > 1 or not columns.header:
                reading.add(row, number, pictures)
    if path.is_dir():
        for inner, file in shelf.pictures.items():
            if file not in pictures:
                odd.add("no-annotation", inner)
    name = path.stem if path.is_file() and path.name not in _NAMES else root.resolve().name
    return dataset_of_boxes(name, shelf, pictures.values(), odd, [shelf.relative(table) for table in tables])


def _tables(folder: Path) -> list[Path]:
    """The tables of boxes in a folder, or those of its folders of splits."""
    here = [folder / name for name in _NAMES if (folder / name).is_file()]
    splits = [
        file for file in sorted(folder.glob("*.csv")) if _split_of(file) is not None and file not in here
    ]
    inner = [
        folder / below.name / name
        for below in sorted(folder.iterdir())
        if below.is_dir() and split_named(below.name)
        for name in _NAMES
        if (below / name).is_file()
    ]
    for files in (here[:1], splits, inner):
        tables = [file for file in files if _columns_of(file) is not None]
        if tables:
            return tables
    return []


def _split_of(table: Path) -> SplitName | None:
    words = [*table.stem.replace("-", "_").split("_"), table.parent.name]
    return next(filter(None, map(split_named, words)), None)


def _columns_of(table: Path) -> _Columns | None:
    """The columns of a file; None where it is no table of boxes."""
    try:
        with table.open("rb") as stream:
            text = stream.read(_HEAD).decode("utf-8-sig", "replace")
        first = next(csv.reader(io.StringIO(text, newline="")), [])
    except (OSError, csv.Error):
        return None
    return _columns([cell.strip().casefold() for cell in first])


def _columns(first: Sequence[str]) -> _Columns | None:
    places = {name: i for i, name in reversed(list(enumerate(first)))}

    def place(names: Sequence[str]) -> int | None:
        return next((places[name] for name in names if name in places), None)

    file, corners = place(_FILE), next((c for c in _CORNERS if set(c) <= set(first)), None)
    if file is not None and corners is not None:
        size = (places["height"], places["width"]) if {"height", "width"} <= set(first) else None
        where = tuple(places[name] for name in corners)
        return _Columns(file, where, place(_LABEL), size, place(("split",)), place(_CROWD), True)
    if len(first) == 6 and first[0] and (all(map(_is_number, first[1:5])) or not any(first[1:])):
        return _Columns(0, (1, 2, 3, 4), 5, None, None, None, False)
    return None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _rows(table: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        text = bytes_of(table, _MOST_BYTES).decode("utf-8-sig")
        yield from enumerate(csv.reader(io.StringIO(text, newline="")), 1)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the table {table}: {error}; write it as CSV in UTF-8") from error


class _Reading(NamedTuple):
    """What is done with the rows of one table."""

    shelf: Shelf
    odd: Odd
    table: str
    split: SplitName | None
    columns: _Columns
    paths: dict[str, Path | None]
    """Name in the table -> picture."""

    def add(self, row: list[str], number: int, pictures: dict[Path, Annotated]) -> None:
        """Put the box of a row to its picture."""
        columns = self.columns
        cells: Mapping[int, str] = {i: cell.strip() for i, cell in enumerate(row)}
        if not any(cells.values()):
            return
        picture = self._picture(cells, number, pictures)
        corners = [cells.get(i, "") for i in columns.corners]
        if picture is None or not any(corners):
            return
        try:
            place = tuple(float(cell) for cell in corners)
        except ValueError:
            self.odd.add("bad-box", self.table, f"line {number}")
            return
        picture.xyxy.append(place)
        picture.names.append(_PLAIN if columns.label is None else label_of(cells.get(columns.label, "")))
        crowd = "" if columns.crowd is None else cells.get(columns.crowd, "")
        picture.crowd.append(crowd.casefold() in ("1", "true"))

    def _picture(
        self, cells: Mapping[int, str], number: int, pictures: dict[Path, Annotated]
    ) -> Annotated | None:
        name, columns = cells.get(self.columns.file, ""), self.columns
        if name not in self.paths:
            self.paths[name] = self.shelf.find(name, self.table.rpartition("/")[0], self.split)
            if self.paths[name] is None:
                self.odd.add("no-picture", self.table, f"line {number}: {label_of(name[:100])}")
        path = self.paths[name]
        if path is None:
            return None
        if path not in pictures:
            size = None if columns.size is None else size_of(*(cells.get(i) for i in columns.size))
            split = self.split if columns.split is None else split_named(cells.get(columns.split, ""))
            pictures[path] = Annotated(path, [], [], [], size, split)
        return pictures[path]
