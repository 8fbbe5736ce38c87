"""The reader of YOLO: `images/` and `labels/` with a text file a picture, or text files beside the pictures.

A line is a class's number and the box's centre, width and height as shares of the picture's sides; outlines (a number
and pairs of places) become the boxes around them. Names come from `data.yaml`, `classes.txt` or their like; splits from
`data.yaml`, or from the names of folders. A picture of `images/` without a text file shows nothing; beside text files
it was not annotated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from gossamer._documents import parse_yaml
from gossamer.data.dataset import Dataset, SplitName, split_named
from gossamer.data.findings import many, some
from gossamer.data.pictures import PICTURE_SUFFIXES
from gossamer.data.readers.annotated import Annotated, Odd, Shelf, bytes_of, dataset_of_boxes, label_of
from gossamer.errors import DataError

__all__ = ["read", "recognises"]

_MOST_BYTES = 16_000_000
_MOST_SETTINGS_BYTES = 200_000
"""YAML is read slowly; a thousand classes are a tenth of it."""
_NAME_FILES = (
    "classes.txt",
    "obj.names",
    "_darknet.labels",
    "labels.txt",
    "names.txt",
    "predefined_classes.txt",
)
_PEEKED = 20
_MOST_CLASSES = 100_000
_SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


class _Settings(NamedTuple):
    """What `data.yaml`, or a list of names, says of a set."""

    names: Mapping[int, str]
    places: Mapping[SplitName, tuple[str, ...]]
    """Split -> folders and lists of pictures, below the root."""
    used: tuple[str, ...]
    points: bool = False
    """Whether points follow each box."""


def recognises(path: Path) -> bool:
    """Whether it is a `data.yaml`, or a folder with labels of YOLO for some of its pictures."""
    if path.is_file():
        return path.suffix.lower() in (".yaml", ".yml") and _document(path) is not None
    return any(map(_looks_so, islice(_candidates(path), _PEEKED))) or (
        any(place.is_dir() for depth in ("", "*/") for place in path.glob(depth + "labels"))
        and _yaml_of(path) is not None
    )


def read(path: Path) -> Dataset:
    """The pictures with their boxes, as shares of their sides.

    Raises:
        DataError: there is no box.
    """
    root = path.parent if path.is_file() else path
    odd, shelf = Odd(), Shelf(root)
    settings = _settings(path, shelf, odd)
    pictures, used = [], set(settings.used)
    nameless: set[int] = set()
    bare: list[str] = []
    splits = _splits(settings, shelf, odd)
    for inner, file in shelf.pictures.items():
        split = splits.get(inner) if splits else _split_of(inner)
        label, expected = _label_file(inner, shelf)
        if splits and split is None:
            odd.add("unlisted", inner)
        elif label is None and not expected:
            odd.add("no-annotation", inner)
        else:
            picture = Annotated(file, [], [], [], None, split, norm=True)
            if label is None:
                bare.append(inner)
            else:
                used.add(label)
                _fill(picture, shelf.others[label], settings, odd, label, nameless)
            pictures.append(picture)
    if bare:
        message = f"{many(bare, 'picture of images/ has', 'pictures of images/ have')} no text file and count as pictures without boxes: {some(bare)}"
        odd.say("note", "no-text", message, bare)
    if nameless and not settings.names:
        odd.say(
            "note",
            "no-names",
            "no file names the classes, so they are called by their numbers; add classes.txt, a line a class",
        )
    return dataset_of_boxes(root.resolve().name, shelf, pictures, odd, used, settings.names.values())


def _candidates(root: Path) -> Iterator[Path]:
    """Text files that stand where labels do: in folders called labels, or beside a picture of their stem."""
    for pattern in ("labels/*.txt", "labels/*/*.txt", "*/labels/*.txt"):
        yield from islice(sorted(root.glob(pattern)), _PEEKED)
    folders = [root, *(each for each in sorted(root.iterdir()) if each.is_dir() and split_named(each.name))]
    for folder in folders:
        for file in islice(sorted(folder.glob("*.txt")), 10 * _PEEKED):
            if any(file.with_suffix(ending).is_file() for ending in PICTURE_SUFFIXES):
                yield file


def _looks_so(file: Path) -> bool:
    """Whether the first line of a file is a number and four shares or more."""
    try:
        with file.open("rb") as stream:
            words = stream.read(4096).decode("utf-8-sig", "replace").split("\n")[0].split()
        values = [float(word) for word in words]
    except (OSError, ValueError):
        return False
    return len(values) >= 5 and values[0].is_integer()


def _yaml_of(root: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """The settings of a folder, and their file: `data.yaml` first."""
    files = sorted(
        [*root.glob("*.yaml"), *root.glob("*.yml")], key=lambda file: (file.stem != "data", file.name)
    )
    pairs = ((file, _document(file)) for file in files[:_PEEKED])
    return next(((file, document) for file, document in pairs if document is not None), None)


def _document(file: Path) -> Mapping[str, Any] | None:
    """Settings with names of classes; None for any other file."""
    try:
        document = parse_yaml(bytes_of(file, _MOST_SETTINGS_BYTES).decode("utf-8-sig"))
    except (DataError, ValueError):
        return None
    return (
        document
        if isinstance(document, Mapping) and isinstance(document.get("names"), list | Mapping)
        else None
    )


def _settings(path: Path, shelf: Shelf, odd: Odd) -> _Settings:
    source = (path, _document(path) or {}) if path.is_file() else _yaml_of(path)
    if source is not None:
        document, where = source[1], shelf.relative(source[0])
        names = _numbered(document.get("names"), odd, where)
        places = {split: _places(document, split, shelf, odd, where) for split in _SPLITS}
        lists = [place for inside in places.values() for place in inside if place in shelf.others]
        return _Settings(names, places, (where, *lists), "kpt_shape" in document)
    for name in _NAME_FILES:
        for inner in (name, f"labels/{name}"):
            if inner in shelf.others:
                lines = _text(shelf.others[inner], odd, inner).splitlines()
                return _Settings(
                    {i: n for i, line in enumerate(lines) if (n := label_of(line))}, {}, (inner,)
                )
    return _Settings({}, {}, ())


def _places(
    document: Mapping[str, Any], split: SplitName, shelf: Shelf, odd: Odd, where: str
) -> tuple[str, ...]:
    """The folders and lists of a split; what is not there is said."""
    base = document.get("path") if isinstance(document.get("path"), str) else ""
    value = document.get(split, document.get("valid") if split == "val" else None)
    places: list[str] = []
    for entry in value if isinstance(value, list) else [value]:
        if not isinstance(entry, str) or not entry:
            continue
        place = _below(shelf, f"{base}/{entry}", entry)
        if place is None:
            message = f"{where} names {label_of(entry[:100])!r} for {split}, which is not there: passed over; put it there or mend the name"
            odd.say("warning", "no-split", message)
        else:
            places.append(place)
    return tuple(places)


def _numbered(names: Any, odd: Odd, where: str) -> dict[int, str]:
    pairs: Iterable[tuple[Any, Any]] = names.items() if isinstance(names, Mapping) else enumerate(names or ())
    numbered: dict[int, str] = {}
    for key, value in pairs:
        number = (
            int(key)
            if isinstance(key, int) or (isinstance(key, str) and key.isdecimal() and len(key) < 7)
            else -1
        )
        if number < 0 or not label_of(value):
            odd.add("bad-entry", where, f"class {label_of(key)}")
        else:
            numbered[number] = label_of(value)
    return numbered


def _below(shelf: Shelf, *paths: str) -> str | None:
    """The folder or list of the set that a path means: what other machines have in front of it is left out."""
    for path in paths:
        if len(path) > 1000 or "\0" in path:
            continue
        parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        for start in range(len(parts)):
            inner = "/".join(parts[start:])
            if inner in shelf.others or (shelf.root / inner).is_dir():
                return inner
    return None


def _splits(settings: _Settings, shelf: Shelf, odd: Odd) -> dict[str, SplitName]:
    """Picture -> split, as the settings have it; what is in two counts for the one that is held back."""
    splits: dict[str, SplitName] = {}
    for split in _SPLITS:
        for place in settings.places.get(split, ()):
            for inner in _pictures_of(place, shelf, odd):
                if splits.get(inner, split) != split:
                    odd.add("split-twice", inner)
                splits[inner] = split
    return splits


def _pictures_of(place: str, shelf: Shelf, odd: Odd) -> Iterator[str]:
    if place not in shelf.others:
        yield from (inner for inner in shelf.pictures if inner.startswith(place + "/"))
        return
    for line in _text(shelf.others[place], odd, place).splitlines():
        if line.strip():
            path = shelf.find(line, place.rpartition("/")[0])
            if path is None:
                odd.add("no-picture", place, label_of(line[:100]))
            else:
                yield shelf.relative(path)


def _split_of(inner: str) -> SplitName | None:
    return next(filter(None, map(split_named, inner.split("/")[:-1])), None)


def _label_file(inner: str, shelf: Shelf) -> tuple[str | None, bool]:
    """The text file of a picture, and whether its picture lies where such without one show nothing."""
    parts = inner.split("/")
    stem = parts[-1].rpartition(".")[0] + ".txt"
    beside = "/".join([*parts[:-1], stem])
    inside = [at for at in range(len(parts) - 1) if parts[at].casefold() in ("images", "jpegimages", "imgs")]
    places = ["/".join([*parts[:at], "labels", *parts[at + 1 : -1], stem]) for at in reversed(inside)]
    return next((place for place in [*places, beside] if place in shelf.others), None), bool(inside)


def _text(file: Path, odd: Odd, where: str) -> str:
    try:
        return bytes_of(file, _MOST_BYTES).decode("utf-8-sig")
    except (DataError, UnicodeDecodeError) as error:
        odd.refuse(where, file, error)
        return ""


def _fill(
    picture: Annotated, file: Path, settings: _Settings, odd: Odd, where: str, nameless: set[int]
) -> None:
    """Put the boxes of a text file to a picture."""
    for number, line in enumerate(_text(file, odd, where).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        box = _box(words, settings.points)
        if box is None:
            odd.add("bad-box", where, f"line {number}")
            continue
        kind, place = box
        if settings.names:
            name = settings.names.get(kind, "")
        else:
            nameless.add(kind)
            name = str(kind)
        picture.xyxy.append(place)
        picture.names.append(name)
        picture.crowd.append(False)


def _box(words: list[str], points: bool) -> tuple[int, tuple[float, ...]] | None:
    """The class and the corners of a line; None where it is none."""
    try:
        values = [float(word) for word in words]
    except ValueError:
        return None
    if len(values) < 5 or not values[0].is_integer() or not 0 <= values[0] < _MOST_CLASSES:
        return None
    if len(values) > 6 and not points:
        xs, ys = values[1::2], values[2::2]
        if len(xs) != len(ys) or not all(map(math.isfinite, values)):
            return None
        return int(values[0]), (min(xs), min(ys), max(xs), max(ys))
    x, y, width, height = values[1:5]
    return int(values[0]), (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
