"""The reader of Hugging Face's `imagefolder`: folders that each hold `metadata.jsonl` or `metadata.csv`.

A row names its picture by `file_name`, below the folder of the metadata; targets, `split` and `group` are columns as in
other tables, of JSON also lists of labels. Folders called as splits are, where one of them trains. Metadata without a
target (captions, boxes) are none of this reader's: the folders may be classes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gossamer.data.dataset import Dataset, split_named
from gossamer.data.readers.rows import Row, dataset_of, rows_of, target_columns, with_unlisted
from gossamer.errors import DataError

__all__ = ["read", "recognises"]

_NAMES = ("metadata.jsonl", "metadata.csv")
_DEPTH = 3
_FILE = "file_name"


def recognises(path: Path) -> bool:
    """Whether a folder, or one in it, holds metadata that name files and targets."""
    if not path.is_dir():
        return False
    for table in _tables(path):
        try:
            _number, cells = next(_lines(table), (0, {}))
        except DataError:
            continue
        if _FILE in cells and target_columns(list(cells)):
            return True
    return False


def read(path: Path) -> Dataset:
    """List the pictures that the metadata name, with their targets.

    Raises:
        DataError: the metadata cannot be read, lack a column, or have a cell that is none of its kind.
    """
    tables, rows = list(_tables(path)), list[Row]()
    for table in tables:
        rows += rows_of(table, _lines(table), _FILE)
    columns = target_columns(list(rows[0].cells))
    for row in rows:
        missing = [name for name in columns if name not in row.cells]
        if missing or not columns:
            raise DataError(
                f"every row has the same target, {row.table} line {row.number} has no {', '.join(missing) or 'label'}; add it"
            )
    dataset = dataset_of(path.resolve().name, path, _parted(path, rows), columns)
    return with_unlisted(dataset, tables)


def _tables(path: Path) -> Iterator[Path]:
    """The metadata of the folder, or of those below it, in order."""
    for depth in range(_DEPTH):
        found = sorted(each for name in _NAMES for each in path.glob("*/" * depth + name) if each.is_file())
        found = [
            each for each in found if not any(part.startswith(".") for part in each.relative_to(path).parts)
        ]
        if found:
            yield from found
            return


def _parted(root: Path, rows: list[Row]) -> list[Row]:
    """Rows whose folders are splits, where they have no column of that name."""
    splits = [
        next(filter(None, map(split_named, row.path.relative_to(root).parts[:-1])), None) for row in rows
    ]
    if "train" not in splits:
        return rows
    return [
        row._replace(cells={"split": split or "", **row.cells})
        for row, split in zip(rows, splits, strict=True)
    ]


def _lines(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the metadata {table}: {error}; write them in UTF-8") from error
    if table.suffix == ".csv":
        try:
            for number, record in enumerate(csv.DictReader(io.StringIO(text), restkey="", restval=""), 2):
                yield number, {key: str(value).strip() for key, value in record.items() if key}
        except csv.Error as error:
            raise DataError(f"cannot read the metadata {table}: {error}; write them as CSV") from error
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, _of_json(table, number, line)


def _of_json(table: Path, number: int, line: str) -> dict[str, str]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"every line is a JSON object, {table} line {number} is none ({error}); mend it"
        ) from error
    if not isinstance(document, Mapping):
        raise DataError(
            f"every line is a JSON object, {table} line {number} is a {type(document).__name__}; mend it"
        )
    cells = {str(key): _cell(value) for key, value in document.items()}
    lists = [key for key, value in document.items() if isinstance(value, list) and key == "label"]
    return {("labels" if key in lists else key): value for key, value in cells.items()}


def _cell(value: Any) -> str:
    """A JSON value as the cell of a table."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ";".join(map(_cell, value))
    return value.strip() if isinstance(value, str) else json.dumps(value)
