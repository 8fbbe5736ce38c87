"""Pictures decoded once to one size and kept in a file that is mapped, not read: memory stays bounded by the system."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gossamer._files import atomic_path
from gossamer.data.bands import open_values
from gossamer.data.geometry import fit_picture, fit_values
from gossamer.data.pictures import open_rgb
from gossamer.data.ranges import ValueRange
from gossamer.errors import DataError
from gossamer.types import Size

__all__ = ["PictureArray", "Pixels", "load_pictures"]

Pixels = NDArray[np.uint8] | NDArray[np.float32]
_LOST = Size(0, 0)


@dataclass(frozen=True)
class PictureArray:
    """Pictures mapped from disk; `lost` are positions whose file could no longer be read (zeros)."""

    pixels: Pixels
    """(N, H, W, 3) uint8, or (N, H, W, bands) float32 where bands were named."""
    lost: tuple[int, ...]
    sizes: tuple[Size, ...] = ()
    """Of the pictures as their files have them."""


def load_pictures(
    paths: Sequence[Path],
    size: Size,
    folder: Path,
    *,
    key: str,
    rule: str = "short-side-centre-crop",
    bands: tuple[str, ...] | None = None,
    value_range: ValueRange | None = None,
    tick: Callable[[int, int], None] | None = None,
) -> PictureArray:
    """Decode pictures to `size` by a resize rule, or map the file that an earlier call with the same key and paths wrote.

    A picture that cannot be read any more is named in `lost` and never stops the caller.

    Raises:
        RunFolderError: the cache cannot be written (read-only, full).
    """
    told = "\0".join([key, str(size), rule, *map(str, paths), *(bands or ()), *map(str, value_range or ())])
    digest = hashlib.sha256(told.encode()).hexdigest()[:20]
    target = folder / f"{digest}-{size}.npy"
    sizes_file = folder / f"{digest}-{size}.sizes.npy"
    if not (target.is_file() and sizes_file.is_file()):
        with atomic_path(target) as temporary:
            sizes = _decode_all(paths, size, rule, bands, value_range, temporary, tick)
        with atomic_path(sizes_file) as temporary, temporary.open("wb") as file:
            np.save(file, np.asarray(sizes, np.int64).reshape(-1, 2))
    pixels: Pixels = np.load(target, mmap_mode="r")
    shapes = tuple(Size(int(height), int(width)) for height, width in np.load(sizes_file))
    return PictureArray(pixels, tuple(i for i, shape in enumerate(shapes) if shape == _LOST), shapes)


def _decode_all(
    paths: Sequence[Path],
    size: Size,
    rule: str,
    bands: tuple[str, ...] | None,
    value_range: ValueRange | None,
    target: Path,
    tick: Callable[[int, int], None] | None,
) -> list[Size]:
    """The sizes of the pictures as their files have them; `_LOST` where there is none."""
    shape = (len(paths), *size, 3 if bands is None else len(bands))
    dtype = np.uint8 if bands is None else np.float32
    pixels = np.lib.format.open_memmap(target, mode="w+", dtype=dtype, shape=shape)
    if hasattr(
        os, "posix_fallocate"
    ):  # a full disk is an error here, and a SIGBUS when a mapped page finds no room
        with target.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, target.stat().st_size)
    sizes: list[Size] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        pictures = pool.map(lambda path: _decode(path, size, rule, bands, value_range), paths)
        for index, picture in enumerate(pictures):
            if picture is not None:
                pixels[index] = picture[0]
            sizes.append(_LOST if picture is None else picture[1])
            if tick is not None:
                tick(index + 1, len(paths))
    pixels.flush()
    return sizes


def _decode(
    path: Path, size: Size, rule: str, bands: tuple[str, ...] | None, value_range: ValueRange | None
) -> tuple[Pixels, Size] | None:
    try:
        if bands is not None:
            values = open_values(path, bands)
            return fit_values(values, size, rule), Size(*values.shape[:2])
        image = open_rgb(path, value_range)
        return np.asarray(fit_picture(image, size, rule)), Size(image.height, image.width)
    except DataError:
        return None
