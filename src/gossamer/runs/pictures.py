"""The decoded pictures of a split, kept in the run folder and mapped; what files say of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gossamer.data.bands import Bands
from gossamer.data.cache import Pixels, load_pictures
from gossamer.data.check import CheckReport
from gossamer.data.dataset import SplitName
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.parts import Session
from gossamer.errors import DataError
from gossamer.runs.reporter import Quiet, Reporter
from gossamer.tasks import Outputs, Task, get_task

__all__ = ["SplitPictures", "answers_of", "each_output", "split_pictures", "together"]

_CHUNK = 64


class HasPath(Protocol):
    """A run's folder, or what stands for it in a process that may not write there."""

    path: Path


class SplitPictures(NamedTuple):
    """Pictures (N, H, W, bands) and targets (N, ...); `lost` are files that could no longer be read."""

    pixels: Pixels
    targets: NDArray[Any]
    lost: list[str]
    bands: Bands | None = None
    """What values mean that are not red, green and blue."""


def split_pictures(
    report: CheckReport,
    split: SplitName,
    contract: InputContract,
    run: HasPath,
    reporter: Reporter | None = None,
) -> SplitPictures:
    """Decode the split at the contract's size by its resize rule, once a run.

    Raises:
        DataError: none of its pictures can be read any more.
        RunFolderError: the cache cannot be written.
    """
    dataset, size = report.dataset, contract.size
    samples = [dataset.samples[i] for i in report.split.of(split)]
    side = f"{size.height} px" if size.height == size.width else f"{size} px"
    with (reporter or Quiet()).bar(f"decoding {split} at {side}", len(samples)) as bar:
        array = load_pictures(
            [s.path for s in samples],
            size,
            run.path / "cache",
            key=report.fingerprint,
            rule=contract.resize,
            bands=None if report.bands is None else report.bands.names,
            value_range=contract.value_range or report.value_range,
            tick=lambda done, _total: bar.update(done),
        )
    task = get_task(dataset.task)
    shapes = [size if shape == (0, 0) else shape for shape in array.sizes]  # a lost picture is left out below
    frames = [contract.transform(shape) for shape in shapes]
    placed = task.place([s.target for s in samples], shapes, frames, size)
    targets = task.array(placed, dataset.labels)
    if not array.lost:
        return SplitPictures(array.pixels, targets, [], report.bands)
    keep = np.setdiff1d(np.arange(len(samples)), np.array(array.lost))  # a lost picture is a row of zeros
    if not len(keep):
        if contract.resize == "none":
            raise DataError(
                f"the resize rule none takes pictures of {size} pixels as they are, no picture of the {split} split is one; "
                "take another --size or --resize"
            )
        raise DataError(
            f"no picture of the {split} split can be read any more in {dataset.root}; check the folder"
        )
    lost = [dataset.relative(samples[i]) for i in array.lost]
    return SplitPictures(array.pixels[keep], targets[keep], lost, report.bands)


def together(rows: list[Outputs]) -> Outputs:
    """Outputs of several groups of pictures as one."""
    return tuple(np.concatenate([row[i] for row in rows]) for i in range(len(rows[0])))


def each_output(
    session: Session,
    contract: InputContract,
    task: Task,
    pixels: Pixels,
    reporter: Reporter,
    text: str,
) -> Iterator[tuple[slice, Outputs]]:
    """What a file says of pictures (N, H, W, bands), one at a time as it is deployed, in groups with their places; no more
    of it than the task needs."""
    with reporter.bar(text, len(pixels)) as bar:
        for start in range(0, len(pixels), _CHUNK):
            rows: list[Outputs] = []
            for i in range(start, min(start + _CHUNK, len(pixels))):
                rows.append(task.condensed(session.run(contract.normalise(pixels[i : i + 1]))))
                bar.update(i + 1)
            yield slice(start, start + len(rows)), together(rows)


def answers_of(
    session: Session,
    contract: InputContract,
    task: Task,
    pixels: Pixels,
    reporter: Reporter,
    text: str,
) -> Outputs:
    """What a file says of pictures (N, H, W, bands), one at a time as it is deployed: (N, ...) of each output."""
    return together([outputs for _, outputs in each_output(session, contract, task, pixels, reporter, text)])
