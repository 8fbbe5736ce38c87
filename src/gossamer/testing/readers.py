"""What every reader of a layout keeps: labels in order, every picture once, nothing opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import pytest
from PIL import Image

from gossamer.data.dataset import READERS, Dataset, Reader, Sample, open_dataset
from gossamer.data.pictures import is_picture
from gossamer.types import Size

__all__ = ["BoxReaderContract", "ReaderContract"]


class ReaderContract:
    """Subclass it, set `name` to a key of `READERS`, and lay out a set in `write`."""

    name: ClassVar[str]

    def write(self, root: Path) -> Mapping[str, str]:
        """Lay out pictures of three classes or more below `root`: path below the root -> class name."""
        raise NotImplementedError

    def label(self, dataset: Dataset, sample: Sample) -> str:
        """The class of a sample, as `write` told it."""
        return str(dataset.labels[sample.target])

    def plain(self, dataset: Dataset) -> Dataset:
        """The data set with targets that compare by value."""
        return dataset

    @pytest.fixture
    def reader(self) -> Reader:
        """The module under test."""
        return cast(Reader, READERS.load(self.name))

    def test_it_recognises_its_layout(self, reader: Reader, tmp_path: Path) -> None:
        self.write(tmp_path)
        assert reader.recognises(tmp_path)

    def test_it_leaves_other_folders_alone(self, reader: Reader, tmp_path: Path) -> None:
        assert not reader.recognises(tmp_path)
        (tmp_path / "notes").mkdir()
        (tmp_path / "notes" / "readme.txt").write_text("no pictures here")
        assert not reader.recognises(tmp_path)

    def test_every_picture_once_under_its_label(self, reader: Reader, tmp_path: Path) -> None:
        wanted = self.write(tmp_path)
        dataset = reader.read(tmp_path)
        assert dataset.labels == tuple(sorted(set(wanted.values())))
        assert len(dataset.labels) >= 3
        assert len(dataset.samples) == len(wanted)
        assert {dataset.relative(s): self.label(dataset, s) for s in dataset.samples} == dict(wanted)

    def test_paths_are_files_below_the_root(self, reader: Reader, tmp_path: Path) -> None:
        self.write(tmp_path)
        dataset = reader.read(tmp_path)
        assert dataset.root == tmp_path
        assert dataset.name == tmp_path.name
        assert all(s.path.is_file() and is_picture(s.path) for s in dataset.samples)

    def test_two_readings_agree(self, reader: Reader, tmp_path: Path) -> None:
        self.write(tmp_path)
        assert self.plain(reader.read(tmp_path)) == self.plain(reader.read(tmp_path))

    def test_files_are_listed_not_opened(
        self, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wanted = self.write(tmp_path)

        def refuse(*_arguments: object, **_keywords: object) -> None:
            raise AssertionError("a reader opened a picture")

        monkeypatch.setattr(Image, "open", refuse)
        assert len(reader.read(tmp_path).samples) == len(wanted)

    def test_hidden_pictures_are_passed_over(self, reader: Reader, tmp_path: Path) -> None:
        wanted = self.write(tmp_path)
        first = tmp_path / next(iter(wanted))
        (first.parent / f".{first.name}").write_bytes(first.read_bytes())
        assert len(reader.read(tmp_path).samples) == len(wanted)

    def test_the_table_finds_it(self, reader: Reader, tmp_path: Path) -> None:
        self.write(tmp_path)
        assert self.plain(open_dataset(tmp_path)) == self.plain(reader.read(tmp_path))


class BoxReaderContract(ReaderContract):
    """What every reader of boxes keeps; `write` gives each picture one box of its class, from `PLACE` on."""

    PLACE: ClassVar[tuple[float, float, float, float]] = (2.0, 1.0, 7.0, 5.0)
    """Left, top, right, bottom in pixels; pictures are 8 pixels wide and high."""

    def label(self, dataset: Dataset, sample: Sample) -> str:
        return dataset.labels[int(sample.target.labels[0])]

    def plain(self, dataset: Dataset) -> Dataset:
        samples = tuple(
            replace(s, target=[x.tolist() if isinstance(x, np.ndarray) else x for x in s.target])
            for s in dataset.samples
        )
        return dataset.keep(samples)

    def test_boxes_are_where_they_were_put(self, reader: Reader, tmp_path: Path) -> None:
        self.write(tmp_path)
        dataset = reader.read(tmp_path)
        assert dataset.task == "detect"
        for sample in dataset.samples:
            np.testing.assert_allclose(sample.target.in_pixels(Size(8, 8)), [self.PLACE], atol=1e-3)
            assert not sample.target.crowd.any()

    def test_arrays_are_of_the_types_of_boxes(self, reader: Reader, tmp_path: Path) -> None:
        self.write(tmp_path)
        for sample in reader.read(tmp_path).samples:
            places, labels, crowd = sample.target[:3]
            assert (places.dtype, labels.dtype, crowd.dtype) == (np.float64, np.int64, np.bool_)
