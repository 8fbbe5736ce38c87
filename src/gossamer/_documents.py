"""JSON and YAML from a stranger: bounded in size, depth and digits, numbers finite, no aliases, no code."""

from __future__ import annotations

import errno
import json
import math
from pathlib import Path
from typing import Any

__all__ = ["MOST_BYTES", "parse_json", "parse_yaml", "read_json"]

MOST_BYTES = 1 << 26
"""Of a document: the longest plan of channels is a hundredth of it."""
_MOST_DIGITS = 18
_MOST_DEPTH = 64


def parse_json(text: str | bytes, *, most_bytes: int = MOST_BYTES) -> Any:
    """A JSON document whose numbers are finite and fit 64 bits, at most 64 levels deep.

    Raises:
        ValueError: it is none; the message says why, in words.
    """
    if len(text) > most_bytes:
        raise ValueError(f"a document has at most {most_bytes} bytes, this one has {len(text)}")
    try:
        document = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
    except RecursionError as error:
        raise ValueError(_too_deep()) from error
    _check_depth(document)
    return document


def read_json(path: Path) -> Any:
    """The JSON document in a file.

    Raises:
        OSError: the file cannot be read, or is none.
        ValueError: as `parse_json`; nothing of a file that is too large is read.
    """
    size = path.stat().st_size
    if not path.is_file():  # a pipe never ends
        raise OSError(errno.EINVAL, "it is no regular file")
    if size > MOST_BYTES:
        raise ValueError(f"a document has at most {MOST_BYTES} bytes, this one has {size}")
    return parse_json(path.read_bytes())


def parse_yaml(text: str) -> Any:
    """A YAML document of plain values, bounded as `parse_json`; an alias could make it any size.

    Raises:
        ValueError: it is none; the message says why, in words.
    """
    import yaml

    if len(text) > MOST_BYTES:
        raise ValueError(f"a document has at most {MOST_BYTES} bytes, this one has {len(text)}")
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(f"aliases are not read, got *{event.anchor}; write the value out")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MOST_DEPTH:
                raise ValueError(_too_deep())
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError(_too_deep()) from error
    _check_numbers(document)
    return document


def _too_deep() -> str:
    return f"a document is at most {_MOST_DEPTH} levels deep, this one is deeper"


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"numbers have at most {_MOST_DIGITS} digits, got {text[:12]}... with {len(text)}")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"numbers are finite, got {text[:20]}")
    return number


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(_MOST_DEPTH + 1):
        level = [child for value in level for child in _children(value) if isinstance(child, list | dict)]
        if not level:
            return
    raise ValueError(_too_deep())


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _check_numbers(document: Any) -> None:
    """YAML has made the numbers already."""
    if isinstance(document, float) and not math.isfinite(document):
        raise ValueError(f"numbers are finite, got {document}")
    if isinstance(document, int) and abs(document) >= 10**_MOST_DIGITS:
        raise ValueError(f"numbers have at most {_MOST_DIGITS} digits, got one with more")
    for child in _children(document):
        _check_numbers(child)
