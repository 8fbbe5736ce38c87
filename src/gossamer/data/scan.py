"""Opening every file once: what its header says, whether it decodes, what it looks like in 1,024 pixels."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gossamer.data.bands import open_view, read_values, view_of_values
from gossamer.data.pictures import Probe, probe
from gossamer.errors import DataError
from gossamer.types import Size

__all__ = ["Scan", "exact_duplicates", "near_duplicates", "scan_files"]

_HASH_SIDE = 16
_THUMB_SIDE = 32
_BAND_BITS = 16
_MAX_DIFFERENT_BITS = 20
_MAX_MEAN_DIFFERENCE = 4.0
_MAX_BUCKET = 400


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
    mean_rgb: tuple[float, float, float]
    empty: float = 0.0
    """Share of the values of named bands that are no numbers, or no data."""


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
    blank = np.zeros(_HASH_SIDE * _HASH_SIDE // 8, np.uint8), np.zeros((_THUMB_SIDE, _THUMB_SIDE), np.uint8)
    try:
        digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        return Scan(path, "", f"cannot be opened ({error.strerror or error})", None, *blank, (0.0, 0.0, 0.0))
    header: Probe | None = None
    try:
        if bands is None:
            header = probe(path)
            image, empty = open_view(path, None), 0.0
        else:
            values, empty = read_values(path, bands)
            image = view_of_values(values, bands)
    except DataError as error:
        return Scan(path, digest, str(error), header, *blank, (0.0, 0.0, 0.0))
    red, green, blue = (
        np.asarray(image.resize((8, 8), Image.Resampling.BOX), np.float64).mean((0, 1)).tolist()
    )
    grey = image.convert("L")
    steps = np.asarray(grey.resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX), np.int16)
    gradient = np.packbits(np.diff(steps, axis=1) > 0)
    thumbnail = np.asarray(grey.resize((_THUMB_SIDE, _THUMB_SIDE), Image.Resampling.BOX))
    header = header or Probe(Size(image.height, image.width), image.mode, 1, path.suffix[1:].upper())
    return Scan(path, digest, None, header, gradient, thumbnail, (red, green, blue), empty)


def exact_duplicates(scans: Sequence[Scan]) -> list[list[int]]:
    """Groups of two and more indices whose files hold the same bytes."""
    groups: dict[str, list[int]] = {}
    for index, scan in enumerate(scans):
        if scan.problem is None:
            groups.setdefault(scan.digest, []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def near_duplicates(scans: Sequence[Scan]) -> list[tuple[int, int]]:
    """Pairs that look alike (re-encoded, scaled, slightly brightened) without being the same bytes.

    Two pictures are alike when at most 20 of their 256 gradient signs differ and their thumbnails differ by at most
    4 grey levels a pixel. Candidates share one of sixteen 16-bit bands of the signs, so that no all-pairs
    comparison is needed; a band value shared by more than 400 pictures tells nothing and is passed over.
    """
    usable = [i for i, scan in enumerate(scans) if scan.problem is None]
    if len(usable) < 2:
        return []
    gradients = np.stack([scans[i].gradient for i in usable])
    bands = gradients.reshape(len(usable), -1, _BAND_BITS // 8).astype(np.uint32) @ np.array(
        [256, 1], np.uint32
    )
    candidates: set[tuple[int, int]] = set()
    for band in bands.T:
        order = np.argsort(band, kind="stable")
        cuts = np.flatnonzero(np.diff(band[order])) + 1
        for bucket in np.split(order, cuts):
            if 2 <= len(bucket) <= _MAX_BUCKET:
                candidates |= _alike_bits(gradients, np.sort(bucket))
    return sorted(
        (usable[a], usable[b]) for a, b in candidates if _alike_pixels(scans[usable[a]], scans[usable[b]])
    )


def _alike_bits(gradients: NDArray[np.uint8], bucket: NDArray[np.intp]) -> set[tuple[int, int]]:
    members = gradients[bucket]
    different = np.bitwise_count(members[:, None] ^ members[None]).sum(-1, dtype=np.int32)
    first, second = np.nonzero(np.triu(different <= _MAX_DIFFERENT_BITS, k=1))
    return {(int(bucket[a]), int(bucket[b])) for a, b in zip(first, second, strict=True)}


def _alike_pixels(a: Scan, b: Scan) -> bool:
    difference = np.abs(a.thumbnail.astype(np.int16) - b.thumbnail.astype(np.int16)).mean()
    return a.digest != b.digest and bool(difference <= _MAX_MEAN_DIFFERENCE)
