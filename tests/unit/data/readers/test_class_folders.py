"""Class folders as people have them: odd names, their own splits, hidden files, inner folders."""

from __future__ import annotations

import pytest

from gossamer.data.readers.folder import read, recognises
from gossamer.errors import DataError

ODD_NAMES = ["river bank", "forêt", 'it\'s "quoted"', "森林", "a,b;c"]


def test_classes_are_sorted_folder_names(pictures):
    root = pictures({"river": 2, "field": 3})
    dataset = read(root)
    assert (dataset.name, dataset.root, dataset.labels) == ("data", root, ("field", "river"))
    assert [(dataset.relative(s), s.target) for s in dataset.samples] == [
        ("field/000.png", 0),
        ("field/001.png", 0),
        ("field/002.png", 0),
        ("river/000.png", 1),
        ("river/001.png", 1),
    ]
    assert {(s.group, s.split) for s in dataset.samples} == {(None, None)}
    assert dataset.ignored == ()


def test_spaces_unicode_and_quotes_in_class_names(pictures):
    dataset = read(pictures(dict.fromkeys(ODD_NAMES, 1)))
    assert dataset.labels == tuple(sorted(ODD_NAMES))
    assert sorted({s.path.parent.name for s in dataset.samples}) == sorted(ODD_NAMES)
    assert all(s.path.parent.name == dataset.labels[s.target] for s in dataset.samples)


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "TESTING")])
def test_the_datas_own_split_is_kept(tmp_path, pictures, names):
    for name in names:
        pictures({"a": 2, "b": 1}, name=f"data/{name}")
    dataset = read(tmp_path / "data")
    assert dataset.labels == ("a", "b")
    found = sorted((s.split, dataset.labels[s.target]) for s in dataset.samples)
    assert found == sorted((split, label) for split in ("train", "val", "test") for label in ("a", "a", "b"))


@pytest.mark.parametrize("names", [("val", "test"), ("train", "test"), ("training_set", "Test Images")])
def test_splits_without_class_folders_are_no_classes(pictures, names):
    with pytest.raises(
        DataError, match=r"a split is no class, .* hold pictures and no class folders; put the"
    ) as caught:
        read(pictures(dict.fromkeys(names, 2)))
    assert all(name in str(caught.value) for name in names)


def test_splits_without_one_to_train_on_are_refused(pictures):
    with pytest.raises(DataError, match=r"has class folders in test, val and none in train; add train/"):
        read(pictures({"val/a": 1, "val/b": 1, "test/a": 1, "test/b": 1}))


@pytest.mark.parametrize("beside", ["c", "sample"])
def test_one_split_beside_pictures_stops_the_run(pictures, beside):
    with pytest.raises(
        DataError, match=r"a split is no class, train of .* stands beside .*; give .*train alone"
    ):
        read(pictures({"train/a": 1, "train/b": 1, beside: 2}))


def test_a_class_may_be_called_train(pictures):
    dataset = read(pictures({"train": 1, "boat": 1}))
    assert dataset.labels == ("boat", "train")
    assert [(f.severity, f.code) for f in dataset.findings] == [("warning", "split-as-class")]


def test_hidden_files_and_folders_are_passed_over(pictures, draw):
    root = pictures({"a": 1, "b": 1})
    for hidden in (".git", "__pycache__", "a/.thumbs", "__MACOSX"):
        (root / hidden).mkdir()
        draw(9).save(root / hidden / "x.png")
    (root / "a" / ".DS_Store").write_bytes(b"x")
    (root / "a" / "._000.png").write_bytes(b"x")
    dataset = read(root)
    assert dataset.labels == ("a", "b")
    assert [dataset.relative(s) for s in dataset.samples] == ["a/000.png", "b/000.png"]
    assert dataset.ignored == ()


def test_other_files_are_listed_as_ignored(pictures):
    root = pictures({"a": 1, "b": 1})
    (root / "a" / "labels.csv").write_text("x")
    (root / "README.md").write_text("not in a class")
    assert [p.relative_to(root).as_posix() for p in read(root).ignored] == ["README.md", "a/labels.csv"]


def test_inner_folders_are_groups(tmp_path, pictures):
    pictures({"field": 2, "river": 1, "field/flight1": 2, "field/flight2/deep": 1, "river/flight1": 1})
    dataset = read(tmp_path / "data")
    groups = {dataset.relative(s): s.group for s in dataset.samples}
    assert groups["field/000.png"] is None
    assert groups["field/flight1/000.png"] == groups["field/flight1/001.png"] == "field/flight1"
    assert groups["field/flight2/deep/000.png"] == "field/flight2/deep"
    assert groups["river/flight1/000.png"] == "river/flight1"


def test_one_class_is_refused(pictures):
    root = pictures({"only": 3})
    with pytest.raises(
        DataError, match=r"at least 2 classes with pictures, .*data has only 'only'; add a folder a class"
    ):
        read(root)


def test_a_class_folder_without_pictures_is_no_class(pictures):
    root = pictures({"a": 2})
    (root / "empty").mkdir()
    with pytest.raises(DataError, match="has only 'a'"):
        read(root)


def test_recognises_only_pictures_in_sub_folders(tmp_path, pictures, draw):
    assert recognises(pictures({"a": 1}))
    flat = tmp_path / "flat"
    flat.mkdir()
    draw(1).save(flat / "x.png")
    assert not recognises(flat)
    (flat / "sub").mkdir()
    (flat / "sub" / "x.txt").write_text("x")
    assert not recognises(flat)
