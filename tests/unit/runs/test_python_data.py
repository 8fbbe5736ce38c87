"""Data given in Python become a folder with a table, once."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Subset, TensorDataset

from gossamer._files import cache_folder
from gossamer.data.dataset import open_dataset
from gossamer.errors import DataError
from gossamer.runs.python_data import as_data


def _rows(path):
    with open(f"{path}/labels.csv", newline="") as file:
        return list(csv.reader(file))


def _pictures(count=4, side=8):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(count)]


def test_a_path_is_itself(tmp_path):
    assert as_data(tmp_path) == str(tmp_path)
    assert as_data("demo:scenes") == "demo:scenes"


def test_pairs_are_kept_bit_for_bit_and_once():
    pictures = _pictures()
    pairs = list(zip(pictures, ["cat", "dog", "cat", "dog"], strict=True))
    path = as_data(pairs)
    assert _rows(path) == [
        ["file", "label"],
        *([f"{i:06d}.png", label] for i, (_, label) in enumerate(pairs)),
    ]
    for i, picture in enumerate(pictures):
        assert np.array_equal(np.asarray(Image.open(f"{path}/{i:06d}.png")), picture)
    assert as_data(pairs) == path
    assert as_data(list(reversed(pairs))) != path
    assert as_data([(picture, "cat") for picture in pictures]) != path, "other targets of the same pictures"
    assert not list((cache_folder() / "datasets").glob(".writing-*"))


def test_a_dataset_names_its_classes_and_tensors_are_shares_of_one():
    class Named(TensorDataset):
        classes = ("no", "yes")

    pixels = torch.tensor(np.stack(_pictures(2))).permute(0, 3, 1, 2)
    data = Named(pixels.float() / 255, torch.tensor([1, 0]))
    path = as_data(DataLoader(data, batch_size=2))
    assert _rows(path) == [["file", "label"], ["000000.png", "yes"], ["000001.png", "no"]]
    assert np.array_equal(np.asarray(Image.open(f"{path}/000000.png")), pixels[0].permute(1, 2, 0).numpy())


def test_real_targets_are_values_and_pictures_of_bands_arrays():
    bands = [np.full((8, 8, 4), i, np.uint16) for i in range(3)]
    path = as_data([(each, 0.5 * i) for i, each in enumerate(bands)])
    assert _rows(path)[0] == ["file", "value"]
    assert [float(row[1]) for row in _rows(path)[1:]] == [0.0, 0.5, 1.0]
    assert np.array_equal(np.load(f"{path}/000002.npy"), bands[2])


def test_what_was_kept_is_read_as_a_table_of_classes():
    pairs = [(picture, i % 2) for i, picture in enumerate(_pictures(8))]
    dataset = open_dataset(as_data(pairs))
    assert (dataset.task, dataset.labels, len(dataset.samples)) == ("classify", ("0", "1"), 8)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "got list; give one that has pictures"),
        (iter([]), "got list_iterator; give one that has pictures"),
        ([1, 2], r"data gives \(picture, target\), item 0 is int; return both"),
        ([(np.zeros((4, 4, 3), np.uint8), None)], "a target is a class .* or a real number, got None"),
        ([(np.zeros((4, 4, 3), np.uint8), "  ")], "a target is a class"),
        ([(np.zeros(4, np.uint8), 1)], r"a picture is .*, item 0 is \(4,\) of uint8"),
        ([(np.zeros((4, 4, 3), np.uint8), 1), (np.zeros((4, 4, 3), np.uint8), 0.5)], "all classes or all values"),
    ],
)  # fmt: skip
def test_what_is_no_data_leaves_nothing(data, message):
    with pytest.raises(DataError, match=message):
        as_data(data)
    folder = cache_folder() / "datasets"
    assert not folder.exists() or not list(folder.glob(".writing-*"))


def test_a_list_of_paths_keeps_the_files_as_they_are(tmp_path, draw):
    pairs = []
    for i, label in enumerate(("cat", "=dog", "cat")):
        path = tmp_path / f"{i}.jpg"
        draw(i).save(path)
        pairs.append((path if i else str(path), label))
    folder = as_data(pairs)
    assert _rows(folder)[1:] == [["000000-0.jpg", "cat"], ["000001-1.jpg", "=dog"], ["000002-2.jpg", "cat"]]
    for i, (path, _) in enumerate(pairs):
        with open(path, "rb") as ours, open(f"{folder}/00000{i}-{i}.jpg", "rb") as theirs:
            assert ours.read() == theirs.read()
    assert open_dataset(folder).labels == ("=dog", "cat")


def test_a_path_that_leads_nowhere_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no such picture: .*gone\.png; check the path"):
        as_data([(tmp_path / "gone.png", "cat")])
    assert not list((cache_folder() / "datasets").glob(".writing-*"))


def test_a_part_of_a_dataset_is_that_part_and_knows_the_classes_of_the_whole():
    class Named(TensorDataset):
        classes = ("no", "yes")

    pixels = torch.tensor(np.stack(_pictures(4))).permute(0, 3, 1, 2)
    part = Subset(Named(pixels, torch.tensor([1, 0, 1, 0])), [0, 1, 2])
    for data in (part, DataLoader(part, batch_size=2)):
        assert [label for _, label in _rows(as_data(data))[1:]] == ["yes", "no", "yes"]


def test_a_class_without_a_name_is_refused():
    class Named(TensorDataset):
        classes = ("no", "yes")

    data = Named(torch.tensor(np.stack(_pictures(2))).permute(0, 3, 1, 2), torch.tensor([0, 2]))
    with pytest.raises(DataError, match="a class is 0 to 1 where 2 are named, got 2"):
        as_data(data)
