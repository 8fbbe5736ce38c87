"""Files below a folder: one order, linked folders once, and a kind for whatever is passed over."""

from __future__ import annotations

import os

import pytest

from gossamer.data.walk import walk


def _kinds(root):
    return [(entry.kind, os.fsencode(entry.path.relative_to(root)).decode("latin-1")) for entry in walk(root)]


def test_files_come_before_folders_and_both_by_name(tmp_path):
    for name in ("b/2.png", "b/1.txt", "a/3.jpg", "0.png", "b/.hidden", "__pycache__/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert _kinds(tmp_path) == [
        ("picture", "0.png"),
        ("hidden", "__pycache__"),
        ("folder", "a"),
        ("picture", "a/3.jpg"),
        ("folder", "b"),
        ("hidden", "b/.hidden"),
        ("other", "b/1.txt"),
        ("picture", "b/2.png"),
    ]


def test_linked_folders_are_followed_but_not_in_circles(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "a", elsewhere):
        folder.mkdir(parents=True)
        (folder / "x.png").touch()
    (root / "a" / "more").symlink_to(elsewhere)
    (root / "a" / "up").symlink_to(root)
    (elsewhere / "self").symlink_to(elsewhere)
    assert _kinds(root) == [
        ("folder", "a"),
        ("picture", "a/x.png"),
        ("folder", "a/more"),
        ("picture", "a/more/x.png"),
        ("circle", "a/more/self"),
        ("circle", "a/up"),
    ]


def test_names_that_are_no_utf_8_are_told(tmp_path):
    try:
        open(os.path.join(os.fsencode(tmp_path), b"caf\xe9.png"), "wb").close()
    except OSError:
        pytest.skip("this file system knows no such names")
    assert _kinds(tmp_path) == [("name", "caf\xe9.png")]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read every folder"
)
def test_a_folder_that_may_not_be_read_is_told(tmp_path):
    (tmp_path / "a").mkdir(mode=0)
    assert _kinds(tmp_path) == [("folder", "a"), ("closed", "a")]
