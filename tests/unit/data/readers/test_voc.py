"""Pascal VOC as people write it: from 1 or from 0, lists of splits, files beside pictures, and no harm by XML."""

from __future__ import annotations

import time

import pytest
from PIL import Image

from gossamer.data.dataset import open_dataset
from gossamer.data.readers import markup
from gossamer.errors import DataError
from gossamer.types import Size

BOMB = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {chr(98 + i)} '{f'&{chr(97 + i)};' * 10}'>" for i in range(9)
)


def _xml(*boxes, name="", size=(30, 40), difficult=()):
    objects = "".join(
        f"<object><name>{label}</name><difficult>{int(i in difficult)}</difficult><bndbox><xmin>{b[0]}</xmin>"
        f"<ymin>{b[1]}</ymin><xmax>{b[2]}</xmax><ymax>{b[3]}</ymax></bndbox></object>"
        for i, (label, *b) in enumerate(boxes)
    )
    return (
        f"<annotation><filename>{name}</filename><size><width>{size[1]}</width><height>{size[0]}</height></size>{objects}"
        "</annotation>"
    )


def _add(root, stem, text, pictures="JPEGImages", annotations="Annotations"):
    for folder in (pictures, annotations):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30)).save(root / pictures / f"{stem}.jpg")
    (root / annotations / f"{stem}.xml").write_text(text)


def _codes(dataset):
    return {finding.code: finding for finding in dataset.findings}


def test_pixels_are_counted_from_1(tmp_path):
    _add(tmp_path, "a", _xml(("car", 1, 1, 40, 30), ("boat", 5, 6, 9, 7), difficult=(1,)))
    dataset = open_dataset(tmp_path)
    (sample,) = dataset.samples
    assert dataset.labels == ("boat", "car")
    assert sample.target.xyxy.tolist() == [[0, 0, 40, 30], [4, 5, 9, 7]]
    assert sample.target.crowd.tolist() == [False, True]
    assert sample.target.size == Size(30, 40)
    assert dataset.findings == ()


def test_sides_of_size_zero_stay_that_and_swapped_corners_come_back(tmp_path):
    _add(tmp_path, "a", _xml(("car", 5, 5, 5, 5), ("car", 20, 10, 8, 25)))
    (sample,) = open_dataset(tmp_path).samples
    assert sample.target.xyxy.tolist() == [[5, 5, 5, 5], [20, 9, 7, 25]]


def test_a_set_with_a_box_at_0_is_counted_from_0(tmp_path):
    _add(tmp_path, "a", _xml(("car", 0, 3, 10, 12)))
    _add(tmp_path, "b", _xml(("car", 4, 3, 10, 12)))
    dataset = open_dataset(tmp_path)
    assert [s.target.xyxy.tolist() for s in dataset.samples] == [[[0, 3, 10, 12]], [[4, 3, 10, 12]]]
    assert "boxes of a.jpg begin at 0" in _codes(dataset)["counted-from-0"].message


@pytest.mark.parametrize(
    ("lists", "splits"),
    [
        ({}, [None] * 4),
        ({"train": "ab", "val": "c", "test": "d"}, ["train", "train", "val", "test"]),
        ({"trainval": "abc", "train": "ab", "val": "c", "test": "d"}, ["train", "train", "val", "test"]),
        ({"trainval": "abc", "test": "d"}, ["train", "train", "train", "test"]),
        ({"train": "abcd", "test": "d"}, ["train", "train", "train", "test"]),
    ],
)
def test_lists_of_splits(tmp_path, lists, splits):
    for stem in "abcd":
        _add(tmp_path, stem, _xml(("car", 2, 2, 9, 9)))
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    for name, stems in lists.items():
        (tmp_path / "ImageSets" / "Main" / f"{name}.txt").write_text("".join(f"{s}  1\n" for s in stems))
    dataset = open_dataset(tmp_path)
    assert [s.split for s in dataset.samples] == splits
    assert ("split-twice" in _codes(dataset)) == (lists.get("train") == "abcd")
    assert dataset.ignored == ()


def test_pictures_that_no_list_names_are_left_out(tmp_path):
    for stem in "abc":
        _add(tmp_path, stem, _xml(("car", 2, 2, 9, 9)))
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\nb\n")
    dataset = open_dataset(tmp_path)
    assert [s.path.stem for s in dataset.samples] == ["a", "b"]
    assert "1 picture is in none of the lists" in _codes(dataset)["unlisted"].message


def test_several_years_below_one_folder(tmp_path):
    for year in ("VOC2007", "VOC2012"):
        _add(tmp_path / year, "a", _xml(("car", 2, 2, 9, 9), name="a.jpg"))
    dataset = open_dataset(tmp_path)
    assert [dataset.relative(s) for s in dataset.samples] == [
        "VOC2007/JPEGImages/a.jpg", "VOC2012/JPEGImages/a.jpg",
    ]  # fmt: skip


