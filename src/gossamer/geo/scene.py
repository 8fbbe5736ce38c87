"""Large pictures and rasters, read window by window, and where a raster lies on the map (rasterio, where it is needed).

A raster's pixels come from rasterio alone as they are asked for, never as a whole; other pictures are opened once.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gossamer.data.bands import RGB
from gossamer.data.ranges import ValueRange, to_bytes
from gossamer.errors import DataError, MissingExtraError
from gossamer.geo.windows import Window
from gossamer.types import Size

__all__ = ["Georeference", "Scene", "georeference_of", "is_raster", "open_scene"]

Points = NDArray[np.float64]
RASTERS = frozenset([".tif", ".tiff", ".vrt", ".jp2"])
_CACHE_MB = 64
_LONLAT = "EPSG:4326"


def is_raster(path: Path) -> bool:
    """Whether the name is that of a file that may lie on a map."""
    return path.suffix.lower() in RASTERS


class Scene(NamedTuple):
    """A picture that is read in parts."""

    size: Size
    read: Callable[[Window], NDArray[Any] | None]
    """A window's values, (h, w, 3) of bytes or (h, w, bands) of numbers; None where it holds no data."""


class Georeference(NamedTuple):
    """How pixels of a raster lie on the map; rotated and south-up rasters too."""

    path: Path
    affine: tuple[float, float, float, float, float, float]
    """a, b, c, d, e, f: x = a * column + b * row + c, y = d * column + e * row + f."""
    crs: str
    """As well-known text."""

    def to_map(self, pixels_xy: Points) -> Points:
        """Pixels (N, 2) as coordinates of the raster's own system."""
        a, b, c, d, e, f = self.affine
        x, y = np.asarray(pixels_xy, np.float64).reshape(-1, 2).T
        return np.stack([a * x + b * y + c, d * x + e * y + f], 1)

    def to_lonlat(self, pixels_xy: Points) -> Points:
        """Pixels (N, 2) as longitude and latitude of WGS 84, in degrees."""
        return self._warped(self.crs, _LONLAT, self.to_map(pixels_xy))

    def to_pixels(self, points_xy: Points, crs: str | None) -> Points:
        """Coordinates (N, 2) of a system, of the raster's own for None, as pixels.

        Raises:
            DataError: the system cannot be understood.
        """
        points = np.asarray(points_xy, np.float64).reshape(-1, 2)
        points = points if crs is None else self._warped(crs, self.crs, points)
        a, b, c, d, e, f = self.affine
        inverse = np.array([[e, -b], [-d, a]]) / (a * e - b * d)
        return np.asarray((points - (c, f)) @ inverse.T)

    def _warped(self, source: str, target: str, points: Points) -> Points:
        import rasterio.warp
        from rasterio.crs import CRS

        if not len(points):
            return points
        try:
            ours, theirs = CRS.from_user_input(source), CRS.from_user_input(target)
            if ours == theirs:
                return points
            warped = np.stack(rasterio.warp.transform(ours, theirs, points[:, 0], points[:, 1])[:2], 1)
        except Exception as error:  # rasterio raises whatever GDAL and PROJ do
            raise DataError(
                f"{self.path} is in a coordinate system that cannot be converted ({str(error)[:150]}); reproject it"
            ) from error
        if not np.isfinite(warped).all():
            raise DataError(
                f"{self.path} has places that {target[:60]} does not have; check its coordinate system"
            )
        return warped


def georeference_of(path: Path) -> Georeference | None:
    """Where a raster lies; None for a picture that is on no map.

    Raises:
        DataError: it has ground control points and no transform, or cannot be read.
        MissingExtraError: rasterio is not installed.
    """
    if not is_raster(path):
        return None
    with _dataset(path, f"placing {path} on the map") as raster:
        affine = raster.transform
        if raster.crs is None or affine.is_identity:
            if raster.gcps[0]:
                raise DataError(
                    f"a raster lies on the map by a transform, {path} has ground control points alone; warp it with gdalwarp"
                )
            return None
        if affine.determinant == 0:
            raise DataError(f"a raster's transform can be inverted, that of {path} cannot; write it again")
        return Georeference(path, tuple(affine)[:6], raster.crs.to_wkt())


