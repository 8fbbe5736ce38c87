"""Whatever boxes annotations hold, those to learn from are sound, in the picture, and stay as they are when taken again."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gossamer.tasks.detect.boxes import Boxes
from gossamer.tasks.detect.faults import faults, repaired
from gossamer.types import Size

SIDES = st.integers(1, 3000)
SIZES = st.builds(Size, SIDES, SIDES)
NUMBERS = st.one_of(st.floats(), st.floats(-10, 3010), st.integers(-2, 5).map(float))
ROWS = st.lists(st.tuples(*[NUMBERS] * 4, st.integers(-1, 2), st.booleans()), max_size=12)


def _boxes(rows, norm, size):
    return Boxes.of(
        [row[:4] for row in rows], [row[4] for row in rows], [row[5] for row in rows], norm=norm, size=size
    )


@given(ROWS, st.booleans(), st.none() | SIZES, SIZES)
def test_what_is_repaired_is_sound(rows, norm, size, picture):
    places, labels, crowd = repaired(_boxes(rows, norm, size), picture)
    assert len(places) == len(labels) == len(crowd) <= len(rows)
    assert np.isfinite(places).all()
    assert (places >= 0).all()
    assert (places <= [picture.width, picture.height] * 2).all()
    assert (places[:, 2:] > places[:, :2]).all()
    assert set(labels.tolist()) <= {0, 1, 2}
    assert len(
        {(*place, label) for place, label in zip(places.tolist(), labels.tolist(), strict=True)}
    ) == len(places)


@given(ROWS, st.booleans(), SIZES)
def test_repairing_twice_is_repairing_once(rows, norm, picture):
    once = repaired(_boxes(rows, norm, None), picture)
    again = repaired(Boxes.of(once.xyxy, once.labels, once.crowd, size=picture), picture)
    np.testing.assert_array_equal(again.xyxy, once.xyxy)
    np.testing.assert_array_equal(again.labels, once.labels)


@given(st.lists(st.tuples(ROWS, st.booleans(), st.none() | SIZES, st.none() | SIZES), max_size=4))
def test_faults_are_said_on_one_line_of_any_boxes(pictures):
    targets = [_boxes(rows, norm, size) for rows, norm, size, _ in pictures]
    names = [f"{i}.jpg" for i in range(len(targets))]
    remarks = faults(targets, ("a", "b"), [shown for *_, shown in pictures], names)
    assert len({remark.code for remark in remarks}) == len(remarks)
    assert all("\n" not in remark.message and len(remark.message) < 400 for remark in remarks)


@given(ROWS, SIZES)
def test_what_is_said_to_be_without_fault_is_left_as_it_is(rows, picture):
    boxes = _boxes(rows, False, None)
    codes = {remark.code for remark in faults([boxes], ("a", "b", "c"), [picture], ["x.jpg"])}
    if not codes & {
        "nan-box",
        "zero-box",
        "swapped-box",
        "outside-box",
        "cut-box",
        "unknown-class",
        "same-box",
    }:
        places = repaired(boxes, picture).xyxy
        assert len(places) == len(rows)
        np.testing.assert_allclose(places, boxes.xyxy, atol=0.5)
