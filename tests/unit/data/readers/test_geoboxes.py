"""Boxes on maps: GeoJSON and GeoPackage in any reference system, brought into pixels of their rasters."""

from __future__ import annotations

import json
import sqlite3
import struct
import sys
from contextlib import closing

import numpy as np
import pytest

from gossamer.data.dataset import open_dataset
from gossamer.errors import DataError, MissingExtraError

rasterio = pytest.importorskip("rasterio")
WEST, NORTH, STEP = 500_000.0, 4_000_000.0, 2.0
UTM = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}


def _raster(path, *, west=WEST, crs="EPSG:32633", turned=False):
    transform = rasterio.Affine(STEP, 0, west, 0, -STEP, NORTH)
    if turned:
        transform = rasterio.Affine(0, STEP, west, STEP, 0, NORTH)
    profile = {"driver": "GTiff", "height": 50, "width": 60, "count": 3, "dtype": "uint8", "crs": crs}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **profile, transform=transform) as file:
        file.write(np.zeros((3, 50, 60), np.uint8))


def _ring(left, top, right, bottom, west=WEST):
    xs, ys = [west + STEP * left, west + STEP * right], [NORTH - STEP * top, NORTH - STEP * bottom]
    return [[xs[i], ys[j]] for i, j in ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))]


def _features(path, *rings, crs=UTM, **properties):
    features = [
        {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}
        for ring in rings
    ]
    document = {"type": "FeatureCollection", "features": features} | ({"crs": crs} if crs else {})
    path.write_text(json.dumps(document))
    return path


def _codes(dataset):
    return {finding.code: finding for finding in dataset.findings}


@pytest.mark.parametrize("key", ["label", "Class", "category"])
def test_a_polygon_becomes_a_box_in_pixels(tmp_path, key):
    _raster(tmp_path / "scene.tif")
    file = _features(tmp_path / "scene.geojson", _ring(3, 4, 20.5, 30), **{key: "tree"})
    for path in (file, tmp_path):
        dataset = open_dataset(path)
        assert (dataset.task, dataset.labels) == ("detect", ("tree",))
        np.testing.assert_allclose(dataset.samples[0].target.xyxy, [[3, 4, 20.5, 30]], atol=1e-6)


def test_degrees_are_brought_into_the_system_of_the_raster(tmp_path):
    from rasterio.warp import transform

    _raster(tmp_path / "scene.tif")
    xs, ys = np.transpose(_ring(3, 4, 20, 30))
    ring = np.transpose(transform("EPSG:32633", "EPSG:4326", xs, ys)).tolist()
    dataset = open_dataset(_features(tmp_path / "scene.geojson", ring, crs=None))
    assert dataset.labels == ("object",)
    np.testing.assert_allclose(dataset.samples[0].target.xyxy, [[3, 4, 20, 30]], atol=0.01)


def test_turned_rasters(tmp_path):
    _raster(tmp_path / "scene.tif", turned=True)
    ring = [
        [WEST + 2 * STEP, NORTH + STEP],
        [WEST + 6 * STEP, NORTH + 3 * STEP],
        [WEST + 4 * STEP, NORTH + 9 * STEP],
    ]
    (sample,) = open_dataset(_features(tmp_path / "scene.geojson", ring)).samples
    np.testing.assert_allclose(sample.target.xyxy, [[1, 2, 9, 6]], atol=1e-6)


def test_one_file_over_several_rasters(tmp_path):
    _raster(tmp_path / "a.tif")
    _raster(tmp_path / "b.tif", west=WEST + 60 * STEP)
    _raster(tmp_path / "c.tif", west=WEST + 600 * STEP)
    _features(tmp_path / "all.geojson", _ring(3, 4, 20, 30), _ring(63, 4, 70, 30), _ring(300, 4, 310, 30))
    dataset = open_dataset(tmp_path)
    assert [s.target.xyxy.round(6).tolist() for s in dataset.samples] == [
        [[3, 4, 20, 30]],
        [[3, 4, 10, 30]],
        [],
    ]
    assert "1 box belongs to no picture" in _codes(dataset)["no-image"].message


