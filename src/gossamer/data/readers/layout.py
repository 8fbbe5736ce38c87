"""What folders mean: which are classes, which are splits, and what is odd about them; decided by their names alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gossamer.data.dataset import SplitName, split_named
from gossamer.data.findings import Finding, many, some
from gossamer.errors import DataError

__all__ = ["Layout", "Parts", "Place", "understand"]

Parts = tuple[str, ...]
"""A path below the root: folders, then the file."""
_CONTAINERS = frozenset({"data", "dataset", "datasets", "images", "imgs", "pictures", "photos", "jpegimages"})
_DEPTH = 4


class Place(NamedTuple):
    """What a picture's folders say of it."""

    label: str
    split: SplitName | None
    group: str | None


class Layout(NamedTuple):
    """The pictures that lie in a class, and what is odd."""

    places: Mapping[Parts, Place]
    findings: tuple[Finding, ...]


class _Tops(NamedTuple):
    """The folders at the top of the pictures that hold some; `loose` lie beside them."""

    below: Mapping[str, list[Parts]]
    """Folder -> its pictures, from below it."""
    loose: list[Parts]

    def flat(self, name: str) -> bool:
        """Whether a folder holds pictures itself, and not most of them in folders of its own."""
        files = self.below[name]
        return 2 * sum(len(parts) == 1 for parts in files) > len(files)


def understand(root: Path, pictures: Sequence[Parts], folders: Sequence[Parts]) -> Layout:
    """The classes, splits and groups of pictures below `root`; `folders` are all there are, empty ones too.

    Raises:
        DataError: folders named as splits would be read as classes.
    """
    findings: list[Finding] = []
    prefix = _prefix(root, pictures)
    if prefix:
        name = "/".join(prefix)
        outside = [parts for parts in pictures if parts[: len(prefix)] != prefix]
        message = f"the pictures lie in {name}/: its folders are read" + _beside(outside)
        findings.append(Finding("note", "nested", message))
    inside = [parts[len(prefix) :] for parts in pictures if parts[: len(prefix)] == prefix]
    tops = _tops(inside)
    splits = _splits(root.joinpath(*prefix), tops)
    if splits:
        places, odd, levels = _of_splits(tops, splits)
    else:
        places, odd, levels = _of_classes(tops), _odd_classes(tops), {()}
    findings += odd
    findings += _loose(
        [
            parts
            for parts in inside
            if parts not in places and len(parts) <= (2 if splits and parts[0] in splits else 1)
        ]
    )
    empty = [f[len(prefix) :] for f in folders if f[: len(prefix)] == prefix and len(f) > len(prefix)]
    findings += _empty([f for f in empty if f[:-1] in levels], inside)
    whole = tuple(
        replace(each, files=tuple("/".join((*prefix, file)) for file in each.files)) for each in findings
    )
    return Layout({prefix + parts: place for parts, place in places.items()}, whole)


def _tops(pictures: Sequence[Parts]) -> _Tops:
    below: dict[str, list[Parts]] = defaultdict(list)
    for parts in pictures:
        if len(parts) > 1:
            below[parts[0]].append(parts[1:])
    return _Tops(below, [parts for parts in pictures if len(parts) == 1])


def _prefix(root: Path, pictures: Sequence[Parts]) -> Parts:
    """The folders to go down before classes or splits begin: containers such as `images`, or the root's name again."""
    prefix: Parts = ()
    names = _CONTAINERS | {root.resolve().name.casefold()}
    while len(prefix) < _DEPTH:
        tops = _tops([parts[len(prefix) :] for parts in pictures if parts[: len(prefix)] == prefix])
        if len(tops.below) != 1:
            break
        (name,) = tops.below
        inner = {parts[0] for parts in tops.below[name] if len(parts) > 1}
        holds_splits = sum(split_named(each) is not None for each in inner) > 1
        if tops.flat(name) or split_named(name) or not (name.casefold() in names or holds_splits):
            break
        prefix = (*prefix, name)
    return prefix


def _splits(root: Path, tops: _Tops) -> dict[str, SplitName]:
    """Which top folders are splits; none where they are classes.

    Raises:
        DataError: they are named as splits, and cannot be used as such.
    """
    named = {name: split for name in sorted(tops.below) if (split := split_named(name)) is not None}
    whole = {name: split for name, split in named.items() if not tops.flat(name)}
    others = sorted(set(tops.below) - set(named))
    if (len(whole) > 1 and "train" in whole.values()) or (whole and set(whole) == set(tops.below)):
        if "train" not in whole.values():
            raise DataError(
                f"a split needs pictures to train on, {root} has class folders in {some(list(whole))} and none in train; "
                "add train/, or give the folder that holds the class folders"
            )
        return whole
    if whole:
        name = min(whole)
        if others == [] and whole[name] == "train":
            return whole
        raise DataError(
            f"a split is no class, {name} of {root} holds folders as a split does and stands beside {some(sorted(set(tops.below) - {name}))}; "
            f"give {root / name} alone, put train, val and test beside each other and nothing else, or rename it if it is a class"
        )
    if len(named) > 1:
        raise DataError(
            f"a split is no class, {some(list(named))} of {root} hold pictures and no class folders; put the pictures of each "
            "into folders named after their classes, or name their classes in labels.csv with the columns file, label and split"
        )
    return {}


