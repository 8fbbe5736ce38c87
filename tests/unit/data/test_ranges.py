"""Black and white of pictures of more than 8 bits: one range for a set, hot pixels and odd pictures left out."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.data.ranges import Levels, ValueRange, levels_of, range_of, to_bytes


def test_levels_leave_out_a_thousandth_at_each_end():
    values = np.arange(10_000, dtype=np.uint16)
    values[-1] = 65535
    assert levels_of(values) == Levels(9.0, 9990.0, True)


def test_levels_of_what_holds_no_number():
    assert levels_of(np.array([np.nan, np.inf], np.float32)) == Levels(0.0, 0.0, False)


@pytest.mark.parametrize(
    ("high", "whole", "white"),
    [
        (13, True, 255), (256, True, 1023), (3900, True, 4095), (4096, True, 16383), (60_000, True, 65535),
        (70_000, True, 70_000), (0.4, False, 1), (1.05, False, 1), (1.5, False, 255), (200, False, 255), (1000, False, 1000),
    ],
)  # fmt: skip
def test_white_is_the_end_of_the_smallest_range_that_holds_them(high, whole, white):
    assert range_of([Levels(0.0, float(high), whole)]) == ValueRange(0.0, white)


def test_one_range_holds_for_all_and_an_odd_picture_does_not_decide():
    levels = [Levels(0.0, 300.0 + 10 * i, True) for i in range(200)]
    assert range_of(levels) == ValueRange(0.0, 4095.0)
    assert range_of([*levels, Levels(0.0, 65535.0, True)]) == ValueRange(0.0, 4095.0)


def test_negative_values_move_black():
    assert range_of([Levels(-30.0, -2.0, False)]) == ValueRange(-30.0, -2.0)
    assert range_of([Levels(-1.0, -1.0, False)]) == ValueRange(-1.0, 0.0)


def test_values_outside_are_cut_off_and_what_is_no_number_is_black():
    values = np.array([-5.0, 0.0, 50.0, 100.0, 1e9, np.nan, np.inf])
    assert to_bytes(values, ValueRange(0.0, 100.0)).tolist() == [0, 0, 128, 255, 255, 0, 0]
