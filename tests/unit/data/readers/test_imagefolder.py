"""Hugging Face's imagefolder: metadata beside pictures, nested roots, lists of labels, lines that are none."""

from __future__ import annotations

import json

import pytest

from gossamer.data.dataset import open_dataset
from gossamer.data.readers.imagefolder import read, recognises
from gossamer.errors import DataError


@pytest.fixture
def write(tmp_path, draw):
    """`write(folder, rows)`: metadata of the rows in a folder, and the pictures that they name."""

    def make(folder, rows):
        root = tmp_path / "data" / folder
        root.mkdir(parents=True, exist_ok=True)
        for i, row in enumerate(rows):
            if "file_name" in row:
                (root / row["file_name"]).parent.mkdir(parents=True, exist_ok=True)
                draw(i).save(root / row["file_name"])
        (root / "metadata.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
        )
        return tmp_path / "data"

    return make


def _said(dataset):
    return {dataset.relative(s): (s.target, s.split, s.group) for s in dataset.samples}


def test_nested_roots_give_splits(write):
    write("inner/train", [{"file_name": "a.png", "label": "cat"}, {"file_name": "b.png", "label": "dog"}])
    root = write("inner/validation", [{"file_name": "x/a.png", "label": "dog", "group": "g"}])
    dataset = read(root)
    assert (dataset.task, dataset.labels, dataset.grouped) == ("classify", ("cat", "dog"), True)
    assert _said(dataset) == {
        "inner/train/a.png": (0, "train", None),
        "inner/train/b.png": (1, "train", None),
        "inner/validation/x/a.png": (1, "val", "g"),
    }


def test_a_column_says_the_split_before_a_folder_does(write):
    rows = [
        {"file_name": f"train/{i}.png", "label": i % 2, "split": split}
        for i, split in enumerate(["train", "test"])
    ]
    assert {split for _, split, _ in _said(read(write(".", rows))).values()} == {"train", "test"}


@pytest.mark.parametrize(
    ("rows", "task", "targets"),
    [
        ([{"label": 3}, {"label": 7}], "classify", [0, 1]),
        ([{"label": ["a", "b"]}, {"label": []}], "multi-label", [(0, 1), ()]),
        ([{"labels": ["b"]}, {"labels": ["a"]}], "multi-label", [(1,), (0,)]),
        ([{"value": 1.5}, {"value": -2}], "regress", [(1.5,), (-2.0,)]),
    ],
)
def test_targets_of_every_task(write, rows, task, targets):
    dataset = read(write(".", [{"file_name": f"{i}.png", **row} for i, row in enumerate(rows)]))
    assert (dataset.task, dataset.targets) == (task, targets)


def test_captions_alone_leave_the_folders_classes(write, draw):
    root = write("cat", [{"file_name": "a.png", "text": "a cat"}])
    write("dog", [{"file_name": "b.png", "text": "a dog"}])
    assert not recognises(root)
    assert open_dataset(root).labels == ("cat", "dog")


def test_what_no_row_names_is_counted(write, draw):
    root = write(".", [{"file_name": "a.png", "label": "x"}, {"file_name": "b.png", "label": "y"}])
    draw(9).save(root / "c.png")
    (root / "notes.txt").write_text("x")
    dataset = read(root)
    assert [(f.code, f.files) for f in dataset.findings] == [("unlisted", ("c.png",))]
    assert [path.name for path in dataset.ignored] == ["notes.txt"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[" * 100_000, r"line 3 is none"),
        ("[1]", r"line 3 is a list"),
        ('{"label": "x"}', r"line 3 names ''"),
        ('{"file_name": "../a.png", "label": "x"}', r"line 3 names '../a.png'"),
        ('{"file_name": "c.png"}', r"line 3 has no label"),
        ('{"file_name": "c.png", "label": "x", "split": "left"}', r"line 3 has 'left'"),
    ],
)
def test_lines_that_are_none_are_named(write, line, message):
    root = write(".", [{"file_name": "a.png", "label": "x"}, {"file_name": "b.png", "label": "y"}])
    with (root / "metadata.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=message) as caught:
        read(root)
    assert "\n" not in str(caught.value)
