"""COCO as people write it: gaps in ids, crowds, splits by file names, and all that is left out with its reason."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from gossamer.data.dataset import open_dataset
from gossamer.data.readers import coco
from gossamer.errors import DataError
from gossamer.types import Size


def _pictures(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (40, 30)).save(folder / name)


def _document(pictures=("a.jpg", "b.jpg"), **more):
    document = {
        "images": [
            {"id": i + 5, "file_name": name, "height": 30, "width": 40} for i, name in enumerate(pictures)
        ],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 3, "bbox": [1, 2, 10, 20], "iscrowd": 0},
            {"id": 2, "image_id": 5, "category_id": 90, "bbox": [0.5, 0.25, 4, 4], "iscrowd": 1},
        ],
        "categories": [{"id": 90, "name": "boat"}, {"id": 3, "name": "car"}, {"id": 7, "name": "unused"}],
    }
    return {**document, **more}


def _write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def _codes(dataset):
    return {finding.code: finding for finding in dataset.findings}


def test_one_file_with_pictures_beside_it(tmp_path):
    _pictures(tmp_path, "a.jpg", "b.jpg")
    file = _write(tmp_path / "set.json", _document())
    dataset = open_dataset(file)
    assert (dataset.task, dataset.name, dataset.labels) == ("detect", "set", ("boat", "car"))
    first, second = (sample.target for sample in dataset.samples)
    assert first.xyxy.tolist() == [[1, 2, 11, 22], [0.5, 0.25, 4.5, 4.25]]
    assert first.labels.tolist() == [1, 0]
    assert first.crowd.tolist() == [False, True]
    assert (first.size, first.norm) == (Size(30, 40), False)
    assert second.xyxy.shape == (0, 4)
    assert set(_codes(dataset)) == {"id-gaps", "bare-class"}
    assert "from 3 to 90, with gaps" in _codes(dataset)["id-gaps"].message
    assert _codes(dataset)["bare-class"].message == "1 class has no box and is left out: unused"


def test_a_file_in_annotations_finds_pictures_beside_that_folder(tmp_path):
    _pictures(tmp_path / "val2017", "a.jpg", "b.jpg")
    file = _write(tmp_path / "annotations" / "instances_val2017.json", _document())
    dataset = open_dataset(file)
    assert dataset.root == tmp_path
    assert [dataset.relative(s) for s in dataset.samples] == ["val2017/a.jpg", "val2017/b.jpg"]
    assert {s.split for s in dataset.samples} == {None}


def test_splits_by_the_names_of_files(tmp_path):
    for split in ("train", "val", "test"):
        _pictures(tmp_path / f"{split}2017", "a.jpg", "b.jpg")
        _write(tmp_path / "annotations" / f"instances_{split}2017.json", _document())
        _write(tmp_path / "annotations" / f"captions_{split}2017.json", _document())
    dataset = open_dataset(tmp_path)
    assert {(dataset.relative(s), s.split) for s in dataset.samples} == {
        (f"{split}2017/{name}.jpg", split) for split in ("train", "val", "test") for name in "ab"
    }
    assert len(dataset.ignored) == 3


def test_one_file_a_folder_of_a_split(tmp_path):
    for split in ("train", "valid"):
        _pictures(tmp_path / split, "a.jpg", "b.jpg")
        _write(tmp_path / split / "_annotations.coco.json", _document())
    dataset = open_dataset(tmp_path)
    assert [s.split for s in dataset.samples] == ["train", "train", "val", "val"]


def test_splits_without_one_to_train_on_are_none(tmp_path):
    for split in ("val", "test"):
        _pictures(tmp_path / split, "a.jpg", "b.jpg")
        _write(tmp_path / split / "_annotations.coco.json", _document())
    dataset = open_dataset(tmp_path)
    assert {s.split for s in dataset.samples} == {None}
    assert "no-train" in _codes(dataset)


@pytest.mark.parametrize(
    "name", [r"C:\data\images\a.jpg", "/home/me/a.jpg", "../pictures/a.jpg", "A.JPG", "./a.jpg"]
)
def test_paths_of_other_machines(tmp_path, name):
    _pictures(tmp_path / "pictures", "a.jpg")
    file = _write(tmp_path / "set.json", _document((name,)))
    (sample,) = open_dataset(file).samples
    assert sample.path == tmp_path / "pictures" / "a.jpg"


def test_what_is_left_out_is_counted_with_its_reason(tmp_path):
    _pictures(tmp_path, "a.jpg", "b.jpg")
    document = _document(("a.jpg", "gone.jpg", "b.jpg"))
    document["images"] += [
        {"id": 5, "file_name": "b.jpg"}, {"id": None, "file_name": "b.jpg"}, {"id": 77, "file_name": "a.jpg"}, 7,
    ]  # fmt: skip
    document["annotations"] += [
        {"image_id": 5, "category_id": 3, "bbox": [1, 2, 3]},
        {"image_id": 5, "category_id": 3, "bbox": ["x", 2, 3, 4]},
        {"image_id": 5, "category_id": 3},
        {"image_id": 999, "category_id": 3, "bbox": [1, 2, 3, 4]},
        {"category_id": 3, "bbox": [1, 2, 3, 4]},
        {"image_id": 7, "category_id": 12, "bbox": [1, 2, 3, 4]},
        {"image_id": 7, "category_id": 3, "bbox": [1, 2, float("nan"), -4]},
    ]
    document["categories"].append({"id": 3, "name": "again"})
    dataset = coco.read(_write(tmp_path / "set.json", document))
    codes = _codes(dataset)
    assert codes["bad-box"].message.startswith("3 boxes are no four numbers")
    assert codes["no-image"].message.startswith("1 box belongs to no picture")
    assert codes["bad-entry"].message.startswith("3 entries are of no use")
    assert codes["repeated"].message.startswith("3 entries are there before")
    assert codes["no-picture"].message.startswith("1 annotated picture has no file")
    assert "gone.jpg" in codes["no-picture"].message
    second = dataset.samples[1].target
    assert second.labels.tolist() == [-1, 1]
    np.testing.assert_array_equal(second.xyxy[1], [1, 2, np.nan, -2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "annotations are JSON in UTF-8"),
        ("{", "annotations are JSON in UTF-8"),
        ("[" * 100_000, "annotations are JSON in UTF-8"),
        ("[1]", "annotations are a JSON object, .* is a list"),
        ('{"a": 1}', "COCO files have lists of images, annotations and categories, .* has a;"),
        ('{"images": 3}', "COCO files have lists"),
        ('{"images": []}', "detection needs boxes to learn from, .* has no annotated picture"),
        (json.dumps(_document(annotations=[])), "2 pictures and no box of a class"),
    ],
)
def test_a_file_that_is_none_is_one_line(tmp_path, text, message):
    _pictures(tmp_path, "a.jpg", "b.jpg")
    with pytest.raises(DataError, match=message) as raised:
        open_dataset(_write(tmp_path / "set.json", text))
    assert "\n" not in str(raised.value)


def test_one_bad_file_of_two_is_a_finding(tmp_path):
    _pictures(tmp_path / "train", "a.jpg", "b.jpg")
    _write(tmp_path / "train" / "good.json", _document())
    _write(tmp_path / "train" / "torn.json", json.dumps(_document())[:-9])
    dataset = open_dataset(tmp_path)
    assert _codes(dataset)["bad-annotation"].files == ("train/torn.json",)
    assert len(dataset.samples) == 2


def test_a_folder_of_classes_with_some_json_stays_one(tmp_path):
    for label in ("car", "boat"):
        _pictures(tmp_path / label, "a.jpg")
        _write(tmp_path / label / "notes.json", {"images": 3, "camera": "x"})
    assert open_dataset(tmp_path).task == "classify"


def test_a_huge_file_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(coco, "_MOST_BYTES", 100)
    with pytest.raises(DataError, match="has more; cut it into several"):
        open_dataset(_write(tmp_path / "set.json", _document()))
