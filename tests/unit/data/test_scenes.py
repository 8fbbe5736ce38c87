"""The made-up aerial pictures: the same everywhere, written whole, and not told apart by pixels alone."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gossamer.data.scenes import CLASSES, render, write
from gossamer.errors import DataError, RunFolderError

DIGESTS = """
import hashlib
from gossamer.data.scenes import CLASSES, render
print(*[hashlib.sha256(render(label, 5, 48).tobytes()).hexdigest() for label in CLASSES])
"""


def _files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _small_set(per_class):
    """Pictures of 24 pixels shrunk to 12, flat, with their class indices."""
    pictures, labels = [], []
    for index, label in enumerate(CLASSES):
        for seed in range(per_class):
            shrunk = render(label, seed, 24).reshape(12, 2, 12, 2, 3).mean(axis=(1, 3))
            pictures.append(shrunk.ravel() / 255)
            labels.append(index)
    return np.array(pictures), np.array(labels)


def test_classes_are_the_eight_in_alphabetical_order():
    assert CLASSES == (
        "airfield", "farmland", "forest", "industry", "parking", "residential", "river", "shore",
    )  # fmt: skip


@pytest.mark.parametrize("label", CLASSES)
@pytest.mark.parametrize("size", [16, 33, 96])
def test_a_picture_is_rgb_bytes_of_that_size_and_not_flat(label, size):
    picture = render(label, 3, size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 8
    assert 50 < picture.mean() < 190


@pytest.mark.parametrize("label", CLASSES)
def test_every_kind_of_picture_renders_without_a_numeric_warning(label):
    means = [render(label, seed, 20).mean() for seed in range(40)]
    assert np.std(means) > 3


@pytest.mark.parametrize("label", CLASSES)
def test_the_seed_decides_the_picture(label):
    first = render(label, 1, 48)
    np.testing.assert_array_equal(first, render(label, 1, 48))
    assert np.abs(first.astype(int) - render(label, 2, 48)).mean() > 4


def test_another_process_makes_the_same_bytes():
    here = [hashlib.sha256(render(label, 5, 48).tobytes()).hexdigest() for label in CLASSES]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "PYTHONHASHSEED": "7",
    }
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == here


def test_the_state_of_the_global_generator_is_left_alone():
    np.random.seed(4)
    before = np.random.get_state()[1].copy()
    render("river", 0, 32)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_an_unknown_class_names_the_nearest():
    with pytest.raises(DataError, match=r"one of 8 classes, got 'forrest'; did you mean 'forest'\?"):
        render("forrest", 0)


@pytest.mark.parametrize("size", [15, 0, -4])
def test_a_picture_too_small_to_show_anything_is_refused(size, tmp_path):
    with pytest.raises(DataError, match=f"at least 16 pixels wide, got size={size}; use 96"):
        render("forest", 0, size)
    with pytest.raises(DataError, match=f"at least 16 pixels wide, got size={size}; use 96"):
        write(tmp_path / "set", 1, size)
    assert list(tmp_path.iterdir()) == []


def test_write_makes_a_folder_a_class_and_returns_the_count(tmp_path):
    folder = tmp_path / "deep" / "set"
    assert write(folder, per_class=3, size=24) == 24
    assert sorted(p.name for p in folder.iterdir()) == list(CLASSES)
    assert _files(folder) == [f"{label}/{label}_{k:04d}.jpg" for label in CLASSES for k in range(3)]
    assert [p.name for p in folder.parent.iterdir()] == ["set"]
    with Image.open(folder / "forest" / "forest_0002.jpg") as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (24, 24))


def test_write_is_the_same_for_a_seed_and_another_for_another(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write(tmp_path / name, per_class=2, size=24, seed=seed)
    same, other = (
        [
            (tmp_path / "a" / f).read_bytes() == (tmp_path / name / f).read_bytes()
            for f in _files(tmp_path / "a")
        ]
        for name in ("b", "c")
    )
    assert all(same)
    assert not any(other)


def test_a_larger_set_begins_with_the_smaller_one(tmp_path):
    write(tmp_path / "small", per_class=1, size=24)
    write(tmp_path / "large", per_class=2, size=24)
    for file in _files(tmp_path / "small"):
        assert (tmp_path / "small" / file).read_bytes() == (tmp_path / "large" / file).read_bytes()


def test_write_fills_an_empty_folder_and_refuses_a_full_one(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    assert write(folder, per_class=1, size=16) == 8
    with pytest.raises(DataError, match=r"go into a new or empty folder, got .*set; name another"):
        write(folder, per_class=1, size=16)
    assert len(_files(folder)) == 8


def test_write_refuses_a_set_without_pictures(tmp_path):
    with pytest.raises(DataError, match="at least 1 picture a class, got 0"):
        write(tmp_path / "set", per_class=0)


def test_a_set_that_fails_half_way_leaves_nothing_behind(tmp_path, monkeypatch):
    saved = []

    def full_disk(self, path, **options):
        saved.append(path)
        if len(saved) == 3:
            raise OSError(28, "No space left on device")
        path.write_bytes(b"")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(RunFolderError, match="the disk is full"):
        write(tmp_path / "set", per_class=2, size=16)
    assert len(saved) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_linear_classifier_on_pixels_fails():
    features, labels = _small_set(40)
    train = np.tile(np.arange(40) < 28, len(CLASSES))
    features = np.hstack([(features - features[train].mean(axis=0)), np.ones((len(features), 1))])
    kernel = features[train] @ features[train].T
    targets = np.eye(len(CLASSES))[labels[train]]
    best = 0.0
    for ridge in (0.1, 1.0, 10.0, 100.0):
        weights = features[train].T @ np.linalg.solve(kernel + ridge * np.eye(len(kernel)), targets)
        best = max(best, float((np.argmax(features[~train] @ weights, axis=1) == labels[~train]).mean()))
    assert best < 0.5


def test_brightness_and_tint_do_not_tell_the_class():
    tones = np.array([[render(label, seed, 16).mean(axis=(0, 1)) for seed in range(40)] for label in CLASSES])
    train, test = tones[:, :28], tones[:, 28:]
    distance = np.linalg.norm(test[:, :, None] - train.mean(axis=1), axis=-1)
    assert (distance.argmin(axis=-1) == np.arange(len(CLASSES))[:, None]).mean() < 0.4