def test_geopackage(tmp_path):
    _raster(tmp_path / "scene.tif")
    ring = np.array(_ring(3, 4, 20, 30))
    polygon = struct.pack("<BIII", 1, 3, 1, len(ring)) + ring.astype("<f8").tobytes()
    several = struct.pack("<BII", 1, 6, 1) + polygon
    high = np.column_stack([ring, np.zeros(5)])
    deep = struct.pack(">BIII", 0, 1003, 1, 5) + high.astype(">f8").tobytes()
    point = struct.pack("<BIdd", 1, 1, 1.0, 2.0)
    with closing(sqlite3.connect(tmp_path / "scene.gpkg")) as base:
        base.execute("CREATE TABLE gpkg_geometry_columns (table_name, column_name, srs_id)")
        base.execute(
            "CREATE TABLE gpkg_spatial_ref_sys (srs_id, organization, organization_coordsys_id, definition)"
        )
        base.execute('CREATE TABLE "my ""trees""" (fid INTEGER, geom BLOB, class TEXT)')
        base.execute("INSERT INTO gpkg_geometry_columns VALUES ('my \"trees\"', 'geom', 32633)")
        base.execute("INSERT INTO gpkg_spatial_ref_sys VALUES (32633, 'EPSG', 32633, '')")
        for number, (body, envelope) in enumerate(((polygon, 0), (several, 1), (deep, 0), (point, 0))):
            head = b"GP" + bytes([0, 1 | envelope << 1]) + struct.pack("<i", 32633) + bytes(32 * envelope)
            base.execute('INSERT INTO "my ""trees""" VALUES (?, ?, ?)', (number, head + body, "oak"))
        base.commit()
    dataset = open_dataset(tmp_path / "scene.gpkg")
    assert dataset.labels == ("oak",)
    np.testing.assert_allclose(dataset.samples[0].target.xyxy, [[3, 4, 20, 30]] * 3, atol=1e-6)
    assert _codes(dataset)["bad-box"].message.startswith("1 box is")


@pytest.mark.parametrize("data", [b"", b"SQLite format 3\0" + b"\xff" * 200, b"GP" * 500])
def test_files_that_are_no_geopackage(tmp_path, data):
    _raster(tmp_path / "scene.tif")
    (tmp_path / "scene.gpkg").write_bytes(data)
    with pytest.raises(DataError, match="a GeoPackage is a SQLite file"):
        open_dataset(tmp_path / "scene.gpkg")


@pytest.mark.parametrize(
    "geometry",
    [
        None, 3, {"type": "Point", "coordinates": [1, 2]}, {"type": "Polygon"}, {"type": "Polygon", "coordinates": [["a"]]},
        {"type": "Polygon", "coordinates": [[[1, 2], [3, float("nan")], [4, 5]]]},
        {"type": "Polygon", "coordinates": [[[[[[[[[1, 2]]]]]]]]]},
        {"type": "Polygon", "coordinates": [[[10**400, 2], [3, 4], [4, 5]]]},
        {"type": "GeometryCollection", "geometries": {"a": 1}},
    ],
)  # fmt: skip
def test_geometries_without_an_area_are_counted(tmp_path, geometry):
    _raster(tmp_path / "scene.tif")
    file = _features(tmp_path / "scene.geojson", _ring(3, 4, 20, 30))
    document = json.loads(file.read_text())
    document["features"].append({"type": "Feature", "geometry": geometry})
    file.write_text(json.dumps(document))
    dataset = open_dataset(file)
    assert _codes(dataset)["bad-box"].message.startswith("1 box is")
    assert len(dataset.samples[0].target.labels) == 1


def test_a_system_that_nobody_knows(tmp_path):
    _raster(tmp_path / "scene.tif")
    file = _features(
        tmp_path / "scene.geojson", _ring(3, 4, 20, 30), crs={"properties": {"name": "EPSG:nowhere"}}
    )
    with pytest.raises(DataError, match="detection needs boxes to learn from"):
        open_dataset(file)


def test_rasters_without_a_place_on_the_map(tmp_path):
    _raster(tmp_path / "scene.tif")
    _features(tmp_path / "scene.geojson", _ring(3, 4, 20, 30))
    from PIL import Image

    Image.new("RGB", (9, 9)).save(tmp_path / "plain.tif")
    dataset = open_dataset(tmp_path)
    assert [s.path.name for s in dataset.samples] == ["scene.tif"]
    assert "plain.tif (the raster has no place on the map)" in _codes(dataset)["bad-entry"].message


def test_without_rasterio_the_extra_is_named(tmp_path, monkeypatch):
    _raster(tmp_path / "scene.tif")
    file = _features(tmp_path / "scene.geojson", _ring(3, 4, 20, 30))
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(
        MissingExtraError, match=r"rasterio, which is not installed; pip install 'gossamer\[geo\]'"
    ):
        open_dataset(file)


def test_class_folders_beside_a_file_of_places_stay_classes(tmp_path):
    for label in ("field", "forest"):
        for number in range(2):
            _raster(tmp_path / label / f"{label}{number}.tif")
    _features(tmp_path / "places.geojson", _ring(3, 4, 20, 30))
    assert open_dataset(tmp_path).task == "classify"
    _features(tmp_path / "field" / "field0.geojson", _ring(3, 4, 20, 30))
    assert open_dataset(tmp_path).task == "detect"
