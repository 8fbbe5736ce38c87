"""Pictures of other bands than red, green and blue: multi-band TIFF and .npy as arrays of values, band by name."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gossamer._text import whole_number
from gossamer.data.pictures import MAX_PIXELS, open_rgb, probe
from gossamer.data.ranges import ValueRange
from gossamer.errors import DataError, MissingExtraError, nearest

__all__ = [
    "RGB",
    "Bands",
    "Values",
    "find_bands",
    "measure_bands",
    "open_values",
    "open_view",
    "read_values",
    "view_of_values",
]

Values = NDArray[np.float32]
"""(H, W, bands), raw values as the file holds them."""

RGB = ("red", "green", "blue")
"""The bands of every picture that Pillow reads; other names mean arrays of values."""
_COLOURS = (RGB, ("b4", "b3", "b2"), ("b04", "b03", "b02"))
"""Names, lower case, under which the colours are found for the view: Sentinel-2's among them."""
_LOOKED_AT = 50
_STATISTICS_PICTURES = 500
_SAMPLED_PIXELS = 2_000
_RANGE = (0.1, 99.9)
_VIEW_RANGE = (2, 98)


@dataclass(frozen=True)
class Bands:
    """Names of the bands that are read, and what their values are over the training split; each tuple one a band."""

    names: tuple[str, ...]
    low: tuple[float, ...]
    """Percentile 0.1, which augmentation takes for black."""
    high: tuple[float, ...]
    """Percentile 99.9, which augmentation takes for full brightness."""
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """The bands as a JSON object."""
        return asdict(self)


def find_bands(paths: Sequence[Path], asked: str = "auto") -> tuple[str, ...] | None:
    """Names of the bands to read, or None for plain red, green and blue; told from the first picture that can be read.

    `asked` is `rgb`, `all`, names or numbers from 1 (`B4,B3,B8`, `4,3,8`), or `auto`: all bands where that picture is
    an array or a TIFF that is no ordinary picture. Where none of the first 50 can be read the answer is None.

    Raises:
        DataError: a band is not there.
        MissingExtraError: a TIFF of many bands needs rasterio.
    """
    found = None if asked == "rgb" else _first_bands(paths[:_LOOKED_AT], plain_too=asked != "auto")
    if found is None:
        return None
    first, there = found
    if asked in ("auto", "all"):
        return there
    chosen: list[str] = []
    for each in (part.strip() for part in asked.split(",")):
        number = whole_number(each) or 0
        name = there[number - 1] if 1 <= number <= len(there) else each
        if name not in there or name in chosen:
            raise DataError(
                f"--bands names bands of the pictures once each, {first} has {', '.join(there)}; got {each!r} in {asked!r}; "
                f"{nearest(each, there)}"
            )
        chosen.append(name)
    return tuple(chosen)


def _first_bands(paths: Sequence[Path], *, plain_too: bool) -> tuple[Path, tuple[str, ...]] | None:
    """The first picture that can be read with its bands; None where that is a plain one, unless those count too."""
    missing: MissingExtraError | None = None
    for path in paths:
        if not plain_too and _is_plain(path):
            return None
        try:
            return path, _open(path)[1]
        except MissingExtraError as error:
            missing = missing or error
        except DataError:
            continue  # the check names it
    if missing is not None:
        raise missing
    return None


def _is_plain(path: Path) -> bool:
    """Whether Pillow knows it; of a TIFF it does not know it may be the bands."""
    if path.suffix.lower() == ".npy":
        return False
    try:
        probe(path)
    except DataError:
        return False
    return True


def open_values(path: Path, names: Sequence[str]) -> Values:
    """The bands of these names, (H, W, bands); places without data take the mean of their band.

    Bands of a file that does not name them are `band1`, `band2` and so on.

    Raises:
        DataError, MissingExtraError: as `read_values`.
    """
    return read_values(path, names)[0]


def read_values(path: Path, names: Sequence[str]) -> tuple[Values, float]:
    """As `open_values`, and the share of numbers that were not there.

    Raises:
        DataError: the file cannot be read, has other bands, is too large, or holds no number in a band.
        MissingExtraError: it needs rasterio, which is not installed.
    """
    values, there = _open(path)
    if set(names) <= set(there):
        values = values[:, :, [there.index(name) for name in names]]
    else:
        raise DataError(
            f"a picture has the bands {', '.join(names)}, {path} has {', '.join(there)}; name its bands, or leave it out"
        )
    known = np.isfinite(values)
    for band, name in enumerate(names):
        plane, there_are = values[:, :, band], known[:, :, band]
        if not there_are.any():
            raise DataError(f"every band holds numbers, {name} of {path} holds none; leave it out")
        if not there_are.all():
            plane[~there_are] = plane[there_are].mean(dtype=np.float64)
    return values, 1 - float(known.mean())


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"band{number}" for number in range(1, count + 1))


