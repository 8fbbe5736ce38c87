"""Texts that others wrote (names of files, classes and networks) where they could be taken for commands."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

__all__ = ["cells", "code_span", "markdown", "printable", "whole_number"]

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves a terminal's cursor, changes its colours, ends a line, turns the direction of reading, or is no character."""
_MARKS = re.compile(r"[\\`*\[\]|#~]")
"""What Markdown reads as more than itself inside a line; an underscore within a word is none."""
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


def markdown(text: str) -> str:
    """A text within a line of Markdown, which shows it as it is: no element of HTML, no link, no table's border."""
    plain = " ".join(printable(part) for part in text.split())
    return html.escape(_MARKS.sub(r"\\\g<0>", plain), quote=False)


def code_span(text: str) -> str:
    """A text as code within a line of Markdown, whatever backticks it has."""
    plain = " ".join(printable(part) for part in text.split())
    fence = "`" * (max((len(run) for run in re.findall("`+", plain)), default=0) + 1)
    return f"{fence} {plain} {fence}" if "`" in plain else f"{fence}{plain}{fence}"
