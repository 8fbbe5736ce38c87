"""Which pictures look alike: the same pattern at nearly the same brightness, in other bytes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gossamer.data.scan import exact_duplicates, near_duplicates, scan_files


@pytest.fixture
def write(tmp_path):
    """`write(name, brighter)`: one pattern of greys, brighter by so many levels."""
    pattern = np.random.default_rng(0).integers(60, 120, (64, 64), dtype=np.int64)

    def make(name, brighter=0):
        path = tmp_path / f"{name}.png"
        Image.fromarray((pattern + brighter).astype(np.uint8)).convert("RGB").save(path)
        return path

    return make


@pytest.mark.parametrize(("brighter", "alike"), [(1, True), (3, True), (6, False), (60, False)])
def test_the_same_pattern_is_alike_only_at_nearly_the_same_brightness(write, brighter, alike):
    scans = scan_files([write("first"), write("second", brighter)])
    assert (scans[0].gradient == scans[1].gradient).all()
    assert near_duplicates(scans) == ([(0, 1)] if alike else [])
    assert exact_duplicates(scans) == []


def test_the_same_bytes_are_exact_and_not_near(write):
    scans = scan_files([write("first"), write("second")])
    assert exact_duplicates(scans) == [[0, 1]]
    assert near_duplicates(scans) == []
