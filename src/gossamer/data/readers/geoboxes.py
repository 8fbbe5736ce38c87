"""The reader of boxes on maps: polygons or boxes of GeoJSON or GeoPackage over rasters (extra `[geo]`).

Features of a file `scene.geojson` lie on the raster `scene.tif` where there is one, else on every raster that their
middle falls into. A feature's box is the one around its corners, brought from its reference system into pixels of the
raster. The class is the property `label`, `class`, `class_name`, `category` or `type`; without one all are of one class.
Headers of rasters are read, pixels are not.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gossamer.data.dataset import Dataset, SplitName, split_named
from gossamer.data.readers.annotated import Annotated, Odd, Shelf, dataset_of_boxes
from gossamer.data.readers.geolayers import Layer, Points, layers_of
from gossamer.errors import DataError, MissingExtraError
from gossamer.types import Size

__all__ = ["read", "recognises"]

_SUFFIXES = (".geojson", ".gpkg")
_ENDINGS = ("[gG][eE][oO][jJ][sS][oO][nN]", "[gG][pP][kK][gG]")
"""As patterns of `glob`, which alone is quick in folders of many pictures."""
_RASTERS = (".tif", ".tiff")


class _Raster(NamedTuple):
    path: Path
    size: Size
    crs: Any
    """None where the file tells none."""
    inverse: tuple[float, ...]
    """Six numbers that bring places on the map to pixels: x = a X + b Y + c, y = d X + e Y + f."""


def recognises(path: Path) -> bool:
    """Whether it is a file of features, or a folder with such files and rasters, which are no folders of classes."""
    if path.is_file():
        return path.suffix.lower() in _SUFFIXES
    stems = {file.stem for file in _files(path)}
    if not stems:
        return False
    rasters = [file for depth in ("*", "*/*") for file in path.glob(depth) if file.suffix.lower() in _RASTERS]
    folders = {file.parent for file in rasters if split_named(file.parent.name) is None}
    return bool(rasters) and (len(folders) < 2 or any(file.stem in stems for file in rasters))


def read(path: Path) -> Dataset:
    """The rasters with the boxes of the features on them.

    Raises:
        MissingExtraError: it needs rasterio, which is not installed.
        DataError: a file given by itself cannot be read, or there is no box.
    """
    files = [path] if path.is_file() else _files(path)
    root = path.parent if path.is_file() else path
    odd, shelf = Odd(), Shelf(root)
    rasters = _rasters(shelf, odd, path)
    pictures = {raster.path: _picture(raster, shelf) for raster in rasters}
    touched: set[Path] = set()
    everywhere = False
    for file in files:
        where = shelf.relative(file)
        own = [raster for raster in rasters if raster.path.stem == file.stem]
        everywhere |= not own
        touched |= {raster.path for raster in own}
        try:
            layers = layers_of(file, odd, where)
        except DataError as error:
            if len(files) == 1:
                raise
            odd.refuse(where, file, error)
            continue
        for layer in layers:
            _place(layer, own or rasters, bool(own), pictures, odd, where)
    kept = [p for at, p in pictures.items() if p.xyxy or at in touched or (everywhere and not path.is_file())]
    for at in pictures.keys() - {p.path for p in kept}:
        odd.add("no-annotation", shelf.relative(at))
    name = path.stem if path.is_file() else root.resolve().name
    return dataset_of_boxes(name, shelf, kept, odd, [shelf.relative(file) for file in files])


def _files(folder: Path) -> list[Path]:
    return [
        file
        for depth in ("", "*/")
        for file in sorted(each for ending in _ENDINGS for each in folder.glob(f"{depth}*.{ending}"))
        if not file.name.startswith(".") and file.is_file()
    ]


def _picture(raster: _Raster, shelf: Shelf) -> Annotated:
    folders = shelf.relative(raster.path).split("/")[:-1]
    split: SplitName | None = next(filter(None, map(split_named, folders)), None)
    return Annotated(raster.path, [], [], [], raster.size, split)


def _rasters(shelf: Shelf, odd: Odd, path: Path) -> list[_Raster]:
    """The rasters with a place on the map."""
    try:
        import rasterio
    except ImportError as error:
        raise MissingExtraError(f"reading boxes on the map of {path}", "rasterio", "geo") from error
    rasters = []
    for inner, file in shelf.pictures.items():
        if file.suffix.lower() not in _RASTERS:
            continue
        try:
            with warnings.catch_warnings(action="ignore"), rasterio.open(file) as source:
                size, transform, crs = Size(source.height, source.width), source.transform, source.crs
            inverse = (~transform)[:6]
        except Exception as error:  # rasterio raises whatever GDAL and affine do
            odd.add("bad-entry", inner, " ".join(str(error).split()))
            continue
        if transform.is_identity:
            odd.add("bad-entry", inner, "the raster has no place on the map")
            continue
        rasters.append(_Raster(file, size, crs, tuple(float(value) for value in inverse)))
    return rasters


def _place(
    layer: Layer,
    rasters: Sequence[_Raster],
    own: bool,
    pictures: Mapping[Path, Annotated],
    odd: Odd,
    where: str,
) -> None:
    """Put the boxes of a layer to the rasters that they fall into."""
    placed = np.zeros(len(layer.outlines), np.bool_)
    for raster in rasters:
        boxes = _pixels(layer, raster, odd, where)
        if boxes is None:
            continue
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside = (middle >= 0).all(1) & (middle < [raster.size.width, raster.size.height]).all(1)
        placed |= inside
        picture = pictures[raster.path]
        for i in np.flatnonzero(inside | own):
            picture.xyxy.append(tuple(boxes[i].tolist()))
            picture.names.append(layer.names[i])
            picture.crowd.append(False)
    if not own:
        for i in np.flatnonzero(~placed):
            odd.add("no-image", where, f"feature {i} is on no raster")


def _pixels(layer: Layer, raster: _Raster, odd: Odd, where: str) -> Points | None:
    """The boxes around outlines in pixels of a raster, (N, 4); None where reference systems do not go together."""
    if not layer.outlines:
        return np.zeros((0, 4))
    ends = np.cumsum([0, *map(len, layer.outlines)])
    points = np.concatenate(layer.outlines)
    if raster.crs is not None and layer.crs:
        import rasterio.crs
        import rasterio.warp

        try:
            source = rasterio.crs.CRS.from_user_input(layer.crs)
            if source != raster.crs:
                points = np.stack(rasterio.warp.transform(source, raster.crs, points[:, 0], points[:, 1]), 1)
        except Exception as error:  # as GDAL and PROJ raise it
            odd.add("bad-annotation", where, " ".join(str(error).split()))
            return None
    a, b, c, d, e, f = raster.inverse
    with np.errstate(over="ignore", invalid="ignore"):
        pixels = np.stack(
            [a * points[:, 0] + b * points[:, 1] + c, d * points[:, 0] + e * points[:, 1] + f], 1
        )
        low, high = np.minimum.reduceat(pixels, ends[:-1]), np.maximum.reduceat(pixels, ends[:-1])
    return np.concatenate([low, high], 1)
