"""Resize rules: what is taken, what is filled, and the transform that takes boxes there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gossamer.data.geometry import FITS, GREY, fit_picture, fit_values, transform_of
from gossamer.errors import DataError
from gossamer.types import RESIZE_RULES, Size

SIDES = st.integers(1, 300)


def test_the_names_are_those_of_the_table():
    assert tuple(FITS) == RESIZE_RULES


@given(st.sampled_from(["short-side-centre-crop", "squash", "letterbox"]), SIDES, SIDES, SIDES, SIDES)
def test_boxes_come_back_through_the_same_transform(rule, height, width, down, across):
    transform = transform_of(rule, Size(height, width), Size(down, across))
    boxes = np.array([[0, 0, width, height], [0.25 * width, 0.5 * height, 0.75 * width, height]])
    moved = transform.boxes_to_input(boxes)
    assert moved.shape == (2, 4)
    assert np.allclose(transform.boxes_to_picture(moved), boxes, atol=1e-6)
    assert transform.boxes_to_input(np.zeros((0, 4))).shape == (0, 4)


@given(st.sampled_from(["short-side-centre-crop", "squash", "letterbox"]), SIDES, SIDES, SIDES, SIDES)
def test_what_is_filled_lies_in_the_input_and_what_is_taken_in_the_picture(rule, height, width, down, across):
    fit = FITS[rule](Size(height, width), Size(down, across))
    left, top, right, bottom = fit.taken
    assert -1e-9 <= left < right <= width + 1e-9
    assert -1e-9 <= top < bottom <= height + 1e-9
    x, y, x_end, y_end = fit.filled
    assert 0 <= x < x_end <= across
    assert 0 <= y < y_end <= down
    if rule != "letterbox":
        assert fit.filled == (0, 0, across, down)
    if rule != "short-side-centre-crop":
        assert fit.taken == (0, 0, width, height)


@pytest.mark.parametrize(
    ("rule", "box"),
    [
        ("short-side-centre-crop", (-40, 0, 120, 80)),  # 100 of 200 columns are in view, 0.8 a pixel
        ("squash", (0, 0, 80, 80)),
        ("letterbox", (0, 20, 80, 60)),
    ],
)
def test_the_whole_of_a_wide_picture_in_a_square(rule, box):
    """A picture of 100 x 200 in an input of 80 x 80."""
    transform = transform_of(rule, Size(100, 200), Size(80, 80))
    assert transform.boxes_to_input(np.array([[0, 0, 200, 100]])).tolist() == [list(box)]


@pytest.mark.parametrize(
    ("rule", "box"),
    [
        ("short-side-centre-crop", (0, -40, 80, 120)),
        ("squash", (0, 0, 80, 80)),
        ("letterbox", (20, 0, 60, 80)),
    ],
)
def test_the_whole_of_a_tall_picture_in_a_square(rule, box):
    """A picture of 200 x 100 in an input of 80 x 80."""
    transform = transform_of(rule, Size(200, 100), Size(80, 80))
    assert transform.boxes_to_input(np.array([[0, 0, 100, 200]])).tolist() == [list(box)]


@pytest.mark.parametrize("rule", ["short-side-centre-crop", "squash", "letterbox"])
def test_a_mark_in_the_picture_lands_where_the_transform_says(rule):
    picture = Image.new("RGB", (120, 60), (0, 0, 0))
    picture.paste((255, 255, 255), (60, 24, 72, 36))
    shown = np.asarray(fit_picture(picture, Size(90, 90), rule)).mean(2) > 200
    rows, columns = np.nonzero(shown)
    wanted = transform_of(rule, Size(60, 120), Size(90, 90)).boxes_to_input(np.array([[60, 24, 72, 36]]))[0]
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert np.abs(np.array(found) - wanted).max() <= 1.0


def test_beside_a_letterboxed_picture_it_is_grey():
    picture = Image.new("RGB", (40, 20), (250, 0, 0))
    shown = np.asarray(fit_picture(picture, Size(32, 32), "letterbox"))
    assert (shown[:8] == GREY).all()
    assert (shown[-8:] == GREY).all()
    assert (shown[8:24] == (250, 0, 0)).all()


def test_values_are_moved_as_bytes_are_and_stand_beside_their_own_mean():
    values = np.random.default_rng(0).normal(5, 1, (20, 40, 4)).astype(np.float32)
    shown = fit_values(values, Size(16, 16), "letterbox")
    assert shown.shape == (16, 16, 4)
    assert np.allclose(shown[0, 0], values.mean((0, 1)), atol=1e-4)
    plain = fit_values(values, Size(20, 40), "squash")
    assert np.array_equal(plain, values)


def test_none_takes_pictures_of_the_right_size_alone():
    picture = Image.new("RGB", (40, 20), (9, 8, 7))
    assert fit_picture(picture, Size(20, 40), "none").size == (40, 20)
    with pytest.raises(
        DataError, match=r"^the resize rule none takes pictures of 20x20 pixels as they are, got 20x40"
    ):
        fit_picture(picture, Size(20, 20), "none")


@given(SIDES, SIDES, st.integers(1, 64))
def test_a_square_takes_the_middle_square(height, width, side):
    fit = FITS["short-side-centre-crop"](Size(height, width), Size(side, side))
    short = min(height, width)
    left, top = (width - short) / 2, (height - short) / 2
    assert fit.taken == (left, top, left + short, top + short), "to the last bit: figures hang on it"


def test_a_centre_crop_has_the_shape_of_the_input():
    assert FITS["short-side-centre-crop"](Size(90, 100), Size(10, 20)).taken == (0, 20, 100, 70)
    assert FITS["short-side-centre-crop"](Size(100, 90), Size(20, 10)).taken == (20, 0, 70, 100)
