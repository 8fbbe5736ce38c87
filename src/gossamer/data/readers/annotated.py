"""What readers of boxes share: pictures by what annotations call them, and a data set with all that was left out counted."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from gossamer.data.dataset import Dataset, Sample, SplitName, split_named
from gossamer.data.findings import Finding, Severity, many, some
from gossamer.data.pictures import is_picture
from gossamer.data.walk import walk
from gossamer.errors import DataError
from gossamer.tasks.detect.boxes import Boxes
from gossamer.types import Size

__all__ = [
    "Annotated",
    "Odd",
    "Shelf",
    "bytes_of",
    "dataset_of_boxes",
    "json_of",
    "label_of",
    "number_of",
    "size_of",
]

_LONGEST_LABEL = 120
_LONGEST_PATH = 1000

_REASONS: Mapping[str, tuple[Severity, str, str]] = {
    "no-picture": ("warning", "annotated picture has", "annotated pictures have"),
    "no-annotation": ("warning", "picture has", "pictures have"),
    "unlisted": ("warning", "picture is", "pictures are"),
    "bad-annotation": ("error", "annotation file is", "annotation files are"),
    "bad-entry": ("warning", "entry is", "entries are"),
    "bad-box": ("error", "box is", "boxes are"),
    "no-image": ("warning", "box belongs", "boxes belong"),
    "repeated": ("warning", "entry is", "entries are"),
    "split-twice": ("warning", "picture is", "pictures are"),
}
_ADVICE: Mapping[str, str] = {
    "no-picture": "no file and left out; put the files back, or give the folder that holds them",
    "no-annotation": "no annotation and left out; annotate those, or give them an empty one if they show nothing",
    "unlisted": "in none of the lists and left out; add them to a list",
    "bad-annotation": "left out, with the boxes in them; mend or remove them",
    "bad-entry": "of no use and left out; mend or remove them",
    "bad-box": "no four numbers and left out; mend or remove them",
    "no-image": "to no picture of the file and left out; add the picture's entry",
    "repeated": "there before, and the first one counts; remove the others",
    "split-twice": "in two splits, and counts for the one that is held back; take it out of the other",
}


class Annotated(NamedTuple):
    """A picture with its boxes as the annotations have them."""

    path: Path
    xyxy: list[tuple[float, ...]]
    names: list[str]
    """Of the boxes' classes; empty where a class has none."""
    crowd: list[bool]
    size: Size | None = None
    split: SplitName | None = None
    norm: bool = False
    """Whether the places are shares of the sides."""


class Odd:
    """What is left out or odd, by reason: one finding each, with how many and the first ones."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, None]] = defaultdict(dict)
        self._files: dict[str, dict[str, None]] = defaultdict(dict)
        self._counts: dict[str, int] = defaultdict(int)
        self._more: list[Finding] = []

    def add(self, code: str, file: str, detail: str = "") -> None:
        """One more of a reason; `file` is below the root, `detail` says where in it and why."""
        self._counts[code] += 1
        self._files[code][file] = None
        if len(self._places[code]) < 4:
            self._places[code][f"{file} ({_short(detail)})" if detail else file] = None

    def refuse(self, file: str, path: Path, error: Exception) -> None:
        """One more file that cannot be used, by the error that says so."""
        self.add("bad-annotation", file, str(error).replace(str(path), "it"))

    def say(self, severity: Severity, code: str, message: str, files: Sequence[str] = ()) -> None:
        """A finding of its own words."""
        self._more.append(Finding(severity, code, message, tuple(files)))

    def findings(self) -> tuple[Finding, ...]:
        """One a reason, in the order in which they came up."""
        return tuple(self._more) + tuple(self._finding(code) for code in self._counts)

    def _finding(self, code: str) -> Finding:
        severity, one, more = _REASONS[code]
        count, files = self._counts[code], tuple(self._files[code])
        message = f"{many(range(count), one, more)} {_ADVICE[code]}: {some(list(self._places[code])[:3])}"
        if count > 3 and len(self._places[code]) > 3:
            message += f" and {count - 3:,} more"
        return Finding(severity, code, message, files)


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 160 else plain[:157] + "..."


class _Index(NamedTuple):
    """What lies below a folder."""

    pictures: dict[str, Path]
    others: dict[str, Path]
    by_name: dict[str, list[str]]
    by_stem: dict[str, list[str]]


class Shelf:
    """The files below a folder; pictures are found by what annotations call them, Windows paths and old folders among them.

    Where a file of annotations was given by itself (not `whole`), the folder is listed only if some picture does not lie
    where the annotations say.
    """

    def __init__(self, root: Path, *, whole: bool = True) -> None:
        self.root, self.whole = root, whole

    @cached_property
    def _index(self) -> _Index:
        index = _Index({}, {}, defaultdict(list), defaultdict(list))
        for entry in walk(self.root):
            if entry.kind not in ("picture", "other"):
                continue
            inner = entry.path.relative_to(self.root).as_posix()
            (index.pictures if entry.kind == "picture" else index.others)[inner] = entry.path
            if entry.kind == "picture":
                index.by_name[entry.path.name.casefold()].append(inner)
                index.by_stem[entry.path.stem].append(inner)
        return index

    @property
    def pictures(self) -> Mapping[str, Path]:
        """Pictures by their paths below the root."""
        return self._index.pictures

    @property
    def others(self) -> Mapping[str, Path]:
        """Files that are no pictures by name."""
        return self._index.others

    def relative(self, path: Path) -> str:
        """A path below the root, with forward slashes."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def find(self, name: str, near: str = "", split: SplitName | None = None) -> Path | None:
        """The picture that annotations in the folder `near` call so: the one with most of its path, else nearest to them."""
        if len(name) > _LONGEST_PATH:
            return None
        parts = [part for part in re.split(r"[\\/]+", name.strip()) if part not in ("", ".", "..")]
        if not parts:
            return None
        direct = self._at("/".join([*([near] if near else []), *parts]))
        if direct is None:
            places = self._index.by_name.get(parts[-1].casefold(), ())
            return self._nearest(places, parts, near, split)
        return direct

    def _at(self, inner: str) -> Path | None:
        """The picture at a path below the root."""
        if self.whole:
            return self.pictures.get(inner)
        path = self.root / inner
        plain = inner.isprintable() and is_picture(path) and "/." not in f"/{inner}"
        return path if plain and os.path.isfile(path) else None

    def of_stem(self, stem: str, near: str = "", name: str = "") -> Path | None:
        """The picture of a stem in the folder `near` or below it, that of `name` where there are several."""
        inside = [p for p in self._index.by_stem.get(stem, ()) if not near or p.startswith(near + "/")]
        return self._nearest(inside, [name], near, None)

    def _nearest(
        self, places: Iterable[str], parts: Sequence[str], near: str, split: SplitName | None
    ) -> Path | None:
        folder = near.split("/") if near else []

        def far(place: str) -> tuple[int, bool, int, int, str]:
            own = place.split("/")
            other_split = split is not None and split not in map(split_named, own[:-1])
            alike = _shared(own[::-1], parts[::-1])
            return -alike, other_split, -_shared(own[:-1], folder), len(own), place

        best = min(places, key=far, default=None)
        return None if best is None else self.pictures[best]


