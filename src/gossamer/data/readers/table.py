"""The reader of tables: a CSV file with a row a picture, or a folder that holds `labels.csv` or `targets.csv`.

Columns: `file`, below the table's folder; `label`, one class or several labels with `;` between them, or `labels`,
always several; or `value`, a number, or columns `value:NAME`, a number each. `split` (train, val or test) and `group`
may stand beside them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gossamer.data.dataset import Dataset, Sample, split_named
from gossamer.errors import DataError

__all__ = ["read", "recognises"]

_NAMES = ("labels.csv", "targets.csv")
_BETWEEN = ";"


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
    return "file" in header and bool(_targets_of(header))


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
    columns = _targets_of(header)
    if "file" not in header or not columns:
        raise DataError(
            f"a table of pictures has the column file and one of label, labels, value or value:NAME, {table} has "
            f"{', '.join(header) or 'none'}; name its columns so"
        )
    rows = list(_rows(table, lines))
    if not rows:
        raise DataError(f"a table of pictures has a row a picture, {table} has none; add rows")
    targets = _targets(table, columns, rows)
    samples = tuple(
        Sample(root / row.file, target, row.cells.get("group") or None, _split(table, row))
        for row, target in zip(rows, targets.values, strict=True)
    )
    grouped = any(sample.group for sample in samples)
    return Dataset(_name(path, root), root, targets.labels, samples, grouped=grouped, task=targets.task)


class _Row(NamedTuple):
    number: int
    file: str
    cells: Mapping[str, str]


class _Targets(NamedTuple):
    task: str
    labels: tuple[str, ...]
    values: list[Any]


def _name(path: Path, root: Path) -> str:
    """Of the run's folder: the table's own name where that tells more than its folder's."""
    return root.resolve().name if path.name in _NAMES or path.is_dir() else path.stem


def _table_of(folder: Path) -> Path | None:
    return next((folder / name for name in _NAMES if (folder / name).is_file()), None)


def _targets_of(header: Sequence[str]) -> list[str]:
    """The columns that hold targets; of several kinds the first."""
    for kind in ("label", "labels", "value"):
        found = [name for name in header if name == kind or (kind == "value" and name.startswith("value:"))]
        if found:
            return found
    return []


def _read(table: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            lines = list(reader)
            header = list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the table {table}: {error}; write it as CSV in UTF-8") from error
    if len(set(header)) < len(header):
        raise DataError(f"columns have names of their own, {table} has {', '.join(header)}; rename one")
    return header, lines


def _rows(table: Path, lines: Sequence[Mapping[str, Any]]) -> Iterator[_Row]:
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 2):
        cells = {key: str(value).strip() for key, value in line.items() if key}
        name = cells.get("file", "")
        if line.get(""):
            raise DataError(
                f"{table} line {number} has more cells than there are columns; put quotes around commas"
            )
        if not name or name.startswith("/") or ".." in Path(name).parts:
            raise DataError(
                f"a file lies below the table's folder, {table} line {number} names {name!r}; write it from {table.parent}"
            )
        name = Path(name).as_posix()
        if name in seen:
            raise DataError(
                f"a picture has one row, {table} names {name} in the lines {seen[name]} and {number}; keep one"
            )
        seen[name] = number
        yield _Row(number, name, cells)


def _split(table: Path, row: _Row) -> Any:
    told = row.cells.get("split", "")
    split = split_named(told)
    if told and split is None:
        raise DataError(f"a split is train, val or test, {table} line {row.number} has {told!r}; mend it")
    return split


def _targets(table: Path, columns: Sequence[str], rows: Sequence[_Row]) -> _Targets:
    if columns[0].partition(":")[0] == "value":
        names = tuple(name.partition(":")[2] or "value" for name in columns)
        return _Targets("regress", names, [_numbers(table, columns, row) for row in rows])
    column = columns[0]
    several = column == "labels" or any(_BETWEEN in row.cells[column] for row in rows)
    borne = [_labels(row.cells[column]) for row in rows]
    empty = next((row.number for row, each in zip(rows, borne, strict=True) if not each), None)
    if empty is not None and not several:
        raise DataError(
            f"a picture has a label, {table} line {empty} has none; fill it in, or name the column labels where a picture may "
            "bear none"
        )
    labels = tuple(sorted({label for each in borne for label in each}))
    if len(labels) < 2 and not several:
        raise DataError(
            f"classification needs at least 2 classes with pictures, {table} has only {labels[0]!r}; add rows of another"
        )
    index = {label: i for i, label in enumerate(labels)}
    if several:
        return _Targets(
            "multi-label", labels, [tuple(sorted(index[label] for label in each)) for each in borne]
        )
    return _Targets("classify", labels, [index[each[0]] for each in borne])


def _labels(cell: str) -> list[str]:
    return sorted({part.strip() for part in cell.split(_BETWEEN)} - {""})


def _numbers(table: Path, columns: Sequence[str], row: _Row) -> tuple[float, ...]:
    values = []
    for column in columns:
        try:
            value = float(row.cells[column])
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or abs(value) > 1e30:
            raise DataError(
                f"{column} is a number, {table} line {row.number} has {row.cells[column]!r}; mend it or leave the row out"
            )
        values.append(value)
    return tuple(values)
