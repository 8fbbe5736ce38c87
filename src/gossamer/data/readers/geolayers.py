"""Areas on the map with their classes, out of GeoJSON (RFC 7946) and GeoPackage (OGC 12-128, SQLite and well-known binary)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gossamer.data.readers.annotated import Odd, json_of, label_of
from gossamer.errors import DataError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Layer", "Points", "layers_of"]

_MOST_BYTES = 1_000_000_000
_MOST_LAYERS = 64
_CLASS = ("label", "class", "class_name", "category", "type")
_PLAIN = "object"
"""What areas are called that have no class."""
_DEEPEST = 6
_AREAS = frozenset(["Polygon", "MultiPolygon", "GeometryCollection"])
_ENVELOPES = (0, 32, 48, 48, 64)
"""Bytes of an envelope by its number in the flags of a geometry."""

Points = NDArray[np.float64]
"""(P, 2) x and y on the map."""


class Layer(NamedTuple):
    """Features in one reference system."""

    crs: str
    """As rasterio takes it; empty where it is not told."""
    outlines: list[Points]
    """All corners of each."""
    names: list[str]


def layers_of(file: Path, odd: Odd, where: str) -> list[Layer]:
    """The areas of a file; what has none is counted.

    Raises:
        DataError: it cannot be read.
    """
    return _of_package(file, odd, where) if file.suffix.lower() == ".gpkg" else [_of_json(file, odd, where)]


def _of_json(file: Path, odd: Odd, where: str) -> Layer:
    """The features of a GeoJSON file.

    Raises:
        DataError: it is none.
    """
    document = json_of(file, _MOST_BYTES)
    features = document.get("features", [document] if document.get("type") == "Feature" else None)
    if not isinstance(features, list):
        raise DataError(f"GeoJSON of boxes has a list of features, {file} has none; give a FeatureCollection")
    layer = Layer(_crs_of(document), [], [])
    for number, feature in enumerate(features):
        geometry = feature.get("geometry") if isinstance(feature, Mapping) else None
        outline = _outline(geometry)
        if outline is None:
            odd.add("bad-box", where, f"feature {number} has no area")
            continue
        properties = feature.get("properties")
        layer.outlines.append(outline)
        layer.names.append(_class_of(properties if isinstance(properties, Mapping) else {}))
    return layer


def _class_of(properties: Mapping[str, Any]) -> str:
    """The class of a feature by its properties."""
    lower = {str(key).casefold(): value for key, value in properties.items()}
    return next((label_of(lower[key]) for key in _CLASS if lower.get(key) is not None), _PLAIN)


def _crs_of(document: Mapping[str, Any]) -> str:
    """The reference system of a file: degrees, by the standard, where it tells none."""
    crs = document.get("crs")
    properties = crs.get("properties") if isinstance(crs, Mapping) else None
    name = properties.get("name") if isinstance(properties, Mapping) else None
    return name if isinstance(name, str) and 0 < len(name) < 200 else "OGC:CRS84"


def _outline(geometry: Any) -> Points | None:
    """All corners of an area (P, 2); None where it is none."""
    kind = geometry.get("type") if isinstance(geometry, Mapping) else None
    if not isinstance(kind, str) or kind not in _AREAS:
        return None
    parts = geometry.get("geometries") if kind == "GeometryCollection" else [geometry]
    pairs: list[tuple[float, float]] = []
    for part in parts if isinstance(parts, list) else []:
        coordinates = part.get("coordinates") if isinstance(part, Mapping) else None
        if not _gather(coordinates, pairs, 0):
            return None
    points = np.asarray(pairs, np.float64).reshape(-1, 2)
    return points if len(points) > 2 and np.isfinite(points).all() else None


def _gather(value: Any, pairs: list[tuple[float, float]], depth: int) -> bool:
    """Put the pairs of nested lists to the others; whether there was nothing else."""
    if not isinstance(value, list) or depth > _DEEPEST:
        return False
    if len(value) >= 2 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value[:2]):
        try:
            pairs.append((float(value[0]), float(value[1])))
        except OverflowError:
            return False
        return True
    return all(_gather(inner, pairs, depth + 1) for inner in value)


def _of_package(file: Path, odd: Odd, where: str) -> list[Layer]:
    """The layers of a GeoPackage.

    Raises:
        DataError: it is none.
    """
    import sqlite3  # not every Python has it

    if file.stat().st_size > _MOST_BYTES:
        raise DataError(
            f"a GeoPackage has at most {_MOST_BYTES // 1_000_000:,} MB, {file} has more; cut it into several"
        )
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as base:
            base.row_factory = sqlite3.Row
            tables = base.execute(
                "SELECT table_name, column_name, srs_id FROM gpkg_geometry_columns LIMIT ?", (_MOST_LAYERS,)
            ).fetchall()
            return [
                _of_table(base, (str(table), str(column)), _system(base, system), odd, where)
                for table, column, system in tables
            ]
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        raise DataError(
            f"a GeoPackage is a SQLite file with a table of geometry columns, {file} is none ({error}); mend it"
        ) from error


def _system(base: sqlite3.Connection, number: Any) -> str:
    """A reference system by its number in the file."""
    row = base.execute(
        "SELECT organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys WHERE srs_id = ?",
        (number,),
    ).fetchone()
    if row is None or not isinstance(number, int) or number <= 0:
        return ""
    return f"EPSG:{row[1]}" if str(row[0]).upper() == "EPSG" else str(row[2])


def _of_table(base: sqlite3.Connection, place: tuple[str, str], crs: str, odd: Odd, where: str) -> Layer:
    """The areas of a table; `place` is its name and that of its column of geometries."""
    layer, (table, column) = Layer(crs, [], []), place
    quoted = table.replace('"', '""')
    for number, row in enumerate(base.execute(f'SELECT * FROM "{quoted}"')):
        values = {key: row[key] for key in row.keys()}  # noqa: SIM118  # a row of sqlite3 iterates values
        outline = _corners(values.pop(column, None))
        if outline is None:
            odd.add("bad-box", where, f"{table} row {number} has no area")
            continue
        layer.outlines.append(outline)
        layer.names.append(_class_of(values))
    return layer


def _corners(blob: Any) -> Points | None:
    """All corners of a geometry of GeoPackage; None where it is no area."""
    if (
        not isinstance(blob, bytes)
        or blob[:2] != b"GP"
        or len(blob) < 8
        or (blob[3] >> 1 & 7) >= len(_ENVELOPES)
    ):
        return None
    pairs: list[Points] = []
    try:
        _binary(blob, 8 + _ENVELOPES[blob[3] >> 1 & 7], pairs, 0)
    except (struct.error, ValueError, IndexError):
        return None
    points = np.concatenate([np.zeros((0, 2)), *pairs])
    return points if len(points) > 2 and np.isfinite(points).all() else None


def _binary(blob: bytes, at: int, pairs: list[Points], depth: int) -> int:
    """Read well-known binary from `at` on; where it ends.

    Raises:
        ValueError, struct.error, IndexError: it is no area, or cut off.
    """
    order = "<" if blob[at] == 1 else ">"
    kind, count = struct.unpack_from(order + "II", blob, at + 1)
    at += 9
    width = 2 + (kind // 1000 % 4 in (1, 2)) + 2 * (kind // 1000 % 4 == 3)
    shape = kind % 1000
    if shape in (6, 7) and depth < _DEEPEST:
        for _ in range(min(count, len(blob))):
            at = _binary(blob, at, pairs, depth + 1)
        return at
    if shape != 3:
        raise ValueError("no area")
    for _ in range(min(count, len(blob))):
        (points,) = struct.unpack_from(order + "I", blob, at)
        ring = np.frombuffer(blob, order + "f8", points * width, at + 4)
        pairs.append(ring.reshape(-1, width)[:, :2].astype(np.float64))
        at += 4 + 8 * points * width
    return at
