"""Boxes on their way from a picture into a network's input and back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gossamer.data.geometry import transform_of
from gossamer.errors import DataError
from gossamer.tasks import Frame, get_task
from gossamer.tasks.detect.boxes import Boxes
from gossamer.types import Size

TASK = get_task("detect")
LABELS = ("ship", "tank")


def _placed(boxes, picture, size, rule="letterbox"):
    (target,) = TASK.place([boxes], [picture], [transform_of(rule, picture, size)], size)
    return TASK.array([target], LABELS)[0]


def test_boxes_land_where_their_picture_does():
    picture, size = Size(200, 400), Size(100, 100)
    rows = _placed(Boxes.of([[40, 20, 80, 60]], [1]), picture, size)
    assert rows[0].tolist() == pytest.approx(
        [1, 10, 30, 20, 40, 1600, 0]
    )  # half of 100 rows are grey: 25 above


def test_shares_of_the_sides_are_pixels_of_the_picture():
    rows = _placed(Boxes.of([[0.1, 0.1, 0.2, 0.3]], [0], norm=True), Size(200, 400), Size(200, 400), "squash")
    assert rows[0, 1:5].tolist() == pytest.approx([40, 20, 80, 60])


def test_what_a_crop_cuts_away_for_the_most_part_is_gone():
    boxes = Boxes.of([[0, 50, 60, 90], [0, 50, 200, 90], [150, 50, 250, 90]], [0, 0, 1])
    rows = _placed(boxes, Size(200, 400), Size(100, 100), "short-side-centre-crop")
    assert rows[rows[:, 0] >= 0][:, 0].tolist() == [0, 1]
    assert rows[0, 1:5].tolist() == pytest.approx([0, 25, 50, 45])


def test_faulty_boxes_are_harmless():
    boxes = Boxes.of([[5, 5, 5, 5], [np.nan, 0, 3, 3], [30, 30, 10, 10], [900, 900, 950, 950]], [0, 0, 1, 0])
    rows = _placed(boxes, Size(100, 100), Size(100, 100))
    assert rows[rows[:, 0] >= 0].tolist() == [[1, 10, 10, 30, 30, 400, 0]]


def test_a_picture_without_boxes_is_a_row_of_none():
    array = TASK.array(
        TASK.place([Boxes.of()], [Size(9, 9)], [transform_of("squash", Size(9, 9), Size(9, 9))], Size(9, 9)),
        LABELS,
    )
    assert array.shape == (1, 1, 7)
    assert array[0, 0, 0] == -1


def test_answers_go_back_to_the_picture():
    picture, size = Size(200, 400), Size(100, 100)
    frame = Frame(transform_of("letterbox", picture, size), picture)
    outputs = np.zeros((1, 3, 6), np.float32)
    outputs[0, 0] = [10, 30, 20, 40, 0.9, 0.0]
    outputs[0, 1] = [90, 70, 130, 99, 0.0, 0.5]
    answer = TASK.decode((outputs,), LABELS, top=5, frame=frame)
    assert [box["box"] for box in answer.document["boxes"]] == [[40, 20, 80, 60], [360, 180, 400, 200]]
    assert answer.document["counts"] == {"ship": 1, "tank": 1}
    assert answer.row == {"count ship": "1", "count tank": "1"}
    json.dumps(answer.document)
    surer = TASK.doubted(answer, 0.8)
    assert surer.labels == ("ship",)
    assert surer.row == {"count ship": "1", "count tank": "0"}


def test_labels_that_nothing_bears_go():
    targets, labels = TASK.settle([Boxes.of([[0, 0, 9, 9]], [2]), Boxes.of()], ("a", "b", "c"), "here")
    assert labels == ("c",)
    assert targets[0].labels.tolist() == [0]
    with pytest.raises(DataError, match="here has 2 with boxes of 0 classes"):
        TASK.settle([Boxes.of(), Boxes.of()], ("a",), "here")


def test_an_unknown_class_stays_unknown_when_labels_go():
    targets, _ = TASK.settle([Boxes.of([[0, 0, 9, 9]] * 2, [2, -1]), Boxes.of()], ("a", "b", "c"), "here")
    assert targets[0].labels.tolist() == [0, -1]
