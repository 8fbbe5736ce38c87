"""What a reader gives: samples with labels. One reader a layout, in one explicit table."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from gossamer._files import cache_folder
from gossamer._table import Table
from gossamer.data.findings import Finding
from gossamer.errors import DataError

__all__ = ["READERS", "Dataset", "Reader", "Sample", "SplitName", "open_dataset", "split_named"]

SplitName = Literal["train", "val", "test"]
_SPLIT_NAMES: Mapping[str, SplitName] = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "development": "val",
    "eval": "val",
    "test": "test",
    "testing": "test",
    "holdout": "test",
}
_BESIDE_SPLITS = re.compile(r"(dataset|data|set|split|images|imgs|pictures)$")
"""What people write behind the name of a split: `training_set`, `val-images`."""


def split_named(name: str) -> SplitName | None:
    """The split that people call so: `train`, `Training_Set`, `dev`, `test2017`; None for any other name."""
    letters = re.sub(r"[\W\d_]+", "", name.casefold())
    return _SPLIT_NAMES.get(letters) or _SPLIT_NAMES.get(_BESIDE_SPLITS.sub("", letters))


@dataclass(frozen=True)
class Sample:
    """One picture with its target; `group` ties pictures that must not be parted, `split` is given by the data."""

    path: Path
    target: Any
    """Of the data set's task: the number of a class, the numbers of labels, values."""
    group: str | None = None
    split: SplitName | None = None


@dataclass(frozen=True)
class Dataset:
    """Samples under one root; `labels` are the names of classes or labels, sorted, or of quantities."""

    name: str
    root: Path
    labels: tuple[str, ...]
    samples: tuple[Sample, ...]
    ignored: tuple[Path, ...] = ()
    """Files that are no pictures by name."""
    grouped: bool = False
    """Whether the data themselves say by `Sample.group` what may not be parted; else it is by folders, where that is asked for."""
    task: str = "classify"
    """A name of `gossamer.tasks.TASKS`."""
    findings: tuple[Finding, ...] = ()
    """What is odd about the layout, beside `ignored`."""

    @property
    def targets(self) -> list[Any]:
        """Of the samples, in their order."""
        return [sample.target for sample in self.samples]

    def relative(self, sample: Sample) -> str:
        """The sample's path below the root, with forward slashes."""
        return sample.path.relative_to(self.root).as_posix()

    def keep(self, samples: tuple[Sample, ...]) -> Dataset:
        """The same dataset with other samples."""
        return replace(self, samples=samples)


class Reader(Protocol):
    """A module that reads one layout (a folder of class folders, a table, COCO, VOC, YOLO, rasters with labels)."""

    def recognises(self, path: Path) -> bool:
        """Whether the folder, or the file, is laid out this way."""
        ...

    def read(self, path: Path) -> Dataset:
        """The dataset; files are listed, not opened."""
        ...


READERS = Table(
    "layout",
    {
        "boxtable": "gossamer.data.readers.boxtable",
        "table": "gossamer.data.readers.table",
        "imagefolder": "gossamer.data.readers.imagefolder",
        "coco": "gossamer.data.readers.coco",
        "voc": "gossamer.data.readers.voc",
        "yolo": "gossamer.data.readers.yolo",
        "geoboxes": "gossamer.data.readers.geoboxes",
        "folder": "gossamer.data.readers.folder",
    },
    error=DataError,
)
"""Layout -> module, tried in this order."""
_DEMOS: Mapping[str, tuple[str, str, str]] = {
    "demo": ("demo-scenes", "demo-scenes-1", "gossamer.data.scenes"),
    "demo:scenes": ("demo-scenes", "demo-scenes-1", "gossamer.data.scenes"),
    "demo:boxes": ("demo-boxes", "demo-boxes-1", "gossamer.data.box_scenes"),
}
"""What is made in code: its name, its folder in the cache, and the module that writes it."""


def open_dataset(data: str | Path) -> Dataset:
    """Read a folder or a table, or `demo:scenes` or `demo:boxes`: pictures made in code, kept in the user's cache folder.

    Raises:
        DataError: no such path, no layout that is known, no picture in it.
    """
    if str(data) in _DEMOS:
        name, folder, module = _DEMOS[str(data)]
        return replace(open_dataset(_demo_folder(folder, module)), name=name)
    if str(data).startswith("demo"):
        raise DataError(
            f"demo data are demo, demo:scenes or demo:boxes, got {str(data)!r}; choose one or give a folder"
        )
    path = Path(data).expanduser()
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"a path is written in UTF-8, {path} is not; rename it, or give a link to it"
        ) from error
    if not path.exists():
        raise DataError(
            f"no such folder: {path}; check the path, or use demo:scenes for pictures made in code"
        )
    for name in READERS:
        reader = cast(Reader, READERS.load(name))
        if reader.recognises(path):
            return reader.read(path)
    if not path.is_dir():
        raise DataError(
            f"data is a folder, a CSV table or a file of annotations, {path} is none of these; give the folder that holds it"
        )
    raise DataError(
        f"{path} has no sub-folders with pictures in them; put the pictures of each class into a folder named after it, or "
        "name them in labels.csv, with the columns file and label, or file and value"
    )


def _demo_folder(name: str, module: str) -> Path:
    folder = cache_folder() / name
    if not folder.exists():
        importlib.import_module(module).write(folder)
    return folder
