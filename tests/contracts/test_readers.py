"""Every reader of the table keeps the contract."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gossamer.data.dataset import READERS
from gossamer.testing.readers import BoxReaderContract, ReaderContract


class TestFolder(ReaderContract):
    name = "folder"

    def write(self, root):
        wanted = {}
        for label in ("river", "forêt dense", 'a "quoted" one'):
            for inner in ("1.png", "2.jpg", "scene/3.PNG"):
                path = root / label / inner
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), (len(wanted) * 20, 0, 0)).save(path)
                wanted[f"{label}/{inner}"] = label
        return wanted


class TestTable(ReaderContract):
    name = "table"

    def write(self, root):
        wanted = {"1.png": "river", "in/2.jpg": "forêt dense", "in/3.png": 'a "quoted" one', "4.png": "river"}
        for path in wanted:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(root / path)
        with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["file", "label"], *wanted.items()])
        return wanted


class TestImagefolder(ReaderContract):
    name = "imagefolder"

    def write(self, root):
        wanted = {"train/1.png": "river", "train/in/2.jpg": "forêt dense", "test/3.png": 'a "quoted" one'}
        for path in wanted:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(root / path)
        for split in ("train", "test"):
            rows = [
                {"file_name": path.partition("/")[2], "label": label}
                for path, label in wanted.items()
                if path.startswith(split)
            ]
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (root / split / "metadata.jsonl").write_text(lines, encoding="utf-8")
        return wanted


NAMES = ("river boat", "forêt dense", 'a "quoted" one', "river boat")
LEFT, TOP, RIGHT, BOTTOM = BoxReaderContract.PLACE


def _pictures(root, *paths):
    """Pictures of 8x8 pixels below a root, each with a name of a class: path -> name."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(root / path)
    return dict(zip(paths, NAMES, strict=True))


class TestCoco(BoxReaderContract):
    name = "coco"

    def write(self, root):
        wanted = _pictures(root, *(f"images/train2017/{i}.jpg" for i in range(4)))
        names = sorted(set(NAMES), reverse=True)
        document = {
            "images": [{"id": 7 + i, "file_name": f"{i}.jpg", "height": 8, "width": 8} for i in range(4)],
            "annotations": [
                {
                    "id": i,
                    "image_id": 7 + i,
                    "category_id": 10 * names.index(name),
                    "bbox": [LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP],
                    "iscrowd": 0,
                }
                for i, name in enumerate(NAMES)
            ],
            "categories": [{"id": 10 * i, "name": name} for i, name in enumerate(names)],
        }
        (root / "annotations").mkdir()
        (root / "annotations/instances_train2017.json").write_text(json.dumps(document))
        return wanted


class TestVoc(BoxReaderContract):
    name = "voc"

    def write(self, root):
        wanted = _pictures(root, *(f"JPEGImages/{i}.jpg" for i in range(4)))
        (root / "Annotations").mkdir()
        for path, name in wanted.items():
            stem = Path(path).stem
            (root / f"Annotations/{stem}.xml").write_text(
                f"<annotation><filename>{stem}.jpg</filename><size><width>8</width><height>8</height></size><object><name>"
                f"{name}</name><bndbox><xmin>{LEFT + 1}</xmin><ymin>{TOP + 1}</ymin><xmax>{RIGHT}</xmax><ymax>{BOTTOM}</ymax>"
                "</bndbox></object></annotation>",
                encoding="utf-8",
            )
        return wanted


class TestYolo(BoxReaderContract):
    name = "yolo"

    def write(self, root):
        wanted = _pictures(root, *(f"images/{split}/{i}.jpg" for split in ("train", "val") for i in range(2)))
        names = sorted(set(NAMES), reverse=True)
        text = "train: images/train\nval: images/val\nnames: " + json.dumps(names, ensure_ascii=False)
        (root / "data.yaml").write_text(text, encoding="utf-8")
        place = ((LEFT + RIGHT) / 16, (TOP + BOTTOM) / 16, (RIGHT - LEFT) / 8, (BOTTOM - TOP) / 8)
        for path, name in wanted.items():
            label = root / Path(path.replace("images", "labels")).with_suffix(".txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(" ".join(map(str, (names.index(name), *place))) + "\n")
        return wanted


class TestBoxtable(BoxReaderContract):
    name = "boxtable"

    def write(self, root):
        wanted = _pictures(root, *(f"in/{i}.jpg" for i in range(4)))
        rows = [[path, *self.PLACE, name] for path, name in wanted.items()]
        with (root / "boxes.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["file", "xmin", "ymin", "xmax", "ymax", "label"], *rows])
        return wanted


class TestGeoboxes(BoxReaderContract):
    name = "geoboxes"

    def write(self, root):
        rasterio = pytest.importorskip("rasterio")

        wanted = dict(zip((f"{i}.tif" for i in range(4)), NAMES, strict=True))
        for number, (path, name) in enumerate(wanted.items()):
            west, north = 500_000 + 100 * number, 4_000_000
            profile = {
                "driver": "GTiff",
                "height": 8,
                "width": 8,
                "count": 3,
                "dtype": "uint8",
                "crs": "EPSG:32633",
            }
            with rasterio.open(
                root / path, "w", **profile, transform=rasterio.Affine(2, 0, west, 0, -2, north)
            ) as file:
                file.write(np.zeros((3, 8, 8), np.uint8))
            xs, ys = ([west + 2 * x for x in (LEFT, RIGHT)], [north - 2 * y for y in (TOP, BOTTOM)])
            ring = [[xs[i], ys[j]] for i, j in ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))]
            document = {
                "type": "FeatureCollection",
                "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}},
                "features": [
                    {
                        "type": "Feature",
                        "properties": {"label": name},
                        "geometry": {"type": "Polygon", "coordinates": [ring]},
                    }
                ],
            }
            (root / path).with_suffix(".geojson").write_text(json.dumps(document))
        return wanted


def _below(contract):
    """The contracts below one, at any depth."""
    return [each for sub in contract.__subclasses__() for each in (sub, *_below(sub))]


def test_every_reader_is_held_to_the_contract():
    assert sorted(c.name for c in _below(ReaderContract) if c.__module__ == __name__) == sorted(READERS)
