"""Explicit tables of what can be added to: a name, and where what it names stands; imported when it is asked for."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from typing import Any

from gossamer.errors import GossamerError, nearest

__all__ = ["Table"]


class Table(Mapping[str, str]):
    """Name -> `package.module`, or `package.module:attribute`, in the order in which they are asked.

    One row is one line in the file that holds the table. A program that brings its own puts it in for as long as it
    needs it:

        with RUNTIMES.added("mine", "my_package.my_runtime"):
            ...
    """

    def __init__(
        self, what: str, rows: Mapping[str, str], *, error: type[GossamerError] = GossamerError
    ) -> None:
        """`what` says in one word what the rows are; a name that is none of them raises `error`."""
        self.what, self._rows, self._error = what, dict(rows), error

    def __getitem__(self, name: str) -> str:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def check(self, name: str) -> None:
        """Raises the table's error for a name that it does not hold."""
        if name not in self._rows:
            raise self._error(f"unknown {self.what} {name!r}; {nearest(name, self._rows)}")

    def load(self, name: str) -> Any:
        """What a name stands for, imported.

        Raises:
            GossamerError: the table's kind of it, where it does not hold the name.
        """
        self.check(name)
        module, _, attribute = self._rows[name].partition(":")
        found = importlib.import_module(module)
        return getattr(found, attribute) if attribute else found

    def has(self, name: str, part: str) -> bool:
        """Whether the package that a name stands for has a module `part`; it is not imported.

        Raises:
            GossamerError: as `load`.
        """
        self.check(name)
        return importlib.util.find_spec(f"{self._rows[name]}.{part}") is not None

    def part(self, name: str, part: str) -> Any:
        """The module `part` of the package that a name stands for, imported; None where the package has none.

        Raises:
            GossamerError: as `load`.
        """
        return importlib.import_module(f"{self._rows[name]}.{part}") if self.has(name, part) else None

    @contextlib.contextmanager
    def added(self, name: str, where: str) -> Iterator[None]:
        """The table with one row more for as long as the context lasts.

        Raises:
            GossamerError: the table's kind of it, where it holds the name already.
        """
        if name in self._rows:
            raise self._error(
                f"each {self.what} has a name of its own, {name!r} stands for {self._rows[name]}; choose another"
            )
        self._rows[name] = where
        try:
            yield
        finally:
            del self._rows[name]
