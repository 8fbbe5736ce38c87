"""Opening data by name: the table of readers, the demo, and what a wrong path is told."""

from __future__ import annotations

import pytest

from gossamer.data import scenes
from gossamer.data.dataset import READERS, Sample, open_dataset
from gossamer.errors import DataError


def test_every_reader_of_the_table_has_both_functions():
    assert list(READERS) == [
        "boxtable",
        "table",
        "imagefolder",
        "coco",
        "voc",
        "yolo",
        "geoboxes",
        "folder",
    ]
    for name in READERS:
        reader = READERS.load(name)
        assert callable(reader.recognises)
        assert callable(reader.read)


def test_a_folder_opens_by_path_or_text(pictures):
    root = pictures({"a": 1, "b": 2})
    assert open_dataset(root) == open_dataset(str(root))
    assert len(open_dataset(root).samples) == 3


def test_a_tilde_is_the_home_folder(pictures, monkeypatch):
    root = pictures({"a": 1, "b": 1})
    monkeypatch.setenv("HOME", str(root.parent))
    assert open_dataset("~/data").root == root


def test_relative_paths_use_forward_slashes_and_keep_changes_only_samples(pictures):
    dataset = open_dataset(pictures({"a": 1, "b": 2}))
    assert dataset.relative(dataset.samples[2]) == "b/001.png"
    kept = dataset.keep(dataset.samples[:1])
    assert (kept.labels, kept.root, len(kept.samples)) == (dataset.labels, dataset.root, 1)
    assert len(dataset.samples) == 3


def test_a_path_that_does_not_exist(tmp_path):
    with pytest.raises(DataError, match=r"no such folder: .*nowhere; check the path, or use demo:scenes"):
        open_dataset(tmp_path / "nowhere")


def test_a_file_instead_of_a_folder(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"x")
    with pytest.raises(
        DataError,
        match=r"a CSV table or a file of annotations, .*x\.jpg is none of these; give the folder that holds it",
    ):
        open_dataset(tmp_path / "x.jpg")


@pytest.mark.parametrize("content", [None, "picture", "empty class"])
def test_a_folder_without_class_folders(tmp_path, draw, content):
    if content == "picture":
        draw(1).save(tmp_path / "x.png")
    elif content == "empty class":
        (tmp_path / "class").mkdir()
    with pytest.raises(
        DataError, match="has no sub-folders with pictures in them; put the pictures of each class"
    ):
        open_dataset(tmp_path)


def test_a_path_that_is_no_utf_8_is_refused(tmp_path):
    with pytest.raises(DataError, match="a path is written in UTF-8"):
        open_dataset(tmp_path / "r\udce9")


def test_an_unknown_demo():
    with pytest.raises(
        DataError,
        match=r"demo data are demo, demo:scenes or demo:boxes, got 'demo:cats'; choose one or give a folder",
    ):
        open_dataset("demo:cats")


@pytest.mark.parametrize("name", ["demo", "demo:scenes"])
def test_the_demo_is_written_once_into_the_cache(tmp_path, monkeypatch, draw, name):
    written = []

    def write(folder):
        written.append(folder)
        for label in ("field", "river"):
            (folder / label).mkdir(parents=True)
            draw(len(label)).save(folder / label / "0.png")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(scenes, "write", write)
    first, second = open_dataset(name), open_dataset(name)
    assert first == second
    assert (first.name, first.labels) == ("demo-scenes", ("field", "river"))
    assert written == [tmp_path / "cache" / "gossamer" / "demo-scenes-1"]


def test_samples_compare_by_value(tmp_path):
    assert Sample(tmp_path, 1) == Sample(tmp_path, 1, None, None)
    assert Sample(tmp_path, 1) != Sample(tmp_path, 1, "group")
