"""What makes test figures promise too much: cameras, copies, sites and films, told in a few lines."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
from PIL import Image

from gossamer.data.check import check
from gossamer.errors import DataError


def _scene(seed, side=64):
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)


def _frames(folder, seed, count):
    """A camera that does not move: one scene, a little noise."""
    folder.mkdir(parents=True, exist_ok=True)
    scene, rng = np.asarray(_scene(seed)).astype(int), np.random.default_rng(seed + 1)
    for i in range(count):
        noisy = (scene + rng.integers(-3, 4, scene.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{i:03}.png")


def _others(folder, seed, count):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        _scene(1000 * seed + i).save(folder / f"other{i:03}.png")


def _of(report, code):
    return [f for f in report.findings if f.code == code]


def _splits(report, start):
    return {
        name
        for name in ("train", "val", "test")
        for i in report.split.of(name)
        if report.dataset.relative(report.dataset.samples[i]).startswith(start)
    }


def test_frames_of_one_camera_stay_together_and_are_one_finding(tmp_path):
    for seed, label in enumerate("ab"):
        _frames(tmp_path / label, seed, 40)
        _others(tmp_path / label, seed + 1, 40)
    report = check(tmp_path)
    found = _of(report, "near-duplicate")
    assert [len(f.files) for f in found] == [40, 40]
    assert all("--groups FILE.csv:COLUMN" in f.message for f in found)
    for label in "ab":
        assert len(_splits(report, f"{label}/0")) == 1
    assert report.counts()["a"] == {"train": 48, "val": 16, "test": 16}


def test_a_class_of_one_scene_is_parted_in_runs_and_told(tmp_path):
    """All of it in one split would leave nothing to test; the price is said."""
    _frames(tmp_path / "a", 0, 450)
    _others(tmp_path / "b", 5, 60)
    report = check(tmp_path)
    (finding,) = _of(report, "alike-class")
    assert (finding.severity, len(finding.files)) == ("error", 450)
    assert "450 pictures look alike, nearly all of 'a'" in finding.message
    assert "--groups FILE.csv:COLUMN" in finding.message
    assert report.counts()["a"] == {"train": 270, "val": 90, "test": 90}
    where = [
        name
        for _, name in sorted(
            (report.dataset.relative(report.dataset.samples[i]), name)
            for name in ("train", "val", "test")
            for i in report.split.of(name)
        )
    ][:450]
    assert sum(a != b for a, b in itertools.pairwise(where)) <= 4


@pytest.mark.parametrize("view", ["flip", "turn", "crop"])
def test_views_of_a_picture_stay_with_it(tmp_path, view):
    make = {
        "flip": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "turn": lambda image: image.rotate(90),
        "crop": lambda image: image.crop((3, 3, 61, 61)).resize((64, 64)),
    }[view]
    for seed, label in enumerate("ab"):
        _others(tmp_path / label, seed + 1, 20)
        for i in range(20):
            make(_scene(1000 * (seed + 1) + i)).save(tmp_path / label / f"view{i:03}.png")
    report = check(tmp_path)
    assert 0.7 <= report.upright <= 1.4
    pairs = {(f"{label}/other{i:03}.png", f"{label}/view{i:03}.png") for label in "ab" for i in range(20)}
    found = {f.files for f in _of(report, "near-duplicate")}
    assert found <= pairs
    assert len(found) >= (38 if view == "crop" else 40)


def test_sites_in_several_splits_suggest_groups(tmp_path):
    for seed, label in enumerate("ab"):
        for site in range(4):
            _others(tmp_path / label / f"site{site}{label}", 10 * seed + site, 6)
    report = check(tmp_path)
    (finding,) = _of(report, "spread-folders")
    assert "--groups folder" in finding.message
    assert finding.message.startswith(f"{len(finding.files)} of 8 folders")
    assert _of(check(tmp_path, groups="folder"), "spread-folders") == []


def test_a_slow_pan_suggests_groups(tmp_path):
    for seed, label in enumerate("ab"):
        (tmp_path / label).mkdir()
        wide = np.random.default_rng(seed).integers(0, 255, (6, 60, 3), np.uint8)
        scene = Image.fromarray(wide).resize((960, 96), Image.Resampling.BICUBIC)
        for i in range(40):
            scene.crop((6 * i, 0, 6 * i + 96, 96)).save(tmp_path / label / f"{i:03}.png")
    (finding,) = _of(check(tmp_path), "frames")
    assert finding.files == ("a", "b")
    assert "--groups FILE.csv:COLUMN" in finding.message


def test_pictures_in_no_order_are_no_film(tmp_path):
    for seed, label in enumerate("ab"):
        _others(tmp_path / label, seed, 40)
    assert _of(check(tmp_path), "frames") == []


def test_too_many_look_alikes_of_a_given_split_are_kept_and_told(tmp_path):
    for seed, label in enumerate("ab"):
        for split in ("train", "val", "test"):
            _frames(tmp_path / split / label, seed, 20 if split == "train" else 8)
            for i, path in enumerate(sorted((tmp_path / split / label).iterdir())):
                image = np.asarray(Image.open(path)).copy()
                image[i % 64, len(split)] ^= 255
                Image.fromarray(image).save(path)
    report = check(tmp_path)
    (finding,) = _of(report, "leak")
    assert (finding.severity, len(finding.files)) == ("error", 40)
    assert len(report.split.train) == 40


def test_one_group_for_everything_says_what_keeps_it_together(tmp_path, pictures):
    root = pictures({"a": 10, "b": 10})
    table = tmp_path / "groups.csv"
    files = [p.relative_to(root).as_posix() for p in sorted(root.rglob("*.png"))]
    table.write_text("file,day\n" + "".join(f"{file},monday\n" for file in files))
    with pytest.raises(
        DataError, match=r"val has none of 20; .*: 20 pictures stay together since they share a group"
    ):
        check(root, groups=f"{table}:day")


@pytest.mark.parametrize(
    "groups", [r"C:\data\flights.csv", r"C:/data/flights.csv", r"C:\data\flights.csv:flight"]
)
def test_a_windows_path_of_groups_says_so(pictures, groups):
    with pytest.raises(DataError, match="Windows"):
        check(pictures({"a": 3, "b": 3}), groups=groups)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_of_groups_is_refused_and_not_waited_for(tmp_path, pictures):
    os.mkfifo(tmp_path / "groups.csv")
    with pytest.raises(DataError, match="groups stand in a CSV file"):
        check(pictures({"a": 3, "b": 3}), groups=f"{tmp_path / 'groups.csv'}:day")


def test_files_of_groups_may_be_written_on_windows(tmp_path, pictures):
    root = pictures({"a": 5, "b": 5})
    table = tmp_path / "groups.csv"
    files = [p.relative_to(root).as_posix() for p in sorted(root.rglob("*.png"))]
    table.write_text(
        "file,day\n" + "".join(f"{file.replace('/', chr(92))},{i % 5}\n" for i, file in enumerate(files))
    )
    assert {s.group for s in check(root, groups=f"{table}:day").dataset.samples} == set("01234")
