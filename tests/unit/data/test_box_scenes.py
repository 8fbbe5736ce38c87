"""`demo:boxes`: the same bytes every time, boxes that are tight around what is drawn, and things of all sizes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gossamer.data import box_scenes
from gossamer.data.box_scenes import CLASSES, render, write
from gossamer.data.dataset import open_dataset
from gossamer.errors import DataError
from gossamer.tasks.detect.boxes import usable


def test_the_same_number_gives_the_same_picture_and_boxes():
    picture, boxes = render(3, size=96)
    again, theirs = render(3, size=96)
    assert picture.shape == (96, 96, 3)
    assert picture.tobytes() == again.tobytes()
    np.testing.assert_array_equal(boxes.xyxy, theirs.xyxy)
    assert render(4, size=96)[0].tobytes() != picture.tobytes()
    assert render(3, 1, size=96)[0].tobytes() != picture.tobytes()


def test_things_are_in_the_picture_of_three_classes_and_of_many_sizes():
    every = [render(number)[1] for number in range(24)]
    places = np.concatenate([boxes.xyxy for boxes in every])
    labels = np.concatenate([boxes.labels for boxes in every])
    assert set(labels.tolist()) == {0, 1, 2}
    assert usable(places, least=2).all()
    assert places.min() >= 0
    assert places.max() <= 256
    longest = (places[:, 2:] - places[:, :2]).max(1)
    assert longest.min() < 14 < 34 < longest.max() <= 66
    assert (places.min(1) == 0).any() or (places.max(1) == 256).any(), "none is cut by the border"
    assert any(len(boxes.labels) == 0 for boxes in every), "every picture has things"


def test_a_box_is_tight_around_what_is_drawn(monkeypatch):
    """Without things the same numbers draw the same land: what differs is the thing, its shadow and its yard."""
    seen = {}

    def keep(picture):
        seen["owner"], seen["things"] = picture.owner.copy(), list(picture.things)
        return original(picture)

    original = box_scenes._boxes
    monkeypatch.setattr(box_scenes, "_boxes", keep)
    for number in range(6):
        _, boxes = render(number)
        shown = [i for i in range(1, len(seen["things"]) + 1) if (seen["owner"] == i).any()]
        assert len(boxes.labels) == len(shown)
        for place, thing in zip(boxes.xyxy, shown, strict=True):
            own = seen["owner"] == thing
            left, top, right, bottom = (round(2 * at) for at in place)
            assert own[top:bottom, left:right].sum() == own.sum()
            assert own[top, :].any()
            assert own[bottom - 1, :].any()
            assert own[:, left].any()
            assert own[:, right - 1].any()


def test_things_do_not_lie_in_each_other():
    from gossamer.tasks.detect.boxes import pairwise_iou

    for number in range(12):
        boxes = render(number)[1]
        overlap = pairwise_iou(boxes.xyxy, boxes.xyxy) - np.eye(len(boxes.labels))
        assert overlap.max(initial=0) < 0.6


def test_a_set_is_written_as_coco_and_read_again(tmp_path):
    folder = tmp_path / "demo"
    assert write(folder, 5, 64) == 5
    assert sorted(p.name for p in folder.iterdir()) == ["annotations", "images"]
    document = json.loads((folder / "annotations" / "instances.json").read_text())
    assert [c["name"] for c in document["categories"]] == list(CLASSES)
    dataset = open_dataset(folder)
    assert dataset.task == "detect"
    assert [s.path.name for s in dataset.samples] == [f"{i:04d}.jpg" for i in range(5)]
    for number, sample in enumerate(dataset.samples):
        boxes = render(number, 0, 64)[1]
        np.testing.assert_allclose(sample.target.xyxy, boxes.xyxy)
        names = [dataset.labels[i] for i in sample.target.labels]
        assert names == [CLASSES[i] for i in boxes.labels]


def test_no_pictures_and_full_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="at least 1 picture, got 0; raise count"):
        write(tmp_path / "a", 0)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_text("x")
    with pytest.raises(DataError, match="go into a new or empty folder"):
        write(tmp_path / "b", 1, 64)


def test_the_demo_of_boxes_is_written_once_into_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def small(folder):
        calls.append(folder)
        write(folder, 4, 64)

    monkeypatch.setattr("gossamer.data.box_scenes.write", small)
    assert open_dataset("demo:boxes").name == "demo-boxes"
    assert len(open_dataset("demo:boxes").samples) == 4
    assert calls == [tmp_path / "gossamer" / "demo-boxes-1"]
