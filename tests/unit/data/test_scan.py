"""Opening every file once: what is kept of each, and copies by their bytes."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from gossamer.data.scan import exact_duplicates, scan_files


def test_the_same_bytes_are_exact_copies(pictures):
    root = pictures({"a": 2})
    paths = sorted(root.rglob("*.png"))
    copy = root / "a" / "copy.png"
    copy.write_bytes(paths[1].read_bytes())
    assert exact_duplicates(scan_files([*paths, copy])) == [[1, 2]]


def test_views_are_the_picture_without_its_edges(tmp_path):
    image = Image.new("L", (200, 200), 200)
    image.paste(40, (10, 10, 190, 190))  # an edge of 5 %
    image.save(tmp_path / "x.png")
    (scan,) = scan_files([tmp_path / "x.png"])
    assert scan.views.shape == (7, 16, 16)
    assert scan.views[0].max() > 100
    assert scan.views[2].max() < 70


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_file_is_a_problem_and_no_wait(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    paths = [tmp_path / name for name in ("pipe.png", "folder.png", "gone.png")]
    problems = [scan.problem for scan in scan_files(paths)]
    assert "pipe" in problems[0]
    assert "directory" in problems[1]
    assert problems[2].startswith("no such picture")


def test_levels_are_those_of_pictures_of_more_than_8_bits(tmp_path, draw):
    draw(1).save(tmp_path / "a.png")
    Image.fromarray(np.arange(4000, dtype=np.uint16).reshape(40, 100)).save(tmp_path / "b.png")
    plain, wide = scan_files([tmp_path / "a.png", tmp_path / "b.png"])
    assert plain.levels is None
    assert wide.levels is not None
    assert (wide.levels.low, wide.levels.high, wide.levels.whole) == (3.0, 3996.0, True)
