"""The reader of tables: a CSV file with a row a picture, or a folder that holds `labels.csv` or `targets.csv`.

Columns: `file`, below the table's folder; `label`, one class or several labels with `;` between them, or `labels`,
always several; or `value`, a number, or columns `value:NAME`, a number each. `split` (train, val or test) and `group`
may stand beside them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gossamer.data.dataset import Dataset
from gossamer.data.readers.rows import dataset_of, rows_of, target_columns, with_unlisted
from gossamer.errors import DataError

__all__ = ["read", "recognises"]

_NAMES = ("labels.csv", "targets.csv")


def recognises(path: Path) -> bool:
    """Whether it is a CSV file, or a folder with a table of files and targets."""
    if path.is_file():
        return path.suffix.lower() == ".csv"
    table = _table_of(path)
    if table is None:
        return False
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return "file" in header and bool(target_columns(header))


def read(path: Path) -> Dataset:
    """List the pictures that the table names, with their targets; `group` and `split` as their columns say.

    Raises:
        DataError: the table cannot be read, lacks a column, or has a cell that is none of its kind.
    """
    table = path if path.is_file() else _table_of(path)
    if table is None:
        raise DataError(f"no table in {path}; name it {' or '.join(_NAMES)}, or give the CSV file itself")
    root = table.parent
    header, lines = _read(table)
    columns = target_columns(header)
    if "file" not in header or not columns:
        raise DataError(
            f"a table of pictures has the column file and one of label, labels, value or value:NAME, {table} has "
            f"{_shown(header)}; name its columns so"
        )
    rows = rows_of(table, _cells(table, lines), "file")
    dataset = dataset_of(_name(path, root), root, rows, columns)
    return with_unlisted(dataset, [table]) if path.is_dir() else dataset


def _name(path: Path, root: Path) -> str:
    """Of the run's folder: the table's own name where that tells more than its folder's."""
    return root.resolve().name if path.name in _NAMES or path.is_dir() else path.stem


def _table_of(folder: Path) -> Path | None:
    return next((folder / name for name in _NAMES if (folder / name).is_file()), None)


def _read(table: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            lines = list(reader)
            header = list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the table {table}: {error}; write it as CSV in UTF-8") from error
    if len(set(header)) < len(header):
        raise DataError(f"columns have names of their own, {table} has {_shown(header)}; rename one")
    return header, lines


def _shown(header: Sequence[str]) -> str:
    """Names of columns on one line of bounded length."""
    names = " ".join(", ".join(header).split())
    return (names if len(names) < 300 else f"{names[:300]}...") or "none"


def _cells(table: Path, lines: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(lines, 2):
        if line.get(""):
            raise DataError(
                f"{table} line {number} has more cells than there are columns; put quotes around commas"
            )
        yield number, {key: str(value).strip() for key, value in line.items() if key}
