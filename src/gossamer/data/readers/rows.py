"""Rows of tables as a data set: a file, its target, perhaps its split and group, whatever the table is written in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from gossamer.data.dataset import Dataset, Sample, SplitName, split_named
from gossamer.data.findings import Finding, many, some
from gossamer.data.walk import walk
from gossamer.errors import DataError

__all__ = ["Row", "dataset_of", "rows_of", "target_columns", "with_unlisted"]

_BETWEEN = ";"


class Row(NamedTuple):
    """One picture of a table."""

    table: Path
    number: int
    """Line of the table, from 1."""
    file: str
    """Below the table's folder, with forward slashes."""
    cells: Mapping[str, str]

    @property
    def path(self) -> Path:
        return self.table.parent / self.file


class _Targets(NamedTuple):
    task: str
    labels: tuple[str, ...]
    values: list[Any]


def target_columns(header: Sequence[str]) -> list[str]:
    """The columns that hold targets; of several kinds the first."""
    for kind in ("label", "labels", "value"):
        found = [name for name in header if name == kind or (kind == "value" and name.startswith("value:"))]
        if found:
            return found
    return []


def rows_of(table: Path, lines: Iterable[tuple[int, Mapping[str, str]]], column: str) -> list[Row]:
    """Lines with their numbers as rows; `column` names the file.

    Raises:
        DataError: a file lies elsewhere or has two rows, or there is none.
    """
    seen: dict[str, int] = {}
    rows: list[Row] = []
    for number, cells in lines:
        name = _slashed(table.parent, cells.get(column, ""))
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
        rows.append(Row(table, number, name, cells))
    if not rows:
        raise DataError(f"a table of pictures has a row a picture, {table} has none; add rows")
    return rows


def _slashed(root: Path, name: str) -> str:
    """A path with forward slashes, where it was written on Windows."""
    return name.replace("\\", "/") if "\\" in name and not (root / name).exists() else name


def dataset_of(name: str, root: Path, rows: Sequence[Row], columns: Sequence[str]) -> Dataset:
    """The pictures of the rows with their targets; `group` and `split` as the cells say.

    Raises:
        DataError: a cell is none of its kind.
    """
    targets = _targets(columns, rows)
    samples = tuple(
        Sample(row.path, target, row.cells.get("group") or None, _split(row))
        for row, target in zip(rows, targets.values, strict=True)
    )
    grouped = any(sample.group for sample in samples)
    return Dataset(name, root, targets.labels, samples, grouped=grouped, task=targets.task)


def with_unlisted(dataset: Dataset, tables: Sequence[Path]) -> Dataset:
    """The same, with what lies beside the pictures: those that no row names, and files that are none."""
    listed = {sample.path for sample in dataset.samples} | set(tables)
    kinds = [(entry.kind, entry.path) for entry in walk(dataset.root) if entry.path not in listed]
    unlisted = tuple(path.relative_to(dataset.root).as_posix() for kind, path in kinds if kind == "picture")
    findings = dataset.findings
    if unlisted:
        message = f"{many(unlisted, 'picture has', 'pictures have')} no row in the table, left out: {some(unlisted)}"
        findings = (*findings, Finding("warning", "unlisted", message, unlisted))
    return replace(dataset, ignored=tuple(path for kind, path in kinds if kind == "other"), findings=findings)


def _split(row: Row) -> SplitName | None:
    told = row.cells.get("split", "")
    split = split_named(told)
    if told and split is None:
        raise DataError(f"a split is train, val or test, {row.table} line {row.number} has {told!r}; mend it")
    return split


def _targets(columns: Sequence[str], rows: Sequence[Row]) -> _Targets:
    table = rows[0].table
    if columns[0].partition(":")[0] == "value":
        names = tuple(name.partition(":")[2] or "value" for name in columns)
        return _Targets("regress", names, [_numbers(columns, row) for row in rows])
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


def _numbers(columns: Sequence[str], row: Row) -> tuple[float, ...]:
    values = []
    for column in columns:
        try:
            value = float(row.cells[column])
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or abs(value) > 1e30:
            raise DataError(
                f"{column} is a number, {row.table} line {row.number} has {row.cells[column]!r}; mend it or leave the row out"
            )
        values.append(value)
    return tuple(values)
