"""Tables of networks: in the terminal, as CSV for programs, as Markdown and HTML for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gossamer._text import cells
from gossamer.errors import GossamerError

__all__ = ["check_table", "table_lines", "write_table"]

Row = Mapping[str, Any]
_SUFFIXES = (".csv", ".md", ".html")


def check_table(path: Path | None) -> None:
    """Complain before anything is measured.

    Raises:
        GossamerError: the name ends in none of .csv, .md and .html.
    """
    if path is not None and path.suffix not in _SUFFIXES:
        raise GossamerError(
            f"--out is a {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]} file, got {path}; write e.g. {path.stem or 'table'}.csv"
        )


def table_lines(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Columns side by side, numbers to the right."""
    cells = [list(columns), *([_shown(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    right = _numbers(columns, rows)
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in cells
    ]


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Row], *, title: str) -> None:
    """Write the table in the format of the suffix; CSV has the plain numbers."""
    from gossamer._files import write_text

    if path.suffix == ".csv":
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(cells("" if row[c] is None else row[c] for c in columns) for row in rows)
        write_text(path, buffer.getvalue())
    elif path.suffix == ".md":
        lines = [columns, ["---"] * len(columns), *([_shown(row[c]) for c in columns] for row in rows)]
        write_text(path, "".join(f"| {' | '.join(line)} |\n" for line in lines))
    else:
        from gossamer.report.table import table_page

        write_text(path, table_page(title, columns, rows, _numbers(columns, rows), _shown))


def _numbers(columns: Sequence[str], rows: Sequence[Row]) -> set[str]:
    return {column for column in columns if all(isinstance(row[column], int | float) for row in rows)}


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" if isinstance(value, float) else " ".join(map(str, value))
