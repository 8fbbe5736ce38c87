"""Which pictures show the same: brightened, turned, cropped, one after another; and in how much time."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gossamer.data.alike import Clusters, alike_clusters
from gossamer.data.scan import scan_files

VIEWS = {
    "flip": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "down": lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "turn": lambda image: image.rotate(90),
    "back": lambda image: image.rotate(180),
    "crop": lambda image: image.crop((4, 4, 92, 92)).resize((96, 96)),
    "corner": lambda image: image.crop((5, 5, 96, 96)).resize((96, 96)),
    "bright": lambda image: image.point(lambda value: value * 0.7 + 60),
    "jpeg": lambda image: image,
}


def _scene(seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    return Image.fromarray(pixels).resize((96, 96), Image.Resampling.BICUBIC)


def _write(folder, images):
    paths = []
    for name, image in images.items():
        paths.append(folder / name)
        image.save(paths[-1])
    return scan_files(paths)


def test_clusters_join_through_others():
    clusters = Clusters(7)
    clusters.join(np.array([5, 1, 1]), np.array([3, 5, 0]))
    clusters.join(np.array([6]), np.array([4]))
    assert clusters.groups() == [[0, 1, 3, 5], [4, 6]]
    assert clusters.roots(np.array([3, 2])).tolist() == [0, 2]


@pytest.mark.parametrize("view", VIEWS)
def test_copies_are_found_among_others(tmp_path, view):
    images = {f"{i}.png": _scene(i) for i in range(12)}
    images["copy.jpg" if view == "jpeg" else "copy.png"] = VIEWS[view](_scene(3))
    assert alike_clusters(_write(tmp_path, images), turned=True) == [[3, 12]]


@pytest.mark.parametrize(
    ("view", "alike"), [("flip", True), ("crop", True), ("turn", False), ("down", False)]
)
def test_where_pictures_have_an_up_only_mirrors_are_looked_into(tmp_path, view, alike):
    scans = _write(tmp_path, {"a.png": _scene(1), "b.png": VIEWS[view](_scene(1))})
    assert alike_clusters(scans, turned=False) == ([[0, 1]] if alike else [])


def test_the_same_bytes_are_exact_and_not_near(tmp_path):
    assert alike_clusters(_write(tmp_path, {"a.png": _scene(1), "b.png": _scene(1)}), turned=True) == []


def test_pictures_of_one_colour_tell_nothing(tmp_path):
    scans = _write(tmp_path, {f"{grey}.png": Image.new("L", (32, 32), grey) for grey in (40, 120, 200)})
    assert alike_clusters(scans, turned=True) == []


def test_neighbours_by_name_come_together_though_the_ends_differ(tmp_path):
    wide = np.random.default_rng(0).integers(0, 255, (6, 40, 3), np.uint8)
    scene = Image.fromarray(wide).resize((640, 96), Image.Resampling.BICUBIC)
    frames = {f"{i:03}.png": scene.crop((i, 0, i + 96, 96)) for i in range(60)}
    scans = _write(tmp_path, frames)
    assert alike_clusters([scans[0], scans[59]], turned=False) == []
    assert alike_clusters(scans, turned=False) == [list(range(60))]


def _frames(folder, count, pattern):
    rng = np.random.default_rng(0)
    for i in range(count):
        pixels = pattern + rng.integers(-4, 5, (32, 32))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{i:05}.png")
    return scan_files(sorted(Path(folder).iterdir()))


def test_thousands_of_one_scene_are_one_cluster_in_no_time(tmp_path):
    scans = _frames(tmp_path, 2000, np.random.default_rng(1).integers(0, 255, (32, 32)))
    start = time.perf_counter()
    assert alike_clusters(scans, turned=True) == [list(range(2000))]
    assert time.perf_counter() - start < 5