def _shared(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """How many items two lists begin with alike."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False))
    return sum(1 for _ in pairs)


def bytes_of(path: Path, most: int) -> bytes:
    """A file's bytes, of a plain file that is no larger than `most` bytes.

    Raises:
        DataError: it is no plain file, too large, or cannot be read.
    """
    try:
        if not path.is_file():
            raise DataError(f"annotations stand in a file, {path} is none; give the file itself")
        if path.stat().st_size > most:
            raise DataError(
                f"an annotation file has at most {most // 1_000_000:,} MB, {path} has more; cut it into several"
            )
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check who may read it") from error


def json_of(path: Path, most: int, hook: Callable[[dict[str, Any]], Any] | None = None) -> dict[str, Any]:
    """A JSON object out of a file.

    Raises:
        DataError: the file cannot be read, or holds no JSON object.
    """
    data = bytes_of(path, most)
    try:
        document = json.loads(data.decode("utf-8-sig"), object_hook=hook)
    except (ValueError, RecursionError, MemoryError) as error:
        raise DataError(
            f"annotations are JSON in UTF-8, {path} is none ({_short(str(error))}); mend it"
        ) from error
    if not isinstance(document, dict):
        raise DataError(f"annotations are a JSON object, {path} is a {type(document).__name__}; mend it")
    return document


def label_of(value: Any) -> str:
    """The name of a class as annotations give it, on one line; empty where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = value if isinstance(value, str) else str(value) if abs(value) < 10**18 else ""
    if len(text) > _LONGEST_LABEL:
        return ""
    text = "".join(c if c.isprintable() else " " for c in text.encode("utf-8", "backslashreplace").decode())
    return " ".join(text.split())


def number_of(value: Any) -> float | None:
    """A number of JSON, NaN and infinity among them; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def size_of(height: Any, width: Any) -> Size | None:
    """The size that annotations tell; None where it is none."""
    try:
        size = Size(int(height), int(width))
    except (TypeError, ValueError, OverflowError):
        return None
    return size if min(size) > 0 and max(size) < 1_000_000_000 else None


def dataset_of_boxes(
    name: str,
    shelf: Shelf,
    pictures: Iterable[Annotated],
    odd: Odd,
    used: Iterable[str] = (),
    classes: Iterable[str] = (),
) -> Dataset:
    """The data set of pictures with boxes; `used` are the annotation files, `classes` those that are named, with boxes or not.

    Raises:
        DataError: no picture, or no box of a class.
    """
    entries = sorted(pictures, key=lambda picture: shelf.relative(picture.path))
    labels = tuple(sorted({label for picture in entries for label in picture.names if label}))
    findings = odd.findings()
    if not labels:
        first = f" ({findings[0].message})" if findings else ""
        what = (
            f"{many(entries, 'picture', 'pictures')} and no box of a class"
            if entries
            else "no annotated picture"
        )
        raise DataError(
            f"detection needs boxes to learn from, {shelf.root} has {what}{first}; check the annotations"
        )
    bare = sorted(set(classes) - set(labels) - {""})
    if bare:
        left_out = many(bare, "class has no box and is left out", "classes have no box and are left out")
        odd.say("note", "bare-class", f"{left_out}: {some(bare)}")
    index = {label: i for i, label in enumerate(labels)}
    splits = {picture.split for picture in entries}
    split_as_written = "train" in splits
    if splits - {None} and not split_as_written:
        odd.say("note", "no-train", "the annotations name no split to train on: all pictures are split anew")
    samples = tuple(
        Sample(p.path, _boxes(p, index), split=p.split if split_as_written else None) for p in entries
    )
    passed = set(used)
    others = shelf.others.items() if shelf.whole else ()
    ignored = tuple(path for inner, path in others if inner not in passed)
    return Dataset(name, shelf.root, labels, samples, ignored, task="detect", findings=odd.findings())


def _boxes(picture: Annotated, index: Mapping[str, int]) -> Boxes:
    labels = [index.get(label, -1) for label in picture.names]
    return Boxes.of(picture.xyxy, labels, picture.crowd, norm=picture.norm, size=picture.size)