def _of_splits(
    tops: _Tops, splits: Mapping[str, SplitName]
) -> tuple[dict[Parts, Place], list[Finding], set[Parts]]:
    places: dict[Parts, Place] = {}
    for name, split in splits.items():
        for parts in tops.below[name]:
            if len(parts) > 1:
                places[(name, *parts)] = Place(parts[0], split, _group(parts[:-1]))
    findings: list[Finding] = []
    beside = {name: tops.below[name] for name in sorted(tops.below) if name not in splits}
    if beside:
        counts = [f"{name}/ with {many(files, 'picture', 'pictures')}" for name, files in beside.items()]
        message = f"{some(counts)} beside {some(list(splits))}: read as no class and no split, left out; move or rename it"
        files = tuple("/".join((name, *parts)) for name, each in beside.items() for parts in each)
        findings.append(Finding("warning", "beside-splits", message, files))
    renamed = [f"{name} as {split}" for name, split in splits.items() if name.casefold() != split]
    if renamed:
        message = f"{some(renamed)}: folders are read as splits by their names; rename one if it is none"
        findings.append(Finding("note", "split-names", message))
    twice = [name for name, count in Counter(splits.values()).items() if count > 1]
    for split in twice:
        names = [name for name, each in splits.items() if each == split]
        message = f"{some(names)} are read as one split, {split}; move one away if it is not meant"
        findings.append(Finding("note", "same-split", message))
    return places, findings, {(), *((name,) for name in splits)}


def _of_classes(tops: _Tops) -> dict[Parts, Place]:
    """Class folders, each perhaps with the same splits inside."""
    inner = _shared_folders(tops)
    named = {name: split_named(name) for name in inner}
    parted = "train" in named.values() and len(named) > 1 and None not in named.values()
    places: dict[Parts, Place] = {}
    for label, files in tops.below.items():
        for parts in files:
            split = named[parts[0]] if parted else None
            own = parts[1:-1] if parted else parts[:-1]
            places[(label, *parts)] = Place(label, split, _group((label, *own)))
    return places


def _group(folders: Parts) -> str | None:
    """A class folder's inner folder, with the class in front; none for the class folder itself."""
    return "/".join(folders) if len(folders) > 1 else None


def _shared_folders(tops: _Tops) -> list[str]:
    """The folders inside every class folder, where they are the same, two at least, and hold all the pictures."""
    if len(tops.below) < 2 or any(len(parts) == 1 for files in tops.below.values() for parts in files):
        return []
    inner = [sorted({parts[0] for parts in files}) for files in tops.below.values()]
    return inner[0] if len(inner[0]) > 1 and all(each == inner[0] for each in inner) else []


def _odd_classes(tops: _Tops) -> list[Finding]:
    findings: list[Finding] = []
    classes = sorted(tops.below)
    for name in classes:
        if split_named(name):
            message = f"{name!r} is read as a class though it is the name of a split; rename it if it is none"
            findings.append(Finding("warning", "split-as-class", message))
    shared = _shared_folders(tops)
    splits = [name for name in shared if split_named(name)]
    if shared and len(splits) == len(shared) and "train" in map(split_named, splits):
        message = f"every class folder holds {some(shared)}: read as the data's own split"
        findings.append(Finding("note", "splits-inside", message))
    elif shared:
        message = (
            f"every class folder ({some(classes)}) holds the same folders ({some(shared)}): if these are the classes, put them "
            "at the top; if they are places, flights or days, keep each in one split with --groups folder"
        )
        findings.append(Finding("warning", "same-folders", message))
    else:
        inside = sorted(
            {
                f"{label}/{parts[0]}"
                for label in classes
                for parts in tops.below[label]
                if len(parts) > 1 and split_named(parts[0])
            }
        )
        if inside:
            message = (
                f"{some(inside)} are named as splits inside class folders and read as none; put train, val and test at the top, "
                "each with its class folders"
            )
            findings.append(Finding("warning", "splits-inside", message))
    return findings


def _loose(loose: Sequence[Parts]) -> list[Finding]:
    if not loose:
        return []
    files = tuple("/".join(parts) for parts in loose)
    message = f"{many(files, 'picture lies', 'pictures lie')} in no class folder, left out: {some(files)}; move them into one"
    return [Finding("warning", "loose", message, files)]


def _empty(folders: Sequence[Parts], pictures: Sequence[Parts]) -> list[Finding]:
    """Of folders where classes or splits stand: those without a picture."""
    full = {parts[:depth] for parts in pictures for depth in (1, 2)}
    names = tuple("/".join(folder) for folder in folders if folder not in full)
    if not names:
        return []
    message = (
        f"{many(names, 'folder holds', 'folders hold')} no picture and {'is' if len(names) == 1 else 'are'} no class: {some(names)}; "
        "add pictures, or move it away"
    )
    return [Finding("warning", "no-pictures", message, names)]


def _beside(outside: Sequence[Parts]) -> str:
    return f"; {many(outside, 'picture', 'pictures')} beside it left out" if outside else ""
