"""Boxes of one layout written in another: annotations anew, pictures linked."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np

from gossamer._files import new_folder
from gossamer._table import Table
from gossamer.data.dataset import Dataset, Sample, open_dataset
from gossamer.data.pictures import shown_size
from gossamer.data.writers.written import Box, Entry, Writer
from gossamer.errors import DataError
from gossamer.tasks.detect.boxes import Boxes

__all__ = ["WRITERS", "Converted", "convert"]

WRITERS = Table(
    "layout of boxes",
    {
        "coco": "gossamer.data.writers.coco",
        "voc": "gossamer.data.writers.voc",
        "yolo": "gossamer.data.writers.yolo",
        "csv": "gossamer.data.writers.boxtable",
    },
    error=DataError,
)
"""Layout -> module."""


@dataclass(frozen=True)
class Converted:
    """What was written."""

    folder: Path
    layout: str
    pictures: int
    boxes: int
    left_out: int
    """Boxes that cannot be written: no numbers, of no class, or a crowd where the layout has none."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**vars(self), "folder": str(self.folder)}


def convert(data: str | Path, to: str, out: str | Path) -> Converted:
    """Write a set of pictures with boxes in another layout into a new folder: coco, voc, yolo or csv.

    Boxes are written as they are, faulty ones among them; splits and declared sizes are kept. Pictures are links to those of
    the set (copies, where a link cannot be made).

    Raises:
        DataError: no such layout, data without boxes, or `out` holds something already.
        RunFolderError: the folder cannot be written.
    """
    writer = cast(Writer, WRITERS.load(to))
    dataset = open_dataset(data)
    if dataset.task != "detect":
        raise DataError(
            f"what is converted has boxes, {dataset.root} is a set to {dataset.task}; give a set with boxes"
        )
    folder = Path(out).expanduser()
    names = _names(dataset, flat=writer.FLAT)
    left_out, entries = 0, []
    for sample, name in zip(dataset.samples, names, strict=True):
        entry = _entry(sample, name, crowd=writer.CROWD)
        left_out += len(sample.target.labels) - len(entry.boxes)
        entries.append(entry)
    with new_folder(folder) as temporary:
        for sample, name in zip(dataset.samples, names, strict=True):
            _link(sample.path, temporary / writer.PICTURES / name)
        writer.write(temporary, entries, dataset.labels)
    return Converted(folder, to, len(entries), sum(len(entry.boxes) for entry in entries), left_out)


def _names(dataset: Dataset, *, flat: bool) -> list[str]:
    """What pictures are called in the new set: their paths, less the folders that all share; stems differ."""
    parts = [PurePosixPath(dataset.relative(sample)).parts for sample in dataset.samples]
    folders = [inner[:-1] for inner in parts]
    low, high = min(folders, default=()), max(folders, default=())
    shared = next(
        (i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high))
    )
    names = [("_" if flat else "/").join(inner[shared:]) for inner in parts]
    taken: set[str] = set()
    unique = []
    for name in names:
        stem, dot, ending = name.rpartition(".")
        number, plain = 1, stem
        while stem.casefold() in taken:
            number += 1
            stem = f"{plain}_{number}"
        taken.add(stem.casefold())
        unique.append(f"{stem}{dot}{ending}")
    return unique


def _entry(sample: Sample, name: str, *, crowd: bool) -> Entry:
    target: Boxes = sample.target
    size = target.size or shown_size(sample.path)
    places = target.in_pixels(size)
    kept = np.isfinite(places).all(1) & (target.labels >= 0) & (crowd | ~target.crowd)
    rows = zip(places[kept].tolist(), target.labels[kept].tolist(), target.crowd[kept].tolist(), strict=True)
    return Entry(
        name, size, tuple(Box(tuple(place), label, hard) for place, label, hard in rows), sample.split
    )


def _link(picture: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.symlink_to(picture.resolve())
    except OSError:  # a file system, or a system, without links
        shutil.copyfile(picture, place)
