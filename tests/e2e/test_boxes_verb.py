"""`gossamer check` on boxes: what is wrong is said with its file, and boxes are written in other layouts."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from gossamer.data.dataset import open_dataset
from gossamer.data.writers import coco
from gossamer.data.writers.written import Box, Entry
from gossamer.types import Size

SIZE = Size(48, 64)


@pytest.fixture
def boxes(tmp_path, draw):
    """A set of 12 pictures, each with a box of each class; returns its folder."""
    root = tmp_path / "boxes"
    (root / "images").mkdir(parents=True)
    entries = []
    for number in range(12):
        draw(number, (48, 64)).save(root / "images" / f"{number:02d}.png")
        places = [(4.0 + number, 5.0, 30.0 + number, 40.0), (20.0, 4.0 + number, 50.0, 30.0)]
        entries.append(
            Entry(f"{number:02d}.png", SIZE, tuple(Box(p, i, False) for i, p in enumerate(places)), None)
        )
    coco.write(root, entries, ("boat", "car"))
    return root


def _change(root, change):
    file = root / "annotations" / "instances.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def test_faults_are_said_before_training(gossamer, boxes):
    def change(document):
        document["annotations"][0]["bbox"] = [5, 5, 0, 9]
        document["annotations"][1]["bbox"] = [20, 10, 80, 9]
        document["annotations"][2]["category_id"] = 9

    _change(boxes, change)
    code, out, _ = gossamer("check", boxes, "--json")
    assert code == 0
    report = json.loads(out)
    codes = {finding["code"]: finding["message"] for finding in report["findings"]}
    assert report["task"] == "detect"
    assert codes["zero-box"].startswith("1 box of images/00.png without width or height (5, 5, 5, 14)")
    assert "by up to 36 pixels" in codes["cut-box"]
    assert "images/01.png of a class that has no name" in codes["unknown-class"]


def test_boxes_on_the_pixels_that_a_phone_stores(gossamer, boxes):
    """The file is 64 wide and says that it is to be turned: it is shown 48 wide."""
    path = boxes / "images" / "03.png"
    with Image.open(path) as image:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(boxes / "images" / "03.jpg", exif=exif, quality=95)
    path.unlink()
    _change(boxes, lambda document: document["images"][3].update(file_name="03.jpg"))
    code, out, _ = gossamer("check", boxes, "--json")
    codes = {finding["code"]: finding["message"] for finding in json.loads(out)["findings"]}
    assert code == 0
    assert "images/03.jpg is 64x48 and not 48x64" in codes["turned-boxes"]


@pytest.mark.parametrize("layout", ["coco", "voc", "yolo", "csv"])
def test_boxes_are_written_in_another_layout(gossamer, boxes, tmp_path, layout):
    code, out, err = gossamer("check", boxes, "--convert", layout, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert out.startswith("12 pictures with 24 boxes are in ")
    assert len(open_dataset(tmp_path / "out").samples) == 12
    code, out, err = gossamer("check", boxes, "--convert", layout, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "go into a new or empty folder" in err
    code, out, _ = gossamer("check", boxes, "--convert", layout, "--out", tmp_path / "again", "--json")
    document = json.loads(out)
    assert document == {
        "folder": str(tmp_path / "again"), "layout": layout, "pictures": 12, "boxes": 24, "left_out": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--convert", "coco"), "--convert and --out go together, got one of them"),
        (("--out", "x"), "--convert and --out go together, got one of them"),
        (
            ("--convert", "kitti", "--out", "x"),
            "unknown layout of boxes 'kitti'; known: coco, csv, voc, yolo",
        ),
    ],
)
def test_conversions_that_cannot_be(gossamer, boxes, monkeypatch, tmp_path, options, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = gossamer("check", boxes, *options)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert not (tmp_path / "x").exists()
