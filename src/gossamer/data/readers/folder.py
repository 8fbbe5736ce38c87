"""The reader of class folders: ROOT/CLASS/**/picture, or ROOT/{train,val,test}/CLASS/**/picture."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gossamer.data.dataset import SPLIT_NAMES, Dataset, Sample, SplitName
from gossamer.data.pictures import is_picture
from gossamer.errors import DataError

__all__ = ["read", "recognises"]


def recognises(path: Path) -> bool:
    """Whether some sub-folder holds a picture."""
    return path.is_dir() and any(is_picture(file) for folder in _folders(path) for file in _files(folder))


def read(path: Path) -> Dataset:
    """List the pictures of every class; a class folder's own sub-folders are the groups of its pictures.

    Raises:
        DataError: fewer than two classes hold pictures.
    """
    found: list[tuple[str, SplitName | None, str | None, Path]] = []
    ignored: list[Path] = []
    for split, class_folder in _class_folders(path):
        for file in _files(class_folder):
            if not is_picture(file):
                ignored.append(file)
                continue
            inner = file.parent.relative_to(class_folder).as_posix()
            found.append(
                (class_folder.name, split, None if inner == "." else f"{class_folder.name}/{inner}", file)
            )
    labels = tuple(sorted({name for name, _, _, _ in found}))
    if len(labels) < 2:
        have = f"only {labels[0]!r}" if labels else "none"
        raise DataError(
            f"classification needs at least 2 classes with pictures, {path} has {have}; add a folder a class"
        )
    index = {name: i for i, name in enumerate(labels)}
    samples = tuple(Sample(file, index[name], group, split) for name, split, group, file in found)
    return Dataset(path.resolve().name, path, labels, samples, tuple(ignored))


def _class_folders(path: Path) -> Iterator[tuple[SplitName | None, Path]]:
    folders = list(_folders(path))
    given = (
        bool(folders)
        and all(f.name.lower() in SPLIT_NAMES for f in folders)
        and any(SPLIT_NAMES[f.name.lower()] == "train" for f in folders)
    )
    for folder in folders:
        if given:
            for class_folder in _folders(folder):
                yield SPLIT_NAMES[folder.name.lower()], class_folder
        else:
            yield None, folder


def _folders(path: Path) -> Iterator[Path]:
    yield from sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))


def _files(path: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = sorted(n for n in subfolders if not n.startswith((".", "__")))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder) / name
