"""Opening every file once: what its header says, whether it decodes, what it looks like in 1,024 pixels."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gossamer.data.bands import read_values, view_of_values
from gossamer.data.pictures import Probe, check_file, read_picture
from gossamer.data.ranges import Levels
from gossamer.errors import DataError
from gossamer.types import Size

__all__ = ["Scan", "exact_duplicates", "scan_files"]

_HASH_SIDE = 16
_THUMB_SIDE = 32
_VIEW_SIDE = 16
_VIEWS = (
    (0.0, 0.0, 1.0, 1.0),
    (0.025, 0.025, 0.975, 0.975),
    (0.05, 0.05, 0.95, 0.95),
    (0.05, 0.05, 1.0, 1.0),
    (0.0, 0.05, 0.95, 1.0),
    (0.05, 0.0, 1.0, 0.95),
    (0.0, 0.0, 0.95, 0.95),
)
"""Left, top, right and bottom of what is looked at: the whole, and as crops of a few percent leave it."""


@dataclass(frozen=True)
class Scan:
    """One file: `problem` is None where the picture decoded whole."""

    path: Path
    digest: str
    problem: str | None
    header: Probe | None
    gradient: NDArray[np.uint8]
    """Signs of horizontal differences at 16x16, packed: (32,) bytes."""
    thumbnail: NDArray[np.uint8]
    """Grey, (32, 32)."""
    views: NDArray[np.uint8]
    """Grey, (7, 16, 16): the whole, and crops of it."""
    mean_rgb: tuple[float, float, float]
    empty: float = 0.0
    """Share of the values of named bands that are no numbers, or no data."""
    hidden: float = 0.0
    """Share of pixels that are not wholly opaque."""
    levels: Levels | None = None
    """Where its values lie that has more than 8 bits a band."""
    shown: Size | None = None
    """As it is shown: turned as its EXIF data say, which the header's size is not."""


def scan_files(
    paths: Sequence[Path],
    *,
    bands: tuple[str, ...] | None = None,
    tick: Callable[[int], None] | None = None,
) -> list[Scan]:
    """Scan the files in order, on all cores; `bands` as `find_bands` gave them; `tick` hears how many are done."""
    scans: list[Scan] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what the findings say better
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            for scan in pool.map(lambda path: _scan(path, bands), paths):
                scans.append(scan)
                if tick is not None:
                    tick(len(scans))
    return scans


def _scan(path: Path, bands: tuple[str, ...] | None) -> Scan:
    digest, picture, empty = "", None, 0.0
    try:
        check_file(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, _digest).hexdigest()
        if bands is None:
            picture = read_picture(path)
            image = picture.image
        else:
            values, empty = read_values(path, bands)
            image = view_of_values(values, bands)
    except DataError as error:
        return Scan(path, digest, str(error), None, *_look(Image.new("RGB", (1, 1))))
    except OSError as error:
        problem = f"{path} cannot be opened ({error.strerror or error}); replace or remove it"
        return Scan(path, digest, problem, None, *_look(Image.new("RGB", (1, 1))))
    shown = Size(image.height, image.width)
    if picture is None:
        header = Probe(shown, image.mode, 1, path.suffix[1:].upper())
        return Scan(path, digest, None, header, *_look(image), empty, shown=shown)
    return Scan(
        path, digest, None, picture.header, *_look(image), empty, picture.hidden, picture.levels, shown
    )


def _digest() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


class _Look(NamedTuple):
    """What a picture looks like, in the order of the fields of `Scan`."""

    gradient: NDArray[np.uint8]
    thumbnail: NDArray[np.uint8]
    views: NDArray[np.uint8]
    mean_rgb: tuple[float, float, float]


def _look(image: Image.Image) -> _Look:
    red, green, blue = (
        np.asarray(image.resize((8, 8), Image.Resampling.BOX), np.float64).mean((0, 1)).tolist()
    )
    grey = image.convert("L")
    steps = np.asarray(grey.resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX), np.int16)
    gradient = np.packbits(np.diff(steps, axis=1) > 0)
    thumbnail = np.asarray(grey.resize((_THUMB_SIDE, _THUMB_SIDE), Image.Resampling.BOX))
    return _Look(gradient, thumbnail, _view_pixels(grey), (red, green, blue))


def _view_pixels(grey: Image.Image) -> NDArray[np.uint8]:
    side = 4 * _VIEW_SIDE
    small = grey.resize((side, side), Image.Resampling.BOX)
    views = []
    for left, top, right, bottom in _VIEWS:
        box = (side * left, side * top, side * right, side * bottom)
        views.append(np.asarray(small.resize((_VIEW_SIDE, _VIEW_SIDE), Image.Resampling.BOX, box=box)))
    return np.stack(views)


def exact_duplicates(scans: Sequence[Scan]) -> list[list[int]]:
    """Groups of two and more indices whose files hold the same bytes."""
    groups: dict[str, list[int]] = {}
    for index, scan in enumerate(scans):
        if scan.problem is None:
            groups.setdefault(scan.digest, []).append(index)
    return [group for group in groups.values() if len(group) > 1]