def _open(path: Path) -> tuple[Values, tuple[str, ...]]:
    """All bands with NaN where there are no data, and their names."""
    if not path.is_file() or path.stat().st_size == 0:
        raise DataError(f"no such picture, or an empty one: {path}; replace or remove it")
    return _open_array(path) if path.suffix.lower() == ".npy" else _open_raster(path)


def _open_array(path: Path) -> tuple[Values, tuple[str, ...]]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header raises many kinds, SyntaxError among them
        raise DataError(f"{path} is no array that can be read ({error}); write it with numpy.save") from error
    if array.ndim == 2:
        array = array[:, :, None]
    numbers = array.dtype.kind in "uif"
    if array.ndim != 3 or not numbers or min(array.shape) < 1 or array.shape[2] > min(array.shape[:2]):
        raise DataError(
            f"an array is a picture (H, W, bands) of whole or real numbers, {path} is {array.shape} of {array.dtype}; "
            "transpose it or save it as numbers"
        )
    _check_size(path, array.shape[0], array.shape[1])
    return np.array(array, np.float32), _numbered(array.shape[2])


def _open_raster(path: Path) -> tuple[Values, tuple[str, ...]]:
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError
    except ImportError as error:
        raise MissingExtraError(f"reading the bands of {path}", "rasterio", "geo") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(path) as raster:
                _check_size(path, raster.height, raster.width)
                if any(np.dtype(each).kind not in "uif" for each in raster.dtypes):
                    raise DataError(
                        f"bands are whole or real numbers, {path} has {raster.dtypes[0]}; convert it"
                    )
                found = raster.read(out_dtype="float32", masked=True)
                told = tuple(text or "" for text in raster.descriptions)
        except RasterioError as error:
            raise DataError(
                f"a picture must decode whole, {path} does not ({error}); replace or remove it"
            ) from error
    values = np.ascontiguousarray(found.filled(np.nan).transpose(1, 2, 0))
    whole = all(told) and len(set(told)) == len(told)
    return values, told if whole else _numbered(values.shape[2])


def _check_size(path: Path, height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise DataError(
            f"a picture may claim at most {MAX_PIXELS:,} pixels, {path} claims {width}x{height}; cut it into tiles first"
        )


def open_view(path: Path, names: Sequence[str] | None, value_range: ValueRange | None = None) -> Image.Image:
    """A picture for people, 8-bit RGB; `value_range` as `open_rgb` takes it.

    Of named bands the colours are shown, else the first three, else the first as grey, stretched between the
    percentiles 2 and 98 of the picture.

    Raises:
        DataError, MissingExtraError: as `open_values`, or as `open_rgb` where there are no names.
    """
    return open_rgb(path, value_range) if names is None else view_of_values(open_values(path, names), names)


def view_of_values(values: Values, names: Sequence[str]) -> Image.Image:
    """As `open_view`, of values (H, W, bands) that were read already."""
    lower = [name.lower() for name in names]
    chosen = next((each for each in _COLOURS if set(each) <= set(lower)), None)
    at = [lower.index(name) for name in chosen] if chosen else list(range(3)) if len(names) > 2 else [0, 0, 0]
    shown = values[:, :, at]
    low, high = np.percentile(shown, _VIEW_RANGE, axis=(0, 1))
    stretched = 255 * (shown - low) / np.maximum(high - low, 1e-12)
    return Image.fromarray(np.clip(np.round(stretched), 0, 255).astype(np.uint8))


def measure_bands(paths: Sequence[Path], names: tuple[str, ...]) -> Bands:
    """Range, mean and standard deviation of every band over these pictures, 500 of them at most, evenly taken.

    Raises:
        DataError: none of them can be read.
    """
    count, sums, squares = 0, np.zeros(len(names)), np.zeros(len(names))
    samples: list[Values] = []
    for path in paths[:: -(-len(paths) // _STATISTICS_PICTURES)]:
        pixels = open_values(path, names).reshape(-1, len(names))
        count += len(pixels)
        sums += pixels.sum(0, dtype=np.float64)
        squares += np.square(pixels, dtype=np.float64).sum(0)
        samples.append(pixels[:: -(-len(pixels) // _SAMPLED_PIXELS)])
    if not count:
        raise DataError("bands are measured on training pictures, there are none; add pictures")
    mean = sums / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    low, high = np.percentile(np.concatenate(samples), _RANGE, axis=0)
    flat = high <= low
    spread = np.where(flat, 1.0, high - low)
    return Bands(
        names,
        low=_floats(low),
        high=_floats(low + spread),
        mean=_floats(mean),
        std=_floats(np.where(std > 1e-6 * spread, std, spread)),
    )


def _floats(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
