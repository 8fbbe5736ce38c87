"""Polygons, and what lies in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.geo.regions import Region, contains, meets, read_regions

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
HOLE = [[4, 4], [6, 4], [6, 6], [4, 6], [4, 4]]


def _polygon(*rings, **properties):
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "Polygon", "coordinates": list(rings)},
    }


def _write(path, *features, **more):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features), **more}))
    return path


def test_a_hole_is_outside(tmp_path):
    (region,) = read_regions(_write(tmp_path / "r.geojson", _polygon(SQUARE, HOLE, name="yard"))).regions
    assert region.name == "yard"
    assert contains(region, np.array([(1, 1), (5, 5), (11, 5), (9.9, 9.9)])).tolist() == [
        True,
        False,
        False,
        True,
    ]


def test_a_box_in_a_hole_does_not_meet_and_one_over_its_edge_does(tmp_path):
    (region,) = read_regions(_write(tmp_path / "r.geojson", _polygon(SQUARE, HOLE))).regions
    boxes = np.array(
        [(4.5, 4.5, 5.5, 5.5), (3.5, 4.5, 5.5, 5.5), (9, 9, 20, 20), (11, 0, 20, 5), (-5, -5, 30, 30)]
    )
    assert meets(region, boxes).tolist() == [False, True, True, False, True]


def test_polygons_of_one_name_are_one_region_though_they_overlap(tmp_path):
    shifted = [[x + 5, y] for x, y in SQUARE]
    several = {"type": "MultiPolygon", "coordinates": [[[[x + 40, y] for x, y in SQUARE]]]}
    file = _write(
        tmp_path / "r.geojson",
        _polygon(SQUARE, name="a"),
        _polygon(shifted, name="a"),
        {"type": "Feature", "properties": None, "geometry": several},
    )
    first, second = read_regions(file).regions
    assert (first.name, second.name) == ("a", "region 3")
    assert contains(first, np.array([(7, 5), (12, 5), (2, 2), (16, 5)])).tolist() == [True, True, True, False]
    assert contains(second, np.array([(45, 5), (5, 5)])).tolist() == [True, False]


def test_the_system_is_kept(tmp_path):
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32611"}}
    assert read_regions(_write(tmp_path / "r.geojson", _polygon(SQUARE), crs=crs)).crs.endswith("32611")
    regions = read_regions(_write(tmp_path / "d.geojson", _polygon(SQUARE)))
    assert regions.crs is None
    assert regions.degrees
    far = [[500_000 + x, y] for x, y in SQUARE]
    assert not read_regions(_write(tmp_path / "m.geojson", _polygon(far))).degrees


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "regions are polygons of GeoJSON"),
        ("[]", "it is no object"),
        ('{"type": "FeatureCollection"}', "regions are polygons of GeoJSON"),
        ('{"type": "Point", "coordinates": [1, 2]}', "holds none; add Polygon or MultiPolygon features"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}', "a ring has three finite points or more"),
        ('{"type": "Polygon", "coordinates": [[["a", 0], [1, 1], [2, 2]]]}', "regions are polygons"),
        ('{"type": "Polygon", "coordinates": []}', "a polygon has a ring"),
        ('{"type": "Polygon", "coordinates": null}', "regions are polygons of GeoJSON"),
    ],
)
def test_what_holds_no_polygon_is_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "r.geojson").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_regions(tmp_path / "r.geojson")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there():
    with pytest.raises(DataError, match=r"cannot read the regions none\.geojson: No such file"):
        read_regions(Path("none.geojson"))


@given(st.integers(0, 10_000), st.integers(3, 9))
def test_a_convex_region_is_where_every_edge_has_the_point_on_its_left(seed, corners):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    ring = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(1, 50) + rng.uniform(-20, 20, 2)
    region = Region("r", ((ring,),))
    points = rng.uniform(ring.min(0) - 5, ring.max(0) + 5, (50, 2))
    step = np.roll(ring, -1, 0) - ring
    off = points[:, None] - ring[None]
    cross = step[None, :, 0] * off[:, :, 1] - step[None, :, 1] * off[:, :, 0]
    sure = np.abs(cross).min(1) > 1e-6
    assert (contains(region, points) == (cross > 0).all(1))[sure].all()


@given(st.integers(0, 10_000))
def test_a_box_meets_what_its_own_points_are_in_and_moving_both_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    ring = rng.uniform(0, 40, (rng.integers(3, 8), 2))
    region = Region("r", ((ring,),))
    corner = rng.uniform(-10, 50, (30, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0.5, 15, (30, 2))], 1)
    met = meets(region, boxes)
    shares = rng.uniform(0, 1, (40, 1, 2))
    points = boxes[None, :, :2] + shares * (boxes[None, :, 2:] - boxes[None, :, :2])
    inside = contains(region, points.reshape(-1, 2)).reshape(40, 30).any(0)
    assert (met | ~inside).all()
    corners_in = ((ring[None] >= boxes[:, None, :2]) & (ring[None] <= boxes[:, None, 2:])).all(2).any(1)
    assert (met | ~corners_in).all()
    moved = region.moved(lambda points: points + np.array([100.0, -30.0]))
    assert (meets(moved, boxes + np.array([100.0, -30.0, 100.0, -30.0])) == met).all()
