"""Texts that others wrote (names of files, classes and networks) where they could be taken for commands."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["cells", "printable", "whole_number"]

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves a terminal's cursor, changes its colours, ends a line, turns the direction of reading, or is no character."""
_FORMULA = re.compile(r"[=+\-@\t\r]")


def printable(text: str) -> str:
    """One line for a terminal: control characters and bytes that are no UTF-8 as escapes such as `\\x1b`."""
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def whole_number(text: str) -> int | None:
    """A whole number from 0 as a person types it, of up to 18 digits from 0 to 9; None for any other text (`²`, `1e3`)."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def cells(values: Iterable[object]) -> list[str]:
    """A row of a CSV table for people: a text that a spreadsheet would compute gets a `'` in front, numbers do not."""
    return [_cell(str(value)) for value in values]


def _cell(text: str) -> str:
    text = text.encode("utf-8", "backslashreplace").decode()
    if not _FORMULA.match(text):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