def test_files_beside_pictures_and_the_file_that_is_named(tmp_path):
    _add(tmp_path, "a", _xml(("car", 2, 2, 9, 9), name="a.png"), ".", ".")
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    _add(tmp_path, "b", _xml(("car", 2, 2, 9, 9), name="renamed.jpg"), ".", ".")
    Image.new("RGB", (40, 30)).save(tmp_path / "c.jpg")
    dataset = open_dataset(tmp_path)
    assert [s.path.name for s in dataset.samples] == ["a.png", "b.jpg"]
    assert _codes(dataset)["no-annotation"].files == ("c.jpg",)


def test_folders_of_splits(tmp_path):
    for split in ("train", "valid"):
        _add(tmp_path / split, split, _xml(("car", 2, 2, 9, 9)), ".", ".")
    assert [s.split for s in open_dataset(tmp_path).samples] == ["train", "val"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB + "]><annotation><object><name>&j;</name></object></annotation>", "have no DTD"),
        ("<!DOCTYPE x SYSTEM 'file:///etc/passwd'><annotation/>", "have no DTD"),
        ("<annotation><object>", "it is none (no element found"),
        ("", "no element found"),
        ("<annotation>&undefined;</annotation>", "undefined entity"),
        ("<annotation>" + "<a>" * 500, "nest 64 deep at most"),
        ("<page/>", "it is of page"),
    ],
)
def test_xml_that_is_left_out(tmp_path, text, reason):
    _add(tmp_path, "a", _xml(("car", 2, 2, 9, 9)))
    _add(tmp_path, "b", text)
    start = time.perf_counter()
    dataset = open_dataset(tmp_path)
    assert time.perf_counter() - start < 2
    assert [s.path.stem for s in dataset.samples] == ["a"]
    assert reason in _codes(dataset)["bad-annotation"].message
    assert _codes(dataset)["bad-annotation"].files == ("Annotations/b.xml",)


def test_an_utf_16_bomb_is_refused_too(tmp_path):
    _add(tmp_path, "a", "")
    text = '<?xml version="1.0" encoding="UTF-16"?>' + BOMB + "]><annotation>&j;</annotation>"
    (tmp_path / "Annotations" / "a.xml").write_bytes(text.encode("utf-16"))
    with pytest.raises(DataError, match="have no DTD"):
        markup.tree_of(tmp_path / "Annotations" / "a.xml")


def test_boxes_of_no_numbers_and_without_a_class(tmp_path):
    _add(tmp_path, "a", _xml(("car", 2, 2, 9, 9), ("car", "x", 2, 3, 4), ("", 3, 3, 9, 9)))
    dataset = open_dataset(tmp_path)
    assert dataset.samples[0].target.labels.tolist() == [0, -1]
    assert "1 box is no four numbers" in _codes(dataset)["bad-box"].message


def test_no_box_at_all(tmp_path):
    _add(tmp_path, "a", _xml())
    with pytest.raises(DataError, match=r"detection needs boxes to learn from, .* has 1 picture and no box"):
        open_dataset(tmp_path)


@pytest.mark.shared
def test_blood_cells(shared):
    dataset = open_dataset(shared / "bccd")
    assert dataset.labels == ("Platelets", "RBC", "WBC")
    splits = [s.split for s in dataset.samples]
    assert [splits.count(split) for split in ("train", "val", "test")] == [205, 87, 72]
    assert sum(len(s.target.labels) for s in dataset.samples) == 4888


@pytest.mark.shared
def test_tree_crowns(shared):
    dataset = open_dataset(shared / "neon-trees")
    counts = {s.path.name: len(s.target.labels) for s in dataset.samples}
    assert counts == {
        "2019_YELL_2_541000_4977000_image_crop.png": 279, "OSBS_029.tif": 61, "SOAP_061.png": 37,
    }  # fmt: skip
    table = open_dataset(shared / "neon-trees" / "OSBS_029.csv")
    assert len(table.samples[0].target.labels) == 61


def test_a_picture_that_only_its_file_names_is_annotated(tmp_path):
    _add(tmp_path, "a", _xml(("car", 2, 2, 9, 9)))
    (tmp_path / "Annotations" / "label-1.xml").write_text(_xml(("car", 2, 2, 9, 9), name="b.jpg"))
    Image.new("RGB", (40, 30)).save(tmp_path / "JPEGImages" / "b.jpg")
    dataset = open_dataset(tmp_path)
    assert [s.path.name for s in dataset.samples] == ["a.jpg", "b.jpg"]
    assert dataset.findings == ()
