"""gossamer predict with things in pictures: tables, drawings, tiles, maps, regions."""

from __future__ import annotations

import csv
import itertools
import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
from box_samples import LABELS, picture_of, write_detector
from PIL import Image

from gossamer.cli import app
from gossamer.cli._common import run
from gossamer.data.readers.coco import read


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return write_detector(tmp_path_factory.mktemp("detector") / "squares.onnx")


@pytest.fixture
def pictures_folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    picture_of(("red square", 8, 12), ("red square", 40, 40), ("blue square", 24, 4)).save(folder / "a.png")
    picture_of().save(folder / "b.png")
    (folder / "c.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def gossamer(capsys):
    def call(*arguments):
        code = run(app, ["predict", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def _table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_table_by_picture_counts(gossamer, detector, pictures_folder, tmp_path):
    code, _, _ = gossamer(detector, pictures_folder, "-o", tmp_path / "t.csv", "--threshold", 0.9)
    assert code == 0
    a, b, c = _table(tmp_path / "t.csv")
    assert (a["count red square"], a["count blue square"]) == ("2", "1")
    assert (b["count red square"], b["error"]) == ("0", "")
    assert (c["count red square"], "is none that can be read" in c["error"]) == ("", True)


def test_a_table_by_thing_has_a_row_a_box(gossamer, detector, pictures_folder, tmp_path):
    gossamer(detector, pictures_folder, "-o", tmp_path / "t.csv", "--rows", "things", "--threshold", 0.9)
    rows = _table(tmp_path / "t.csv")
    assert list(rows[0]) == ["file", "xmin", "ymin", "xmax", "ymax", "label", "score", "error"]
    boxes = {(row["label"], *(float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax"))) for row in rows[:3]}
    assert boxes == {
        ("red square", 8, 12, 16, 20),
        ("red square", 40, 40, 48, 48),
        ("blue square", 24, 4, 32, 12),
    }
    assert [row["label"] for row in rows[3:]] == ["", ""]
    assert rows[4]["error"]


def test_a_threshold_below_the_usual_one_says_more(gossamer, detector, pictures_folder):
    counts = []
    for threshold in (0.05, 0.3, 0.9):
        _, out, _ = gossamer(detector, pictures_folder / "a.png", "--json", "--threshold", threshold)
        counts.append(len(json.loads(out)[0]["boxes"]))
    assert counts[0] > counts[1] >= counts[2] == 3


def test_lines_of_json_are_the_document(gossamer, detector, pictures_folder, tmp_path):
    _, out, _ = gossamer(detector, pictures_folder, "--json", "-o", tmp_path / "t.jsonl")
    assert [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()] == json.loads(out)


def test_coco_is_read_back_as_a_data_set(gossamer, detector, pictures_folder, tmp_path):
    gossamer(detector, pictures_folder, "-o", tmp_path / "t.coco.json", "--threshold", 0.9)
    document = json.loads((tmp_path / "t.coco.json").read_text())
    assert [category["name"] for category in document["categories"]] == LABELS
    assert len(document["images"]) == 2
    first = document["annotations"][0]
    assert (first["id"], first["image_id"], first["bbox"][2:], first["area"]) == (1, 1, [8.0, 8.0], 64.0)
    assert first["score"] == pytest.approx(1, abs=1e-5)
    data = pictures_folder.parent / "data"
    (data / "annotations").mkdir(parents=True)
    (tmp_path / "t.coco.json").rename(data / "annotations" / "instances.json")
    for name in ("a.png", "b.png"):
        (pictures_folder / name).rename(data / name)
    dataset = read(data)
    assert dataset.task == "detect"
    assert sorted(len(sample.target.xyxy) for sample in dataset.samples) == [0, 3]


def test_a_drawing_shows_frame_and_plate_in_the_colour_of_the_class(
    gossamer, detector, pictures_folder, tmp_path
):
    gossamer(detector, pictures_folder, "--draw", tmp_path / "drawn", "--threshold", 0.9)
    assert sorted(file.name for file in (tmp_path / "drawn").iterdir()) == ["a.png", "b.png"]
    drawn = Image.open(tmp_path / "drawn" / "a.png")
    assert drawn.size == (256, 256), "small pictures are enlarged"
    assert len(set(drawn.get_flattened_data())) > len(set(picture_of().get_flattened_data())) + 3


def test_pictures_of_one_name_are_drawn_both(gossamer, detector, tmp_path):
    for folder in ("x", "y"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        picture_of(("red square", 8, 12)).save(tmp_path / "in" / folder / "a.png")
    gossamer(detector, tmp_path / "in", "--draw", tmp_path / "drawn")
    assert sorted(file.name for file in (tmp_path / "drawn").iterdir()) == ["a-2.png", "a.png"]


def test_tiles_find_what_one_look_does_not(gossamer, detector, tmp_path):
    things = [
        ("red square", 8, 12),
        ("blue square", 300, 200),
        ("red square", 500, 340),
        ("red square", 60, 60),
    ]
    picture_of(*things, size=(512, 352)).save(tmp_path / "large.png")
    _, out, _ = gossamer(detector, tmp_path / "large.png", "--json", "--threshold", 0.9)
    assert json.loads(out)[0]["boxes"] == []
    _, out, _ = gossamer(
        detector, tmp_path / "large.png", "--json", "--threshold", 0.9, "--tile", 64, "--overlap", 32
    )
    boxes = {(row["label"], *row["box"][:2]) for row in json.loads(out)[0]["boxes"]}
    assert boxes == set(things)


class TestRegions:
    @pytest.fixture
    def regions(self, tmp_path):
        def ring(left, top, right, bottom):
            return [[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]]

        features = [
            {
                "type": "Feature",
                "properties": {"name": name},
                "geometry": {"type": "Polygon", "coordinates": ring(*box)},
            }
            for name, box in (("north", (0, 0, 64, 20)), ("south", (0, 42, 64, 64)))
        ]
        path = tmp_path / "r.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        return path

    def test_counts_are_by_polygon_and_class(self, gossamer, detector, pictures_folder, regions, tmp_path):
        _, out, _ = gossamer(
            detector,
            pictures_folder / "a.png",
            "--threshold",
            0.9,
            "--region",
            regions,
            "--json",
            "-o",
            tmp_path / "t.csv",
        )
        (document,) = json.loads(out)
        assert document["regions"] == {
            "north": {"red square": 1, "blue square": 1},
            "south": {"red square": 1, "blue square": 0},
        }
        assert document["counts"] == {"red square": 2, "blue square": 1}
        (row,) = _table(tmp_path / "t.csv")
        assert (row["count red square in north"], row["count blue square in south"]) == ("1", "0")

    def test_the_rule_decides_about_a_box_on_the_edge(self, gossamer, detector, tmp_path, regions):
        picture_of(("red square", 20, 12), ("red square", 40, 36)).save(tmp_path / "p.png")
        counts = {}
        for rule in ("centre", "crossing"):
            arguments = (tmp_path / "p.png", "--threshold", 0.9, "--region", regions, "--region-rule", rule)
            counts[rule] = json.loads(gossamer(detector, *arguments, "--json")[1])[0]["regions"]
        assert counts["centre"]["north"]["red square"] == counts["crossing"]["north"]["red square"] == 1
        assert counts["centre"]["south"]["red square"] == 0
        assert counts["crossing"]["south"]["red square"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rows", "boxes", "-o", "t.csv"), "--rows is pictures or things, got 'boxes'"),
        (("--rows", "things", "-o", "t.json"), "--rows is for a .csv file, got t.json; leave it out"),
        (("--tile", "64", "--overlap", "64"), "a tile is larger than the overlap"),
        (("--region", "none.geojson"), "cannot read the regions none.geojson"),
        (("-o", "t.geojson"), "GeoJSON is for rasters on a map"),
    ],
)
def test_what_does_not_fit_is_one_line(
    gossamer, detector, pictures_folder, arguments, message, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    code, _, err = gossamer(detector, pictures_folder / "a.png", *arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert not list(tmp_path.glob("t.*"))


def _raster(path, pixels, transform, crs="EPSG:32611", **more):
    rasterio = pytest.importorskip("rasterio")
    height, width, bands = pixels.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": bands, "dtype": pixels.dtype}
    with (
        warnings.catch_warnings(action="ignore", category=PendingDeprecationWarning),
        rasterio.open(path, "w", **profile, transform=transform, crs=crs, **more) as raster,
    ):
        raster.write(np.moveaxis(pixels, 2, 0))


@pytest.mark.parametrize("turned", ["north-up", "south-up", "rotated"])
def test_boxes_lie_on_the_map(gossamer, detector, tmp_path, turned):
    rasterio = pytest.importorskip("rasterio")
    from rasterio.transform import Affine

    transform = (
        Affine.translation(500_000, 4_000_000)
        @ {
            "north-up": Affine.scale(2, -2),
            "south-up": Affine.scale(2, 2),
            "rotated": Affine.rotation(30) @ Affine.scale(2, -2),
        }[turned]
    )
    pixels = np.asarray(picture_of(("red square", 100, 52), size=(192, 128)))
    _raster(tmp_path / "map.tif", pixels, transform)
    code, _, err = gossamer(
        detector,
        tmp_path / "map.tif",
        "--tile",
        64,
        "--overlap",
        32,
        "--threshold",
        0.9,
        "-o",
        tmp_path / "t.geojson",
    )
    assert (code, err) == (0, "")
    (feature,) = json.loads((tmp_path / "t.geojson").read_text())["features"]
    assert feature["properties"]["label"] == "red square"
    (ring,) = feature["geometry"]["coordinates"]
    assert ring[0] == ring[-1]
    assert len(ring) == 5
    x, y = rasterio.warp.transform("EPSG:4326", "EPSG:32611", *np.array(ring).T.tolist())
    back, (x, y) = ~transform, np.array([x, y])
    columns, rows = back.a * x + back.b * y + back.c, back.d * x + back.e * y + back.f
    assert np.min(columns) == pytest.approx(100, abs=0.01)
    assert np.max(columns) == pytest.approx(108, abs=0.01)
    assert np.min(rows) == pytest.approx(52, abs=0.01)
    assert np.max(rows) == pytest.approx(60, abs=0.01)
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(ring))
    assert area > 0, "counter-clockwise"


def test_regions_of_a_raster_are_on_the_map(gossamer, detector, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    from rasterio.transform import Affine

    pixels = np.asarray(picture_of(("red square", 100, 52), ("red square", 12, 12), size=(192, 128)))
    _raster(tmp_path / "map.tif", pixels, Affine(2, 0, 500_000, 0, -2, 4_000_000))
    ring = np.array([(500_180, 3_999_860), (500_240, 3_999_860), (500_240, 3_999_920), (500_180, 3_999_920)])
    lon, lat = rasterio.warp.transform("EPSG:32611", "EPSG:4326", *ring.T.tolist())
    crs = {"type": "name", "properties": {"name": "EPSG:32611"}}
    for points, more in (
        (ring.tolist(), {}),
        (ring.tolist(), {"crs": crs}),
        ([*zip(lon, lat, strict=True)], {}),
    ):
        (tmp_path / "r.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [points], **more}))
        _, out, _ = gossamer(
            detector,
            tmp_path / "map.tif",
            "--tile",
            64,
            "--overlap",
            32,
            "--threshold",
            0.9,
            "--region",
            tmp_path / "r.geojson",
            "--json",
        )
        (row,) = json.loads(out)[0]["boxes"]
        assert row["box"] == [100, 52, 108, 60]


def test_ground_control_points_alone_are_refused(gossamer, detector, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    points = [
        rasterio.control.GroundControlPoint(r, c, 10 + c / 100, 50 - r / 100)
        for r, c in ((0, 0), (0, 64), (64, 0))
    ]
    pixels = np.asarray(picture_of(("red square", 8, 12)))
    profile = {"driver": "GTiff", "height": 64, "width": 64, "count": 3, "dtype": "uint8"}
    with rasterio.open(tmp_path / "map.tif", "w", **profile, gcps=points, crs="EPSG:4326") as raster:
        raster.write(np.moveaxis(pixels, 2, 0))
    code, _, err = gossamer(detector, tmp_path / "map.tif", "--tile", 64, "-o", tmp_path / "t.geojson")
    assert code == 2
    assert "has ground control points alone; warp it with gdalwarp" in err
    assert not (tmp_path / "t.geojson").exists()


def test_a_raster_is_never_read_as_a_whole(detector, tmp_path):
    """Peak memory of a raster of 300 MB stays near that of a small one; tiles without data are passed over."""
    pytest.importorskip("rasterio")
    from rasterio.transform import Affine

    script = (
        "import resource, sys\n"
        "from gossamer.cli import app\nfrom gossamer.cli._common import run\n"
        "code = run(app, ['predict', *sys.argv[1:]])\n"
        "print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)\n"
    )
    peaks = []
    for side in (256, 10_240):
        path, transform = tmp_path / f"{side}.tif", Affine(1, 0, 500_000, 0, -1, 4_000_000)
        _sparse_raster(path, side, transform, picture_of(("red square", 8, 12), ("blue square", 40, 40)))
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                script,
                detector,
                path,
                "--tile",
                "512",
                "--threshold",
                "0.9",
                "-o",
                tmp_path / "t.json",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        code, megabytes = done.stderr.split()[-2:]
        assert code == "0"
        peaks.append(int(megabytes))
    assert peaks[1] - peaks[0] < 120


def _sparse_raster(path, side, transform, corner):
    """Only its first tile has data."""
    import rasterio

    profile = {"driver": "GTiff", "height": side, "width": side, "count": 3, "dtype": "uint8"}
    more = {"tiled": True, "blockxsize": 256, "blockysize": 256, "sparse_ok": True, "nodata": 0}
    with (
        warnings.catch_warnings(action="ignore"),
        rasterio.open(path, "w", **profile, **more, transform=transform, crs="EPSG:32611") as raster,
    ):
        raster.write(np.moveaxis(np.asarray(corner), 2, 0), window=((0, 64), (0, 64)))


def test_damaged_rasters_are_named_and_stop_nothing(gossamer, detector, tmp_path):
    pytest.importorskip("rasterio")
    from rasterio.transform import Affine

    pixels = np.asarray(picture_of(("red square", 100, 52), size=(192, 128)))
    raster, rng = tmp_path / "map.tif", np.random.default_rng(0)
    _raster(raster, pixels, Affine(1, 0, 500_000, 0, -1, 4_000_000), compress="deflate")
    whole = raster.read_bytes()
    picture_of(("red square", 8, 12)).save(tmp_path / "sound.png")
    errors = 0
    for case in range(20):
        damaged = bytearray(whole)
        if case % 2:
            damaged = damaged[: int(rng.integers(0, len(whole)))]
        else:
            for at in rng.integers(0, len(whole), 30):
                damaged[at] = int(rng.integers(0, 256))
        raster.write_bytes(bytes(damaged))
        code, out, _ = gossamer(detector, raster, tmp_path / "sound.png", "--tile", 64, "--json")
        assert code == 0
        first, second = json.loads(out)
        assert second["counts"]["red square"] >= 1
        errors += first["error"] is not None
    assert errors >= 10
