"""Pictures decoded once, mapped afterwards, and never a reason to stop."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from PIL import Image

from gossamer.data import cache
from gossamer.data.cache import load_pictures
from gossamer.data.geometry import fit_picture
from gossamer.data.pictures import open_rgb
from gossamer.errors import RunFolderError
from gossamer.types import Size


@pytest.fixture
def paths(pictures):
    return sorted(pictures({"a": 3}, size=(24, 40)).rglob("*.png"))


def test_pixels_are_those_of_the_contracts_rule(paths, tmp_path):
    array = load_pictures(paths, Size(16, 16), tmp_path / "cache", key="k")
    assert array.pixels.shape == (3, 16, 16, 3)
    assert array.pixels.dtype == np.uint8
    assert array.lost == ()
    for position, path in enumerate(paths):
        assert np.array_equal(array.pixels[position], np.asarray(fit_picture(open_rgb(path), Size(16, 16))))


def test_the_file_is_mapped_and_reused(paths, tmp_path):
    heard = []
    first = load_pictures(
        paths, Size(16, 16), tmp_path / "cache", key="k", tick=lambda done, total: heard.append((done, total))
    )
    assert heard == [(1, 3), (2, 3), (3, 3)]
    for path in paths:
        path.unlink()
    second = load_pictures(
        paths, Size(16, 16), tmp_path / "cache", key="k", tick=lambda *_: pytest.fail("decoded again")
    )
    assert isinstance(second.pixels, np.memmap)
    assert not second.pixels.flags.writeable
    assert np.array_equal(first.pixels, second.pixels)
    assert second.lost == ()


def test_other_bands_of_the_same_pictures_are_another_file(paths, tmp_path, monkeypatch):
    values = {"near": 1.0, "far": 2.0}

    def decode(_path, size, _rule, bands, _range):
        return np.stack([np.full(size, values[band], np.float32) for band in bands], 2)

    monkeypatch.setattr(cache, "_decode", decode)
    for bands in (("near", "far"), ("far", "near"), ("far",)):
        pixels = load_pictures(paths, Size(4, 4), tmp_path / "cache", key="k", bands=bands).pixels
        assert pixels.shape == (3, 4, 4, len(bands))
        assert pixels[2, 0, 0].tolist() == [values[band] for band in bands]


@pytest.mark.parametrize("change", ["key", "size", "paths"])
def test_another_key_size_or_list_is_another_file(paths, tmp_path, change):
    cache = tmp_path / "cache"
    load_pictures(paths, Size(16, 16), cache, key="k")
    before = set(cache.iterdir())
    load_pictures(
        paths[:2] if change == "paths" else paths,
        Size(8, 8) if change == "size" else Size(16, 16),
        cache,
        key="l" if change == "key" else "k",
    )
    assert len(set(cache.iterdir()) - before) == 2


def test_a_lost_picture_is_named_and_black(paths, tmp_path):
    paths[1].unlink()
    paths.append(tmp_path / "note.jpg")
    paths[3].write_text("no picture")
    for _ in range(2):
        array = load_pictures(paths, Size(16, 16), tmp_path / "cache", key="k")
        assert array.lost == (1, 3)
        assert not array.pixels[[1, 3]].any()
        assert array.pixels[[0, 2]].any((1, 2, 3)).all()


def test_no_pictures_at_all(tmp_path):
    array = load_pictures([], Size(16, 16), tmp_path / "cache", key="k")
    assert array.pixels.shape == (0, 16, 16, 3)
    assert array.lost == ()


def test_a_cache_that_cannot_be_written(paths, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(RunFolderError, match="a file stands where a folder is needed; give another folder"):
        load_pictures(paths, Size(16, 16), tmp_path / "cache", key="k")


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve space")
def test_a_full_disk_is_told_before_a_page_is_written(paths, tmp_path, monkeypatch):
    def full(descriptor: int, start: int, length: int) -> None:
        assert length > 3 * 16 * 16 * 3
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(
        RunFolderError, match="the disk is full; free some space and run the same command with --resume"
    ):
        load_pictures(paths, Size(16, 16), tmp_path / "cache", key="k")
    assert list((tmp_path / "cache").iterdir()) == []


def test_odd_kinds_come_out_as_rgb(tmp_path):
    Image.new("CMYK", (20, 20)).save(tmp_path / "a.jpg")
    Image.fromarray(np.full((20, 20), 65535, np.uint16)).save(tmp_path / "b.png")
    array = load_pictures([tmp_path / "a.jpg", tmp_path / "b.png"], Size(8, 8), tmp_path / "cache", key="k")
    assert array.lost == ()
    assert (array.pixels > 250).all()
