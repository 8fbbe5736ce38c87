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


def _codes(dataset):
    return {finding.code for finding in dataset.findings}


def _splits(dataset):
    return {dataset.relative(s): (dataset.labels[s.target], s.split, s.group) for s in dataset.samples}


def test_folders_beside_splits_are_left_out_and_told(pictures):
    root = pictures({"train/a": 1, "train/b": 1, "val/a": 1, "test/b": 1, "sample": 3})
    (root / "annotations").mkdir()
    (root / "annotations" / "x.json").write_text("{}")
    dataset = read(root)
    assert dataset.labels == ("a", "b")
    assert {name: split for name, (_, split, _) in _splits(dataset).items()} == {
        "train/a/000.png": "train",
        "train/b/000.png": "train",
        "val/a/000.png": "val",
        "test/b/000.png": "test",
    }
    assert _codes(dataset) == {"beside-splits", "no-pictures"}
    beside = next(f for f in dataset.findings if f.code == "beside-splits")
    assert beside.message.startswith(
        "sample/ with 3 pictures beside test, train, val: read as no class and no split"
    )
    assert beside.files == tuple(f"sample/00{i}.png" for i in range(3))
    assert [p.name for p in dataset.ignored] == ["x.json"]


@pytest.mark.parametrize("names", [("training_set", "test_set"), ("train", "dev"), ("train2017", "val2017")])
def test_other_names_of_splits_are_understood(pictures, names):
    first, second = names
    dataset = read(pictures({f"{first}/a": 1, f"{first}/b": 1, f"{second}/a": 1, f"{second}/b": 1}))
    assert dataset.labels == ("a", "b")
    assert {s.split for s in dataset.samples if s.path.parent.parent.name == first} == {"train"}
    assert {s.split for s in dataset.samples if s.path.parent.parent.name == second} <= {"val", "test"}
    assert "split-names" in _codes(dataset)


def test_two_folders_of_one_split_are_told(pictures):
    dataset = read(pictures({"train/a": 1, "train/b": 1, "val/a": 1, "valid/b": 1}))
    assert "same-split" in _codes(dataset)
    assert sorted(s.split for s in dataset.samples) == ["train", "train", "val", "val"]


def test_splits_inside_every_class_folder_are_kept(pictures):
    folders = {f"{label}/{split}": 1 for label in "ab" for split in ("train", "val", "test")}
    dataset = read(pictures({**folders, "a/train/day": 1}))
    assert dataset.labels == ("a", "b")
    assert _splits(dataset)["b/test/000.png"] == ("b", "test", None)
    assert _splits(dataset)["a/train/day/000.png"] == ("a", "train", "a/day")
    assert _codes(dataset) == {"splits-inside"}


def test_the_same_folders_in_every_class_are_told(pictures):
    dataset = read(pictures({f"{label}/{site}": 1 for label in "ab" for site in ("north", "south")}))
    (finding,) = dataset.findings
    assert finding.code == "same-folders"
    assert "--groups folder" in finding.message
    assert {s.group for s in dataset.samples} == {"a/north", "a/south", "b/north", "b/south"}


def test_pictures_in_no_class_folder_are_counted(pictures, draw):
    root = pictures({"a": 1, "b": 1})
    for i in range(4):
        draw(i).save(root / f"loose{i}.png")
    (finding,) = read(root).findings
    assert finding.code == "loose"
    assert finding.message.startswith("4 pictures lie in no class folder, left out: loose0.png, loose1.png")


def test_pictures_beside_the_class_folders_of_a_split_are_counted(pictures, draw):
    root = pictures({"train/a": 2, "train/b": 1, "test/a": 1})
    draw(3).save(root / "train" / "x.png")
    draw(4).save(root / "y.png")
    assert [f.files for f in read(root).findings if f.code == "loose"] == [("y.png", "train/x.png")]
    assert len(read(root).samples) == 4


@pytest.mark.parametrize("outer", ["images", "data"])
def test_a_container_around_classes_or_splits_is_gone_into(pictures, outer):
    dataset = read(pictures({f"{outer}/train/a": 1, f"{outer}/train/b": 1, f"{outer}/val/a": 1}))
    assert dataset.labels == ("a", "b")
    assert _splits(dataset)[f"{outer}/val/a/000.png"] == ("a", "val", None)
    assert "nested" in _codes(dataset)


def test_an_empty_class_folder_is_told(pictures):
    root = pictures({"a": 1, "b": 1})
    (root / "c").mkdir()
    (finding,) = read(root).findings
    assert (finding.code, finding.files) == ("no-pictures", ("c",))


def test_pictures_in_linked_folders_count(tmp_path, pictures):
    root = pictures({"a": 1, "b": 1})
    (root / "a" / "more").symlink_to(pictures({".": 3}, name="elsewhere", seed=4))
    assert len(read(root).samples) == 5


def test_what_is_passed_over_is_counted_with_its_reason(pictures):
    root = pictures({"a": 1, "b": 1})
    (root / "a" / ".DS_Store").touch()
    (root / "b" / "loop").symlink_to(root)
    assert {f.code: f.files for f in read(root).findings} == {
        "hidden": ("a/.DS_Store",),
        "circle": ("b/loop",),
    }
