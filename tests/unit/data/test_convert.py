"""Boxes go from every layout to every other and back without moving."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from gossamer.data.convert import WRITERS, convert
from gossamer.data.dataset import READERS, open_dataset
from gossamer.data.writers import coco
from gossamer.data.writers.written import Box, Entry
from gossamer.errors import DataError
from gossamer.types import Size

LABELS = ("a <b> & c", "forêt", "vehicle")
PAIRS = list(itertools.product(WRITERS, WRITERS))


@pytest.fixture
def source(tmp_path):
    """A set as COCO with splits, a picture without boxes, and places off the pixel grid."""
    rng = np.random.default_rng(3)
    root, entries = tmp_path / "source", []
    for number in range(9):
        size = Size(int(rng.integers(200, 900)), int(rng.integers(200, 900)))
        split = ("train", "val", "test")[number % 3]
        name = f"{split}/in/{number}.jpg"
        (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (size.width, size.height), (number, 0, 0)).save(root / "images" / name)
        boxes = []
        for _ in range(0 if number == 4 else 5):
            left, top = rng.uniform(0, 150, 2)
            width, height = rng.uniform(0.4, 45, 2)
            place = (float(left), float(top), float(left + width), float(top + height))
            boxes.append(Box(place, int(rng.integers(3)), False))
        if number == 0:
            boxes.append(Box((0.0, 0.0, float(size.width), float(size.height)), 1, False))
        entries.append(Entry(name, size, tuple(boxes), split))
    coco.write(root, entries, LABELS)
    return root


def _plain(folder):
    """Picture's bytes -> (split, boxes with names, in pixels)."""
    dataset = open_dataset(folder)
    rows = {}
    for sample in dataset.samples:
        with Image.open(sample.path) as image:
            size = Size(image.height, image.width)
        names = [dataset.labels[i] for i in sample.target.labels]
        places = sample.target.in_pixels(size)
        order = sorted(range(len(names)), key=lambda i: (names[i], *np.round(places[i], 2)))
        rows[sample.path.read_bytes()] = (
            sample.split,
            [names[i] for i in order],
            places[order],
            sample.target.crowd[order].tolist(),
        )
    return rows


def test_every_writer_has_a_reader():
    assert set(WRITERS) - {"csv"} <= set(READERS)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_there_and_on_and_back_to_a_thousandth_of_a_pixel(source, tmp_path, first, second):
    convert(source, first, tmp_path / "one")
    result = convert(tmp_path / "one", second, tmp_path / "two")
    assert (result.pictures, result.boxes, result.left_out) == (9, 41, 0)
    before, after = _plain(source), _plain(tmp_path / "two")
    assert before.keys() == after.keys()
    for key, (split, names, places, crowd) in before.items():
        assert after[key][0] == split
        assert after[key][1] == names
        np.testing.assert_allclose(after[key][2], places, atol=1e-3)
        assert after[key][3] == crowd


@pytest.mark.parametrize("layout", ["coco", "voc", "csv"])
def test_crowds_are_kept_where_they_can_be_said(tmp_path, layout):
    _small(tmp_path / "source", [Box((1, 1, 9, 9), 0, True), Box((2, 2, 8, 8), 0, False)])
    assert convert(tmp_path / "source", layout, tmp_path / "out").left_out == 0
    (sample,) = open_dataset(tmp_path / "out").samples
    assert sample.target.crowd.tolist() == [True, False]


def test_what_a_layout_cannot_say_is_counted(tmp_path):
    _small(tmp_path / "source", [Box((1, 1, 9, 9), 0, True), Box((2, 2, 8, 8), 0, False)])
    document = json.loads((tmp_path / "source/annotations/instances.json").read_text())
    document["annotations"].append({"image_id": 1, "category_id": 1, "bbox": [float("nan"), 1, 2, 3]})
    document["annotations"].append({"image_id": 1, "category_id": 77, "bbox": [1, 1, 2, 3]})
    (tmp_path / "source/annotations/instances.json").write_text(json.dumps(document))
    assert convert(tmp_path / "source", "yolo", tmp_path / "yolo").left_out == 3
    assert convert(tmp_path / "source", "csv", tmp_path / "csv").left_out == 2


def test_pictures_of_one_name_in_two_folders_stay_two(tmp_path):
    for part in ("a", "b"):
        _small(tmp_path / "source" / part, [Box((1, 1, 9, 9), 0, False)], colour=ord(part))
    convert(tmp_path / "source", "voc", tmp_path / "out")
    assert len(open_dataset(tmp_path / "out").samples) == 2


def test_pictures_are_links(source, tmp_path):
    convert(source, "yolo", tmp_path / "out")
    pictures = list((tmp_path / "out" / "images").rglob("*.jpg"))
    assert len(pictures) == 9
    assert all(path.is_symlink() and path.is_file() for path in pictures)


def test_a_file_system_without_links_gets_copies(source, tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise OSError("no links here")

    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    convert(source, "yolo", tmp_path / "out")
    pictures = list((tmp_path / "out" / "images").rglob("*.jpg"))
    assert len(pictures) == 9
    assert not any(path.is_symlink() for path in pictures)


def test_what_cannot_be_converted(source, tmp_path):
    with pytest.raises(DataError, match=r"unknown layout of boxes 'coca'; did you mean 'coco'\?"):
        convert(source, "coca", tmp_path / "out")
    with pytest.raises(DataError, match="go into a new or empty folder"):
        convert(source, "coco", source)
    for label in "ab":
        (tmp_path / "classes" / label).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "classes" / label / "1.png")
    with pytest.raises(DataError, match="is a set to classify; give a set with boxes"):
        convert(tmp_path / "classes", "coco", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _small(root, boxes, colour=0):
    (root / "images").mkdir(parents=True)
    Image.new("RGB", (16, 16), (colour, 0, 0)).save(root / "images" / "0.png")
    coco.write(root, [Entry("0.png", Size(16, 16), tuple(boxes), None)], ("car",))
