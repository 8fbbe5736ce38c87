"""Regions that things are counted in: polygons of GeoJSON with holes and several parts, and what lies inside (numpy)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gossamer._documents import read_json
from gossamer.errors import DataError

__all__ = ["RULES", "Region", "Regions", "contains", "meets", "read_regions"]

RULES = ("centre", "crossing")
"""When a thing is in a region: its middle is, or any part of it."""

Points = NDArray[np.float64]
Polygon = tuple[Points, ...]
"""Rings (P, 2), each closed by its first point: what an odd number of them surrounds is inside."""

_AT_ONCE = 1 << 20
_NAMES = ("name", "Name", "NAME", "id", "label", "title")


class Region(NamedTuple):
    """Polygons of one name."""

    name: str
    polygons: tuple[Polygon, ...]

    def moved(self, move: Callable[[Points], Points]) -> Region:
        """The same with every point (P, 2) moved."""
        return Region(self.name, tuple(tuple(move(ring) for ring in rings) for rings in self.polygons))


class Regions(NamedTuple):
    """What a file holds."""

    regions: tuple[Region, ...]
    crs: str | None
    """The file's `crs` member; None where it has none."""

    @property
    def degrees(self) -> bool:
        """Whether every point could be a longitude and a latitude."""
        points = np.concatenate([ring for each in self.regions for rings in each.polygons for ring in rings])
        return bool((np.abs(points) <= (180.0, 90.0)).all())


def read_regions(path: Path) -> Regions:
    """Polygons of a GeoJSON file; features without a name are `region 1` and so on, those of one name are one region.

    Raises:
        DataError: it cannot be read, or holds no polygon, or one that is none.
    """
    try:
        document = read_json(path)
        if not isinstance(document, dict):
            raise ValueError("it is no object")
        polygons: dict[str, list[Polygon]] = {}
        for place, (name, geometry) in enumerate(_features(document), 1):
            polygons.setdefault(name or f"region {place}", []).extend(_polygons(geometry))
        crs = document.get("crs")
        named = None if crs is None else str(crs["properties"]["name"])
    except OSError as error:
        raise DataError(
            f"cannot read the regions {path}: {error.strerror or error}; check the path"
        ) from error
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise DataError(
            f"regions are polygons of GeoJSON, {path} is not ({str(error)[:200]}); draw them in a GIS or an editor and save as .geojson"
        ) from error
    if not any(polygons.values()):
        raise DataError(f"regions are polygons, {path} holds none; add Polygon or MultiPolygon features")
    return Regions(tuple(Region(name, tuple(each)) for name, each in polygons.items() if each), named)


def _features(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    kind = document.get("type")
    if kind == "FeatureCollection":
        for feature in document["features"]:
            yield from _features(feature)
    elif kind == "Feature":
        properties = document.get("properties") or {}
        names = [properties[key] for key in _NAMES if properties.get(key) is not None]
        if document.get("geometry") is not None:
            yield (" ".join(str(names[0]).split()) if names else ""), document["geometry"]
    else:
        yield "", document


def _polygons(geometry: Mapping[str, Any]) -> Iterator[Polygon]:
    kind = geometry.get("type")
    if kind == "GeometryCollection":
        for each in geometry["geometries"]:
            yield from _polygons(each)
    elif kind == "Polygon":
        yield _rings(geometry["coordinates"])
    elif kind == "MultiPolygon":
        for rings in geometry["coordinates"]:
            yield _rings(rings)
    elif kind is None:
        raise ValueError("a geometry has a type")


def _rings(rings: Any) -> Polygon:
    """Rings as arrays, first points not repeated at the end."""
    polygon = []
    for ring in rings:
        points = np.array([point[:2] for point in ring], np.float64)
        if len(points) > 1 and (points[0] == points[-1]).all():
            points = points[:-1]
        if points.ndim != 2 or len(points) < 3 or not np.isfinite(points).all():
            raise ValueError("a ring has three finite points or more")
        polygon.append(points)
    if not polygon:
        raise ValueError("a polygon has a ring")
    return tuple(polygon)


def contains(region: Region, points_xy: Points) -> NDArray[np.bool_]:
    """Which points (N, 2) lie in a region: (N,)."""
    points = np.asarray(points_xy, np.float64).reshape(-1, 2)
    inside = np.zeros(len(points), np.bool_)
    for polygon in region.polygons:
        outer = polygon[0]
        near = np.flatnonzero(((points >= outer.min(0)) & (points <= outer.max(0))).all(1) & ~inside)
        if len(near):
            inside[near] = _odd(polygon, points[near])
    return inside


def _odd(polygon: Polygon, points: Points) -> NDArray[np.bool_]:
    """Whether a ray to the right of each point meets an odd number of edges: (N,)."""
    start, end = _edges(polygon)
    flat = start[:, 1] == end[:, 1]
    start, end = start[~flat], end[~flat]
    slope = (end[:, 0] - start[:, 0]) / (end[:, 1] - start[:, 1])
    odd = np.zeros(len(points), np.bool_)
    for part in _parts(len(points), len(start)):
        x, y = points[part, :1], points[part, 1:]
        level = (start[None, :, 1] > y) != (end[None, :, 1] > y)
        right = x < start[None, :, 0] + slope * (y - start[None, :, 1])
        odd[part] = (level & right).sum(1) % 2 == 1
    return odd


def meets(region: Region, boxes_xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes (N, 4) share a point with a region: (N,)."""
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    met = contains(region, boxes[:, :2])  # where no edge meets a box, one corner tells for all of it
    for polygon in region.polygons:
        outer = polygon[0]
        near = (boxes[:, 2:] >= outer.min(0)).all(1) & (boxes[:, :2] <= outer.max(0)).all(1)
        left = np.flatnonzero(near & ~met)
        if len(left):
            met[left] = _edge_meets(polygon, boxes[left])
    return met


def _edge_meets(polygon: Polygon, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether an edge has a point in each box (N, 4), by clipping it at the box's four lines: (N,)."""
    start, end = _edges(polygon)
    step = end - start
    met = np.zeros(len(boxes), np.bool_)
    for part in _parts(len(boxes), len(start)):
        low = np.zeros((len(boxes[part]), len(start)))
        high = np.ones_like(low)
        for axis in (0, 1):
            with np.errstate(divide="ignore", invalid="ignore"):
                first = (boxes[part, axis, None] - start[None, :, axis]) / step[None, :, axis]
                second = (boxes[part, axis + 2, None] - start[None, :, axis]) / step[None, :, axis]
            still = step[:, axis] == 0
            within = (start[:, axis] >= boxes[part, axis, None]) & (
                start[:, axis] <= boxes[part, axis + 2, None]
            )
            first = np.where(still, np.where(within, -np.inf, np.inf), first)
            second = np.where(still, np.where(within, np.inf, -np.inf), second)
            enter = np.where(still, first, np.minimum(first, second))
            leave = np.where(still, second, np.maximum(first, second))
            low, high = np.maximum(low, enter), np.minimum(high, leave)
        met[part] = (low <= high).any(1)
    return met


def _edges(polygon: Polygon) -> tuple[Points, Points]:
    """Starts and ends (E, 2) of all rings' edges."""
    return np.concatenate(polygon), np.concatenate([np.roll(ring, -1, 0) for ring in polygon])


def _parts(count: int, edges: int) -> Iterator[slice]:
    """Of so many things, pieces whose pairs with the edges fit into memory."""
    step = max(1, _AT_ONCE // max(1, edges))
    for start in range(0, count, step):
        yield slice(start, start + step)
