"""YOLO as people write it: settings of other machines, names or none, outlines, pictures without text files."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gossamer.data.dataset import open_dataset
from gossamer.errors import DataError
from gossamer.types import Size

LINE = "1 0.5 0.5 0.25 0.5\n"
PLACE = [0.375, 0.25, 0.625, 0.75]


def _add(root, path, text=None, label=None):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30)).save(root / path)
    if text is not None:
        file = root / (label or path.replace("images", "labels").rpartition(".")[0] + ".txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def _codes(dataset):
    return {finding.code: finding for finding in dataset.findings}


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_shares_of_the_sides(tmp_path):
    _add(tmp_path, "images/a.jpg", LINE + "0 0.1 0.2 0.2 0.4 0.93\n")
    _write(tmp_path / "data.yaml", "names: [car, boat]\n")
    dataset = open_dataset(tmp_path)
    target = dataset.samples[0].target
    assert (dataset.task, dataset.labels) == ("detect", ("boat", "car"))
    assert target.norm
    np.testing.assert_allclose(target.xyxy, [PLACE, [0, 0, 0.2, 0.4]], atol=1e-12)
    assert target.labels.tolist() == [0, 1]
    np.testing.assert_allclose(target.in_pixels(Size(30, 40))[0], [15, 7.5, 25, 22.5])


def test_an_outline_becomes_the_box_around_it(tmp_path):
    _add(tmp_path, "images/a.jpg", "0 0.1 0.2 0.5 0.3 0.4 0.9\n")
    _write(tmp_path / "data.yaml", "names: {0: car}\n")
    assert open_dataset(tmp_path).samples[0].target.xyxy.tolist() == [[0.1, 0.2, 0.5, 0.9]]


def test_points_behind_a_box_are_passed_over(tmp_path):
    _add(tmp_path, "images/a.jpg", "0 0.5 0.5 0.25 0.5 0.1 0.1 2 0.2 0.2 2\n")
    _write(tmp_path / "data.yaml", "names: {0: person}\nkpt_shape: [2, 3]\n")
    assert open_dataset(tmp_path).samples[0].target.xyxy.tolist() == [PLACE]


@pytest.mark.parametrize(
    "settings",
    [
        "train: images/train\nval: images/val\n",
        "path: ../datasets/mine\ntrain: images/train\nval: images/val\n",
        "train: /content/drive/mine/images/train\nval: ../images/val\n",
        "train: [images/train]\nvalid: images/val/\n",
        "train: C:\\mine\\images\\train\nval: images\\val\n",
        "train: train.txt\nval: val.txt\n",
        "",
    ],
)
def test_splits_of_settings_from_any_machine(tmp_path, settings):
    for split in ("train", "val"):
        _add(tmp_path, f"images/{split}/a.jpg", LINE)
        _write(tmp_path / f"{split}.txt", f"/content/images/{split}/a.jpg\n")
    _write(tmp_path / "data.yaml", settings + "names: [car, boat]\n")
    for path in (tmp_path, tmp_path / "data.yaml"):
        dataset = open_dataset(path)
        assert [(dataset.relative(s), s.split) for s in dataset.samples] == [
            ("images/train/a.jpg", "train"), ("images/val/a.jpg", "val"),
        ]  # fmt: skip


def test_a_split_that_is_not_there_is_said(tmp_path):
    _add(tmp_path, "train/images/a.jpg", LINE)
    _add(tmp_path, "train/images/b.jpg", LINE)
    _write(tmp_path / "data.yaml", "train: ../train/images\nval: ../valid/pictures\nnames: [car, boat]\n")
    dataset = open_dataset(tmp_path)
    assert "'../valid/pictures' for val, which is not there" in _codes(dataset)["no-split"].message
    assert len(dataset.samples) == 2


def test_a_picture_in_two_splits_is_held_back(tmp_path):
    _add(tmp_path, "images/a.jpg", LINE)
    _add(tmp_path, "images/b.jpg", LINE)
    _write(tmp_path / "train.txt", "images/a.jpg\nimages/b.jpg\n")
    _write(tmp_path / "test.txt", "images/b.jpg\nimages/gone.jpg\n")
    _write(tmp_path / "data.yaml", "train: train.txt\ntest: test.txt\nnames: [car, boat]\n")
    dataset = open_dataset(tmp_path)
    assert [s.split for s in dataset.samples] == ["train", "test"]
    assert {"split-twice", "no-picture"} <= set(_codes(dataset))


@pytest.mark.parametrize("name", ["classes.txt", "obj.names", "labels/classes.txt"])
def test_names_a_line_a_class(tmp_path, name):
    _add(tmp_path, "images/a.jpg", LINE)
    _write(tmp_path / name, "car\r\nsmall boat\r\n")
    assert open_dataset(tmp_path).labels == ("small boat",)


def test_without_names_classes_are_called_by_their_numbers(tmp_path):
    _add(tmp_path, "images/a.jpg", LINE + "12 0.5 0.5 0.1 0.1\n")
    dataset = open_dataset(tmp_path)
    assert dataset.labels == ("1", "12")
    assert "add classes.txt" in _codes(dataset)["no-names"].message


def test_text_files_beside_pictures(tmp_path):
    _add(tmp_path, "a.jpg", LINE, "a.txt")
    _add(tmp_path, "b.jpg")
    _write(tmp_path / "classes.txt", "car\nboat\n")
    dataset = open_dataset(tmp_path)
    assert [s.path.name for s in dataset.samples] == ["a.jpg"]
    assert _codes(dataset)["no-annotation"].files == ("b.jpg",)


def test_pictures_without_a_text_file_show_nothing(tmp_path):
    _add(tmp_path, "images/a.jpg", LINE)
    _add(tmp_path, "images/b.jpg")
    _add(tmp_path, "images/c.jpg", "")
    dataset = open_dataset(tmp_path)
    assert [len(s.target.labels) for s in dataset.samples] == [1, 0, 0]
    assert _codes(dataset)["no-text"].files == ("images/b.jpg",)


def test_lines_of_no_use_are_counted(tmp_path):
    bad = [
        "car 0.5 0.5 0.1 0.1",
        "0 0.5 0.5 0.1",
        "-1 0.5 0.5 0.1 0.1",
        "0.5 0.5 0.5 0.1 0.1",
        "0 1 2 3 4 5 6 7",
        "1e9 0 0 1 1",
    ]
    _add(tmp_path, "images/a.jpg", LINE + "\n".join(bad) + "\n7 0.5 0.5 nan 0.1\n")
    _write(tmp_path / "data.yaml", "names: [car, boat]\n")
    dataset = open_dataset(tmp_path)
    assert _codes(dataset)["bad-box"].message.startswith("6 boxes are no four numbers")
    assert dataset.samples[0].target.labels.tolist() == [0, -1]


@pytest.mark.parametrize(
    "text", ["names: 3", "names: [a, b", "a: &a [1]\nnames: [*a]", "names: {x: 1}", "- 1"]
)
def test_settings_of_no_use(tmp_path, text):
    _add(tmp_path, "images/a.jpg", LINE)
    _write(tmp_path / "data.yaml", text)
    assert open_dataset(tmp_path).labels == ("1",)


def test_a_yaml_file_of_something_else_is_no_data(tmp_path):
    _write(tmp_path / "config.yaml", "minutes: 3\n")
    with pytest.raises(DataError, match=r"config.yaml is none of these"):
        open_dataset(tmp_path / "config.yaml")


def test_class_folders_with_notes_stay_classes(tmp_path):
    for label in ("car", "boat"):
        _add(tmp_path, f"{label}/a.jpg", "taken in 2019\n", f"{label}/a.txt")
    _write(tmp_path / "readme.txt", "1 2 3 4 5\n")
    assert open_dataset(tmp_path).task == "classify"


def test_class_folders_with_settings_stay_classes(tmp_path):
    for label in ("car", "boat"):
        _add(tmp_path, f"images/{label}/a.jpg")
    _write(tmp_path / "data.yaml", "names: [car, boat]\n")
    assert open_dataset(tmp_path).task == "classify"


def test_a_set_whose_first_files_are_empty_is_seen_by_its_settings(tmp_path):
    for number in range(30):
        _add(tmp_path, f"images/{number:02d}.jpg", LINE if number == 29 else "")
    _write(tmp_path / "data.yaml", "names: [car, boat]\n")
    assert len(open_dataset(tmp_path).samples) == 30
