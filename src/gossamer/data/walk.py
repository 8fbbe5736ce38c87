"""Every file below a folder, in one order, each with what it counts as; linked folders are followed once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from gossamer.data.pictures import is_picture

__all__ = ["Entry", "Kind", "walk"]

Kind = Literal["picture", "other", "hidden", "name", "closed", "circle", "folder"]
"""A picture or no picture by its name; hidden (a point in front, of folders also `__`); a name that is not UTF-8; a folder
that may not be read; a link to a folder that was read before; a folder that is read."""


class Entry(NamedTuple):
    """One file or folder."""

    kind: Kind
    path: Path


def walk(root: Path) -> Iterator[Entry]:
    """The files of a folder by name, then those of its folders by name; the root itself is no entry."""
    yield from _walk(root, set())


def _walk(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Entry]:
    """`seen` are the folders that were read, by device and number: a link to one of them leads in a circle."""
    try:
        status = folder.stat()
        with os.scandir(folder) as entries:
            children = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        yield Entry("closed", folder)
        return
    seen.add((status.st_dev, status.st_ino))
    inner: list[Path] = []
    for child in children:
        path = folder / child.name
        is_folder = child.is_dir()
        if child.name.startswith((".", "__") if is_folder else "."):
            yield Entry("hidden", path)
        elif not _is_text(child.name):
            yield Entry("name", path)
        elif not is_folder:
            yield Entry("picture" if is_picture(path) else "other", path)
        else:
            inner.append(path)
    for path in inner:
        if path.is_symlink() and _number(path) in seen:
            yield Entry("circle", path)
            continue
        yield Entry("folder", path)
        yield from _walk(path, seen)


def _number(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_text(name: str) -> bool:
    """Whether the bytes of a name are UTF-8; others come as lone surrogates, which nothing can write."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
