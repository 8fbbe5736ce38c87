"""What the data doctor says: one thing that would hurt, and the files that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Finding", "Severity", "many", "some"]

Severity = Literal["error", "warning", "note"]
_EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """One thing that would hurt; `files` are paths below the root."""

    severity: Severity
    code: str
    """Short, and the same from version to version."""
    message: str
    files: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON object."""
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "files": list(self.files),
        }


def some(names: Sequence[str]) -> str:
    """The first three, and how many more there are."""
    more = len(names) - _EXAMPLES
    return ", ".join(names[:_EXAMPLES]) + (f" and {more:,} more" if more > 0 else "")


def many(items: Sequence[object], one: str, more: str) -> str:
    """How many there are: `many(files, "file is", "files are")`."""
    return f"{len(items):,} {one if len(items) == 1 else more}"
