"""The file of teacher scores: what is read back, what a kill leaves, when it starts anew."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from gossamer.train.score_cache import ScoreCache, make_room

CLASSES = 3


def _cache(path, key="a", *, batch=4, **rest):
    return ScoreCache(path / "scores.f16", steps=3, batch=batch, width=CLASSES, key=key, **rest)


def test_scores_within_float16(tmp_path):
    cache = _cache(tmp_path)
    scores = np.array([[1.2345678, -70000.0, 1e-3]], np.float32)
    kept = cache.write(0, 3, scores)
    np.testing.assert_allclose(kept, [[1.2345678, -65504.0, 1e-3]], rtol=1e-3)
    np.testing.assert_array_equal(cache.read(0, 3, 1), kept)
    assert cache.read(0, 2, 2) is None
    assert cache.read(1, 0, 1) is None


def test_a_row_that_was_half_written_is_not_used(tmp_path):
    _cache(tmp_path).write(0, 0, np.ones((4, CLASSES), np.float32))
    scores = np.memmap(tmp_path / "scores.f16", np.float16, "r+", shape=(3, 4, CLASSES))
    assert np.isnan(scores[1:]).all()
    scores[1, 0, :2] = 1  # killed within the row
    scores[1, 1] = 1  # killed between the row and its byte
    scores.flush()
    cache = _cache(tmp_path)
    assert cache.read(0, 0, 4) is not None
    assert cache.read(1, 0, 1) is None
    assert cache.read(1, 1, 1) is None


@pytest.mark.parametrize("damage", ["key", "batch", "json", "short", "lost"])
def test_another_key_or_damage_starts_anew(tmp_path, damage):
    _cache(tmp_path).write(0, 0, np.ones((4, CLASSES), np.float32))
    if damage == "json":
        (tmp_path / "scores.f16.json").write_text("{")
    elif damage == "short":
        (tmp_path / "scores.f16").write_bytes(b"ab")
    elif damage == "lost":
        (tmp_path / "scores.f16.done").unlink()
    cache = _cache(tmp_path, key="b" if damage == "key" else "a", batch=6 if damage == "batch" else 4)
    assert cache.read(0, 0, 1) is None
    assert cache.note == ""
    cache.write(0, 0, np.ones((4, CLASSES), np.float32))
    assert cache.read(0, 0, 4) is not None


def test_a_cache_that_would_be_too_large_is_none(tmp_path):
    cache = _cache(tmp_path, most_bytes=3 * 4 * 7 - 1)
    assert cache.note.startswith("teacher scores are not kept: 3 steps of 4 pictures take 0.00 GB, at most")
    assert list(tmp_path.iterdir()) == []
    scores = np.full((4, CLASSES), 1 / 3, np.float32)
    assert np.array_equal(cache.write(0, 0, scores), scores)
    assert cache.read(0, 0, 4) is None
    assert _cache(tmp_path, most_bytes=3 * 4 * 7).note == ""


def test_a_cache_that_cannot_be_written_is_none(tmp_path):
    (tmp_path / "file").write_text("")
    cache = _cache(tmp_path / "file")
    assert cache.note.startswith("teacher scores are not kept: cannot write ")
    assert cache.read(0, 0, 1) is None


@pytest.mark.parametrize(("step", "start", "count"), [(3, 0, 1), (0, 3, 2)])
def test_pictures_beyond_the_cache_are_computed(tmp_path, step, start, count):
    cache = _cache(tmp_path)
    scores = np.ones((count, CLASSES), np.float32)
    assert np.array_equal(cache.write(step, start, scores), scores)
    assert cache.read(step, start, count) is None


def test_what_a_cache_is_of_lies_beside_it(tmp_path):
    _cache(tmp_path, key="resnet18 seed 3")
    about = json.loads((tmp_path / "scores.f16.json").read_text())
    assert about == {"key": "resnet18 seed 3", "steps": 3, "batch": 4, "width": CLASSES}


def test_room_is_made_by_what_was_used_longest_ago(tmp_path):
    for age, name in enumerate(("new", "middle", "old")):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    make_room(tmp_path, most_bytes=200)
    assert {file.name for file in tmp_path.iterdir()} == {"new", "middle"}
    make_room(tmp_path / "none", most_bytes=200)