@contextlib.contextmanager
def open_scene(
    path: Path, bands: Sequence[str], value_range: ValueRange | None, whole: Callable[[Path], Image.Image]
) -> Iterator[Scene]:
    """A picture to read windows of: a raster through rasterio, anything else by `whole`.

    Raises:
        DataError: it cannot be read, or has other bands.
        MissingExtraError: it has other bands than red, green and blue, and rasterio is not installed.
    """
    plain = tuple(bands) == RGB
    if not is_raster(path) and plain:
        image = whole(path)
        yield Scene(
            Size(image.height, image.width),
            lambda w: np.asarray(image.crop((w.left, w.top, w.right, w.bottom))),
        )
        return
    with _dataset(path, f"reading {path} in tiles") as raster:
        numbers = _colours(raster, path) if plain else _named(raster, bands, path)

        def read(window: Window) -> NDArray[Any] | None:
            values = _read(raster, numbers, window, path)
            if values is None:
                return None
            return _bytes(values, path, value_range) if plain else _filled(values)

        yield Scene(Size(raster.height, raster.width), read)


@contextlib.contextmanager
def _dataset(path: Path, purpose: str) -> Iterator[Any]:
    try:
        import rasterio
        from rasterio.errors import RasterioError
    except ImportError as error:
        raise MissingExtraError(purpose, "rasterio", "geo") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with rasterio.Env(GDAL_CACHEMAX=_CACHE_MB), rasterio.open(path) as raster:
                yield raster
        except RasterioError as error:
            raise DataError(
                f"a raster must decode whole, {path} does not ({str(error)[:200]}); replace or remove it"
            ) from error


def _colours(raster: Any, path: Path) -> list[int]:
    """Numbers of the bands that are red, green and blue: by name, by colour, else the first three, or one grey."""
    told = [(text or "").lower() for text in raster.descriptions]
    shown = [each.name for each in raster.colorinterp]
    for names in (told, shown):
        if set(RGB) <= set(names):
            return [names.index(name) + 1 for name in RGB]
    if raster.count in (1, 2):
        return [1, 1, 1]
    if raster.count >= 3:
        return [1, 2, 3]
    raise DataError(f"a raster has bands, {path} has none; replace it")


def _named(raster: Any, bands: Sequence[str], path: Path) -> list[int]:
    told = [text or "" for text in raster.descriptions]
    if not all(told) or len(set(told)) != len(told):
        told = [f"band{number}" for number in range(1, raster.count + 1)]
    if not set(bands) <= set(told):
        raise DataError(
            f"a picture has the bands {', '.join(bands)}, {path} has {', '.join(told)}; name its bands, or leave it out"
        )
    return [told.index(name) + 1 for name in bands]


def _read(
    raster: Any, numbers: Sequence[int], window: Window, path: Path
) -> np.ma.MaskedArray[Any, Any] | None:
    """(h, w, bands), masked where there are no data; None where that is everywhere."""
    if any(np.dtype(raster.dtypes[number - 1]).kind not in "uif" for number in numbers):
        raise DataError(f"bands are whole or real numbers, {path} has {raster.dtypes[0]}; convert it")
    values = raster.read(
        list(numbers),
        window=((window.top, window.bottom), (window.left, window.right)),
        masked=True,
    )
    values = np.moveaxis(values, 0, 2)
    return None if np.ma.getmaskarray(values).all() else values


def _bytes(
    values: np.ma.MaskedArray[Any, Any], path: Path, value_range: ValueRange | None
) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return np.asarray(values.filled(0))
    if value_range is None:
        raise DataError(
            f"the network has seen 8 bits a band, {path} has {values.dtype}; convert it to 8 bits with gdal_translate"
        )
    return to_bytes(values.filled(0), value_range)


def _filled(values: np.ma.MaskedArray[Any, Any]) -> NDArray[np.float32]:
    """Places without data take the mean of their band in the window."""
    numbers = np.ma.filled(np.ma.asarray(values, np.float32), np.nan)
    for band in range(numbers.shape[2]):
        plane = numbers[:, :, band]
        there = np.isfinite(plane)
        if not there.all():
            plane[~there] = plane[there].mean(dtype=np.float64) if there.any() else 0.0
    return np.ascontiguousarray(numbers)
