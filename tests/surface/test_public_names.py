"""The public names, pinned: a change here is a change of what other people's scripts call."""

from __future__ import annotations

import re

import pytest

import gossamer

PUBLIC = [
    "Budget",
    "Bundle",
    "GossamerError",
    "InputContract",
    "ModelSpec",
    "__version__",
    "bench",
    "build",
    "check",
    "compress",
    "export",
    "fit",
    "fuse",
    "load",
    "measure",
    "network_of",
    "predict",
    "prune",
    "report",
    "train",
]


def test_the_names_are_these():
    assert gossamer.__all__ == PUBLIC


def test_they_are_sorted():
    assert sorted(PUBLIC) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_loads(name):
    value = getattr(gossamer, name)
    if name != "__version__":
        assert callable(value)
        assert value.__name__.rpartition(".")[2] == name  # `fit` is a package that can be called
        assert value.__module__.startswith("gossamer.")
        assert value.__doc__


def test_the_version_is_one():
    assert re.fullmatch(r"\d+\.\d+\.\d+", gossamer.__version__)


def test_dir_shows_what_loads_late():
    assert set(PUBLIC) <= set(dir(gossamer))


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'gossamer' has no attribute 'prunne'$"):
        gossamer.prunne  # noqa: B018
