"""What every reader of a layout keeps: labels in order, every picture once, nothing opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, cast

import pytest
from PIL import Image

from gossamer.data.dataset import READERS, Reader, open_dataset
from gossamer.data.pictures import is_picture

__all__ = ["ReaderContract"]


class ReaderContract:
    """Subclass it, set `name` to a key of `READERS`, and lay out a set in `write`."""

    name: ClassVar[str]

    def write(self, root: Path) -> Mapping[str, str]:
        """Lay out pictures of three classes or more below `root`: path below the root -> class name."""
        raise NotImplementedError

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
        assert {dataset.relative(s): dataset.labels[s.target] for s in dataset.samples} == dict(wanted)

    def test_paths_are_files_below_the_root(self, reader: Reader, tmp_path: Path) -> None:
        self.write(tmp_path)
        dataset = reader.read(tmp_path)
        assert dataset.root == tmp_path
        assert dataset.name == tmp_path.name
        assert all(s.path.is_file() and is_picture(s.path) for s in dataset.samples)

    def test_two_readings_agree(self, reader: Reader, tmp_path: Path) -> None:
        self.write(tmp_path)
        assert reader.read(tmp_path) == reader.read(tmp_path)

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
        assert open_dataset(tmp_path) == reader.read(tmp_path)
