"""The decoded pictures of a split, kept in the run folder and mapped."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gossamer.data.bands import Bands
from gossamer.data.cache import Pixels, load_pictures
from gossamer.data.check import CheckReport
from gossamer.data.dataset import SplitName
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.parts import Session
from gossamer.errors import DataError
from gossamer.fit.reporter import Quiet, Reporter

__all__ = ["SplitPictures", "share_right", "split_pictures"]


class HasPath(Protocol):
    """A run's folder, or what stands for it in a process that may not write there."""

    path: Path


class SplitPictures(NamedTuple):
    """Pictures (N, S, S, bands) and labels (N,); `lost` are files that could no longer be read."""

    pixels: Pixels
    labels: NDArray[np.int64]
    lost: list[str]
    bands: Bands | None = None
    """What values mean that are not red, green and blue."""


def split_pictures(
    report: CheckReport, split: SplitName, size: int, run: HasPath, reporter: Reporter | None = None
) -> SplitPictures:
    """Decode the split at a size, once a run.

    Raises:
        DataError: none of its pictures can be read any more.
        RunFolderError: the cache cannot be written.
    """
    dataset = report.dataset
    samples = [dataset.samples[i] for i in report.split.of(split)]
    with (reporter or Quiet()).bar(f"decoding {split} at {size} px", len(samples)) as bar:
        array = load_pictures(
            [s.path for s in samples],
            size,
            run.path / "cache",
            key=report.fingerprint,
            bands=None if report.bands is None else report.bands.names,
            tick=lambda done, _total: bar.update(done),
        )
    labels = np.array([s.label for s in samples], np.int64)
    if not array.lost:
        return SplitPictures(array.pixels, labels, [], report.bands)
    keep = np.setdiff1d(np.arange(len(samples)), np.array(array.lost))  # a lost picture is a row of zeros
    if not len(keep):
        raise DataError(
            f"no picture of the {split} split can be read any more in {dataset.root}; check the folder"
        )
    lost = [dataset.relative(samples[i]) for i in array.lost]
    return SplitPictures(array.pixels[keep], labels[keep], lost, report.bands)


def share_right(
    session: Session,
    contract: InputContract,
    pixels: Pixels,
    truth: NDArray[np.int64],
    reporter: Reporter,
    text: str,
) -> float:
    """Of pictures (N, H, W, bands) the share that a file names as `truth` (N,) does, one at a time as it is deployed."""
    hits = 0
    with reporter.bar(text, len(truth)) as bar:
        for i in range(len(truth)):
            scores = session.run(contract.normalise(pixels[i : i + 1]))[0]
            hits += int(scores.argmax()) == int(truth[i])
            bar.update(i + 1)
    return hits / len(truth)
