"""Tiles: what is cut, and what a person may write."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.geo.windows import Tiling, Window, count_of, parse_overlap, windows_of
from gossamer.types import Size


def test_a_small_picture_is_one_tile():
    assert list(windows_of(Size(30, 40), Tiling(64, 16))) == [Window(0, 0, 40, 30)]


def test_the_last_tiles_end_at_the_edge():
    windows = list(windows_of(Size(100, 64), Tiling(64, 16)))
    assert windows == [Window(0, 0, 64, 64), Window(0, 36, 64, 64)]


@given(st.integers(1, 300), st.integers(1, 300), st.integers(8, 120), st.floats(0, 0.95))
def test_every_pixel_is_covered_and_neighbours_share_the_overlap(height, width, tile, share):
    tiling = Tiling(tile, min(tile - 1, round(share * tile)))
    seen = np.zeros((height, width), np.int64)
    windows = list(windows_of(Size(height, width), tiling))
    for window in windows:
        assert 0 <= window.left < window.right <= width
        assert 0 <= window.top < window.bottom <= height
        assert window.width == min(tile, width)
        seen[window.top : window.bottom, window.left : window.right] += 1
    assert seen.min() >= 1
    assert len(windows) == count_of(Size(height, width), tiling)
    lefts = sorted({window.left for window in windows})
    assert all(a + tile - b >= tiling.overlap for a, b in itertools.pairwise(lefts))


def test_an_overlap_is_pixels_or_a_share():
    assert parse_overlap("64", 512) == 64
    assert parse_overlap("25%", 512) == 128
    assert parse_overlap("0.25", 512) == 128
    assert parse_overlap(0, 512) == 0
    assert parse_overlap("99.9%", 512) == 511


@pytest.mark.parametrize(
    ("overlap", "message"),
    [
        ("512", "a tile is larger than the overlap, got a tile of 512 and an overlap of 512"),
        ("-1", "a tile is larger than the overlap"),
        ("nan", "a tile is larger than the overlap"),
        ("half", "an overlap is pixels or a share, got 'half'; use e.g. 64 or 20%"),
    ],
)
def test_other_overlaps_are_refused(overlap, message):
    with pytest.raises(DataError, match=message):
        Tiling.of(512, overlap)


def test_a_tile_of_nothing_is_refused():
    with pytest.raises(DataError, match="a tile has at least 8 pixels a side, got 7"):
        Tiling.of(7)
