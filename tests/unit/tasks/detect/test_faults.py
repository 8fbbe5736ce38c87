"""What is wrong with boxes is said, with its file, and what is left is fit to learn from."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.tasks.detect.boxes import Boxes
from gossamer.tasks.detect.faults import faults, repaired, small_share
from gossamer.types import Size

HD = Size(100, 200)
INF, NAN = float("inf"), float("nan")


def _said(targets, *, labels=("car", "tree"), sizes=None, **options):
    """Code -> remark."""
    names = [f"{i}.jpg" for i in range(len(targets))]
    remarks = faults(targets, labels, [HD] * len(targets) if sizes is None else sizes, names, **options)
    assert len({remark.code for remark in remarks}) == len(remarks)
    assert all("\n" not in remark.message for remark in remarks)
    return {remark.code: remark for remark in remarks}


def _many(count=40):
    """A target with boxes of two labels that nothing is wrong with."""
    places = [(4 * i, 3 * (i % 20), 4 * i + 30, 3 * (i % 20) + 30) for i in range(count)]
    return Boxes.of(places, [i % 2 for i in range(count)])


def test_nothing_is_said_of_sound_boxes():
    assert _said([_many()]) == {}
    assert faults([], ("a",)) == []


@pytest.mark.parametrize(
    ("place", "code", "words"),
    [
        ((10, 10, 10, 40), "zero-box", "1 box of 1.jpg without width or height (10, 10, 10, 40)"),
        ((10, NAN, 20, 40), "nan-box", "1 box of 1.jpg with corners that are no numbers"),
        ((10, 10, INF, 40), "nan-box", "no numbers"),
        ((40, 10, 10, 40), "swapped-box", "right before left"),
        ((10, 40, 40, 10), "swapped-box", "bottom above top"),
        ((250, 10, 290, 40), "outside-box", "wholly outside of the picture (250, 10, 290, 40)"),
        ((-50, 10, -1, 40), "outside-box", "pixels or shares"),
        ((180, 10, 207, 40), "cut-box", "by up to 7 pixels"),
        ((10, -3, 50, 40), "cut-box", "by up to 3 pixels"),
        ((10, 10, 11.5, 40), "tiny-box", "under 2 pixels"),
        ((10, 10, 180, 22), "long-box", "over 10 times as long as wide"),
    ],
)
def test_a_faulty_box_is_named_with_its_file(place, code, words):
    said = _said([_many(), Boxes.of([place], [0])])
    assert code in said
    assert words in said[code].message
    assert "1.jpg" in said[code].message


def test_rounding_at_the_border_is_no_fault():
    assert _said([_many(), Boxes.of([(-0.3, 0, 40, 100.4)], [0])]) == {}


def test_shares_are_measured_in_their_picture():
    boxes = Boxes.of([(0.5, 0.5, 1.1, 0.9)], [0], norm=True)
    assert "by up to 20 pixels" in _said([_many(), boxes])["cut-box"].message
    unknown = faults([_many(), boxes], ("car", "tree"))
    assert [remark.code for remark in unknown] == []


def test_boxes_on_top_of_each_other():
    twice = Boxes.of([(10, 10, 60, 60), (10, 10, 60, 61), (10, 10, 60, 60)], [0, 0, 1])
    assert _said([_many(), twice])["same-box"].message.startswith("1 box of 1.jpg on top of another")
    apart = Boxes.of([(10, 10, 60, 60), (10, 10, 60, 64)], [0, 0])
    assert "same-box" not in _said([_many(), apart])


def test_very_many_boxes_of_one_picture_are_looked_at_in_time():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 5000, (60_000, 2))
    places = np.concatenate([corners, corners + rng.uniform(10, 40, corners.shape)], 1)
    places = np.concatenate([places, places[:7]])
    said = _said([_many(), Boxes.of(places, np.zeros(len(places)))], sizes=[HD, Size(5100, 5100)])
    assert said["same-box"].message.startswith("7 boxes of 1.jpg")
    assert "1.jpg has 60,007" in said["crowded"].message


def test_classes():
    said = _said([_many(), Boxes.of([(10, 10, 60, 60)] * 2, [-1, 7])])
    assert said["unknown-class"].message.startswith("2 boxes of 1.jpg of a class that has no name")
    assert said["unknown-class"].severity == "error"
    few = [_many(), Boxes.of([(10, 10, 60, 60)], [2])]
    assert "'boat' 1" in _said(few, labels=("car", "tree", "boat"))["tiny-class"].message
    assert "imbalance" not in _said(few, labels=("car", "tree", "boat"))
    more = [_many(), Boxes.of([(10 + i, 10, 60 + i, 60) for i in range(0, 120, 4)] * 30, [0] * 900)]
    assert "'car' has 46 times the boxes of 'tree'" in _said(more)["imbalance"].message


def test_pictures_without_boxes_are_kept_and_named():
    said = _said([_many(), Boxes.of(), Boxes.of()])
    assert said["no-boxes"].severity == "note"
    assert said["no-boxes"].message.startswith("2 pictures have no boxes, 1.jpg first")


def test_small_boxes_are_told_with_the_input_that_they_need():
    small = Boxes.of([(10 * i, 0, 10 * i + 6, 6) for i in range(20)], [0] * 20)
    said = _said([_many(30), small], side=200)["small-boxes"]
    assert said.message.startswith("40% of your boxes are under 8 px at 200 px")
    assert "(288 px leaves 10%)" in said.message
    assert said.severity == "warning"
    assert "small-boxes" not in _said([_many(30), small], side=300)
    assert small_share([_many(30), small], [HD, HD], 200) == pytest.approx(20 / 50)
    assert small_share([], [], 320) == 0.0


def test_sizes_that_the_annotations_tell_otherwise():
    turned = Boxes.of([(150, 10, 190, 30)], [0], size=Size(100, 200))
    said = _said([_many(), turned], sizes=[HD, Size(200, 100)])
    assert said["turned-boxes"].message.startswith(
        "1 picture has another size than the annotations tell, 1.jpg is 200x100 and not 100x200"
    )
    assert "outside-box" not in said
    larger = Boxes.of([(300, 20, 380, 60)], [0], size=Size(200, 400))
    assert set(_said([_many(), larger])) == {"scaled-boxes"}
    other = Boxes.of([(20, 20, 80, 60)], [0], size=Size(300, 100))
    assert set(_said([_many(), other])) == {"other-size"}


class TestRepaired:
    def test_what_is_sound_stays_as_it_is(self):
        boxes = _many()
        result = repaired(boxes, HD)
        inside = np.clip(boxes.xyxy, 0, [200, 100, 200, 100])
        np.testing.assert_array_equal(result.xyxy, inside)
        np.testing.assert_array_equal(result.labels, boxes.labels)
        assert not result.crowd.any()

    def test_what_cannot_be_learned_from_is_left_out(self):
        places = [
            (1, 2, 30, 40), (5, 5, 5, 9), (NAN, 1, 2, 3), (-9, 0, 0, 9), (200, 0, 220, 9), (0, INF, 3, 4), (1, 2, 3, 4),
            (-1e308, -1e308, 1e308, 1e308), (1, 2, 30, 40),
        ]  # fmt: skip
        result = repaired(Boxes.of(places, [0, 0, 0, 0, 0, 0, -1, 1, 0], [0, 0, 0, 0, 0, 0, 0, 1, 0]), HD)
        assert result.xyxy.tolist() == [[1, 2, 30, 40], [0, 0, 200, 100]]
        assert result.labels.tolist() == [0, 1]
        assert result.crowd.tolist() == [False, True]

    def test_swapped_corners_are_put_right(self):
        assert repaired(Boxes.of([(30, 40, 1, 2)], [0]), HD).xyxy.tolist() == [[1, 2, 30, 40]]

    def test_equal_places_of_two_labels_are_two(self):
        assert repaired(Boxes.of([(1, 2, 30, 40)] * 3, [1, 0, 1]), HD).labels.tolist() == [1, 0]

    def test_none_of_none(self):
        result = repaired(Boxes.of(), HD)
        assert result.xyxy.shape == (0, 4)
        assert result.labels.dtype == np.int64

    def test_shares(self):
        assert repaired(Boxes.of([(0.1, 0.1, 0.5, 0.5)], [0], norm=True), HD).xyxy.tolist() == [
            [20, 10, 100, 50]
        ]

    def test_a_turned_frame_is_turned_clockwise(self):
        """A picture of 100x200 that is shown as 200x100: its top left pixel comes to the top right."""
        boxes = Boxes.of([(0, 0, 20, 10), (180, 90, 200, 100)], [0, 0], size=HD)
        assert repaired(boxes, Size(200, 100)).xyxy.tolist() == [[90, 0, 100, 20], [0, 180, 10, 200]]

    def test_boxes_that_fit_the_picture_alone_are_not_turned(self):
        boxes = Boxes.of([(10, 150, 20, 190)], [0], size=HD)
        assert repaired(boxes, Size(200, 100)).xyxy.tolist() == [[10, 150, 20, 190]]

    def test_pictures_that_were_made_smaller(self):
        assert repaired(Boxes.of([(100, 20, 380, 60)], [0], size=Size(200, 400)), HD).xyxy.tolist() == [
            [50, 10, 190, 30]
        ]
