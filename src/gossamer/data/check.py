"""The data doctor: what would hurt a training run, one line a finding, before any time is spent on it."""

from __future__ import annotations

import csv
import hashlib
import re
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from gossamer.data.bands import Bands, find_bands, measure_bands
from gossamer.data.dataset import Dataset, SplitName, open_dataset
from gossamer.data.findings import Finding, some
from gossamer.data.leakage import duplicates, spread_folders, spread_frames
from gossamer.data.oddities import (
    bad_files,
    names_of,
    odd_files,
    odd_labels,
    odd_pixels,
    odd_sizes,
    odd_targets,
    value_range,
)
from gossamer.data.ranges import ValueRange
from gossamer.data.scan import Scan, scan_files
from gossamer.data.split import Split, split_dataset
from gossamer.errors import DataError
from gossamer.tasks import get_task

__all__ = ["CheckReport", "Finding", "Look", "OnBad", "check", "is_aerial", "look"]

OnBad = Literal["skip", "stop"]
_DRIVE = re.compile(r"[A-Za-z]")
_AERIAL = (0.7, 1.4)
_SPLITS: tuple[SplitName, ...] = ("val", "test", "train")


@dataclass(frozen=True)
class CheckReport:
    """The usable part of a dataset, its split, and what was found."""

    dataset: Dataset
    """Only pictures that decode whole."""
    split: Split
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...]
    """Paths below the root of pictures that were left out."""
    fingerprint: str
    """Changes when a picture, its label or its path does."""
    short_side: int
    """Median short side in pixels."""
    mean_rgb: tuple[float, float, float]
    """Mean colour, 0 to 255."""
    upright: float
    """How much more pictures differ between top and bottom than between left and right: about 1 where they have no
    up (aerial), about 2 where gravity shows."""
    bands: Bands | None = None
    """Which bands are read and what their values are in training; None for plain red, green and blue."""
    value_range: ValueRange | None = None
    """Black and white of pictures of more than 8 bits; None where there are none."""

    @property
    def split_digest(self) -> str:
        """Changes when a picture comes into another split, by whatever option, table or folder; 20 hexadecimal digits."""
        digest = hashlib.sha256()
        for name in ("train", "val", "test"):
            files = sorted(names_of(self.dataset, self.split.of(name)))
            digest.update("\n".join([f"{name} {len(files)}", *files, ""]).encode())
        return digest.hexdigest()[:20]

    def counts(self) -> dict[str, dict[str, int]]:
        """Pictures by kind of target (class, label, range of values) and split."""
        task, dataset = get_task(self.dataset.task), self.dataset
        kinds = task.kinds(dataset.targets, dataset.labels)
        names = task.kind_names(dataset.targets, dataset.labels)
        table: dict[str, dict[str, int]] = {each: {"train": 0, "val": 0, "test": 0} for each in names}
        for name in ("train", "val", "test"):
            for i in self.split.of(name):
                for kind in kinds[i]:
                    table[kind][name] += 1
        return table

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "name": self.dataset.name,
            "task": self.dataset.task,
            "root": str(self.dataset.root),
            "labels": list(self.dataset.labels),
            "pictures": len(self.dataset.samples),
            "skipped": list(self.skipped),
            "split": self.counts(),
            "short_side": self.short_side,
            "mean_rgb": [round(v, 2) for v in self.mean_rgb],
            "upright": round(self.upright, 3),
            "bands": None if self.bands is None else self.bands.to_json(),
            "value_range": None if self.value_range is None else list(self.value_range),
            "fingerprint": self.fingerprint,
            "findings": [finding.to_json() for finding in self.findings],
        }


def check(
    data: str | Path,
    *,
    on_bad: OnBad = "skip",
    groups: str | None = None,
    bands: str = "auto",
    split_seed: int = 0,
    tick: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Read a dataset, open every picture once, say what would hurt, and split what is usable.

    `groups` ties pictures that must stay in one split: `folder` (the folder inside the class folder) or
    `FILE.csv:COLUMN` (a table with a `file` column); without, a table's column `group` counts, and folders do not. `bands` says which are read, see `find_bands`.
    `split_seed` draws the split where the data bring none. `tick` hears (done, total).

    Raises:
        DataError: nothing usable is left, or a picture is bad and `on_bad` is `stop`.
    """
    source, dataset, names = look(data, groups=groups, bands=bands)
    folders = {sample.path: sample.group for sample in source.samples}
    total = len(dataset.samples)
    paths = [s.path for s in dataset.samples]
    scans = scan_files(paths, bands=names, tick=None if tick is None else lambda done: tick(done, total))
    bad = bad_files(dataset, scans)
    skipped = tuple(file for finding in bad for file in finding.files)
    if skipped and on_bad == "stop":
        raise DataError(
            f"{len(skipped)} pictures cannot be used and --on-bad is stop; first: {bad[0].message}"
        )
    good = [i for i, scan in enumerate(scans) if scan.problem is None]
    scans = [scans[i] for i in good]
    dataset = dataset.keep(tuple(dataset.samples[i] for i in good))
    dataset = _settled(dataset, skipped)
    span = value_range(scans)
    findings = [*dataset.findings, *bad, *odd_labels(dataset), *odd_files(dataset, scans, span)]
    findings += odd_targets(dataset, scans) + odd_sizes(dataset, scans) + odd_pixels(dataset, scans, span)
    upright = _uprightness(scans)
    same = duplicates(dataset, scans, turned=is_aerial(upright))
    findings += same.findings
    leaked = names_of(dataset, sorted(same.leaked))
    dataset, scans, ties = _without(dataset, scans, same.ties, same.leaked)
    split = split_dataset(dataset, ties=ties, seed=split_seed)
    findings += _thin_splits(dataset, split, ties) + _one_sided(dataset, split)
    if not any(s.group or s.split for s in dataset.samples):
        findings += spread_folders(dataset.root, [folders[s.path] for s in dataset.samples], split)
        findings += spread_frames(dataset, scans)
    return CheckReport(
        dataset,
        split,
        tuple(sorted(findings, key=lambda f: ("error", "warning", "note").index(f.severity))),
        skipped + leaked,
        _fingerprint(dataset, scans),
        round(statistics.median(min(s.header.size) for s in scans if s.header is not None)),
        _mean_colour(scans),
        upright,
        None if names is None else measure_bands([dataset.samples[i].path for i in split.train], names),
        span,
    )


class Look(NamedTuple):
    """Data of which the files are listed and no more is known."""

    source: Dataset
    dataset: Dataset
    """With the groups that were asked for."""
    bands: tuple[str, ...] | None
    """Names of those that are read, as `find_bands` tells them."""


def look(data: str | Path, *, groups: str | None = None, bands: str = "auto") -> Look:
    """What can be said of data and of the options that go with them before the pictures are read; see `check`.

    Raises:
        DataError: no such data, groups that do not fit, or a band that the first picture does not have.
    """
    source = open_dataset(data)
    dataset = _with_groups(source, groups)
    return Look(source, dataset, find_bands([sample.path for sample in dataset.samples], bands))


def is_aerial(upright: float) -> bool:
    """Whether pictures whose top and bottom differ by so much more than their sides have no up."""
    return _AERIAL[0] <= upright <= _AERIAL[1]


def _without(
    dataset: Dataset, scans: list[Scan], ties: list[list[int]], leaked: set[int]
) -> tuple[Dataset, list[Scan], list[list[int]]]:
    keep = [i for i in range(len(scans)) if i not in leaked]
    renumber = {old: new for new, old in enumerate(keep)}
    kept = [[renumber[i] for i in tie if i in renumber] for tie in ties]
    samples = tuple(dataset.samples[i] for i in keep)
    return dataset.keep(samples), [scans[i] for i in keep], [tie for tie in kept if len(tie) > 1]


def _with_groups(dataset: Dataset, groups: str | None) -> Dataset:
    if groups is None:
        return (
            dataset
            if dataset.grouped
            else dataset.keep(tuple(replace(s, group=None) for s in dataset.samples))
        )
    if groups == "folder":
        if not any(s.group for s in dataset.samples):
            raise DataError(
                f"--groups folder needs folders inside the class folders, {dataset.root} has none; leave it out"
            )
        return dataset
    files = {dataset.relative(s): s for s in dataset.samples}
    path, _, column = groups.rpartition(":")
    if not path or _DRIVE.fullmatch(path):
        windows = ": what stands before the only colon is a Windows drive" if path else ""
        raise DataError(
            f"groups are 'folder' or FILE.csv:COLUMN, got {groups!r}{windows}; name the column after a colon"
        )
    if "\\" in path and not Path(path).exists():
        raise DataError(
            f"no such groups file: {path} is written as a path of Windows; write the path that it has here, with forward slashes"
        )
    table = _read_groups(Path(path), column)
    if any("\\" in name for name in table):  # written on Windows
        table = {name if name in files else name.replace("\\", "/"): group for name, group in table.items()}
    missing = [file for file in files if file not in table]
    if missing:
        raise DataError(
            f"{path} must name a group for every picture, {len(missing)} are missing, first {missing[0]}; add them"
        )
    return dataset.keep(tuple(replace(s, group=table[dataset.relative(s)]) for s in dataset.samples))


def _read_groups(path: Path, column: str) -> dict[str, str]:
    if path.exists() and not path.is_file():
        raise DataError(f"groups stand in a CSV file, {path} is a folder, pipe or device; give a file")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            names = rows.fieldnames or []
            if "file" not in names or column not in names:
                raise DataError(
                    f"{path} needs the columns file and {column}, it has {', '.join(names) or 'none'}; name another"
                )
            return {row["file"]: row[column] for row in rows if row[column]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the groups file {path}: {error}; check the path") from error


def _settled(dataset: Dataset, skipped: Sequence[str]) -> Dataset:
    """Without the labels that nothing bears any more."""
    where = str(dataset.root) + (f" after skipping {len(skipped)} bad files" if skipped else "")
    targets, labels = get_task(dataset.task).settle(dataset.targets, dataset.labels, where)
    samples = tuple(replace(s, target=t) for s, t in zip(dataset.samples, targets, strict=True))
    return replace(dataset, labels=labels, samples=samples)


def _thin_splits(dataset: Dataset, split: Split, ties: Sequence[Sequence[int]]) -> list[Finding]:
    findings: list[Finding] = []
    task, total = get_task(dataset.task), len(dataset.samples)
    for name in _SPLITS:
        count = len(split.of(name))
        if count == 0:
            raise DataError(
                f"every split needs pictures, {name} has none of {total}; add at least 3 a class{_kept_together(dataset, ties)}"
            )
        if count < 100 and name != "train":
            findings.append(
                Finding(
                    "note",
                    "thin-split",
                    f"{name} has {count} pictures: its {task.headline.words} {task.a_picture(count)}",
                )
            )
    return findings


def _kept_together(dataset: Dataset, ties: Sequence[Sequence[int]]) -> str:
    """What keeps many pictures in one split, for the end of a sentence."""
    groups = Counter(sample.group for sample in dataset.samples if sample.group is not None)
    largest = max([0, *groups.values(), *map(len, ties)])
    if largest < len(dataset.samples) / 5:
        return ""
    return (
        f", or name smaller groups: {largest} pictures stay together since they share a group or look alike"
    )


def _one_sided(dataset: Dataset, split: Split) -> list[Finding]:
    """Classes and labels that are never learned, or never tested."""
    task = get_task(dataset.task)
    if task.kind_names(dataset.targets, dataset.labels) != list(dataset.labels):
        return []
    kinds = task.kinds(dataset.targets, dataset.labels)
    borne = {name: Counter(kind for i in split.of(name) for kind in kinds[i]) for name in _SPLITS}
    totals = Counter(kind for each in kinds for kind in each)
    findings: list[Finding] = []
    untrained = [label for label in dataset.labels if totals[label] and not borne["train"][label]]
    if untrained:
        message = f"no picture of {some([repr(each) for each in untrained])} in train: never learned; move some there, or take it out"
        findings.append(Finding("error", "one-sided", message))
    for name in ("val", "test"):
        unseen = [
            label for label in dataset.labels if totals[label] >= len(_SPLITS) and not borne[name][label]
        ]
        if unseen:
            verb = "tested" if name == "test" else "validated"
            message = f"no picture of {some([repr(each) for each in unseen])} in {name}: never {verb}; add some of other places or groups"
            findings.append(Finding("warning", "one-sided", message))
    return findings


def _fingerprint(dataset: Dataset, scans: Sequence[Scan]) -> str:
    digest, task = hashlib.sha256(), get_task(dataset.task)
    for sample, scan in sorted(zip(dataset.samples, scans, strict=True), key=lambda pair: pair[0].path):
        target = task.text(sample.target, dataset.labels)
        digest.update(f"{dataset.relative(sample)}\0{target}\0{scan.digest}\n".encode())
    return digest.hexdigest()


def _mean_colour(scans: Sequence[Scan]) -> tuple[float, float, float]:
    red, green, blue = (statistics.fmean(s.mean_rgb[band] for s in scans) for band in range(3))
    return red, green, blue


def _uprightness(scans: Sequence[Scan]) -> float:
    thumbnails = np.stack([scan.thumbnail for scan in scans]).astype(np.float64)
    middle = thumbnails.shape[1] // 2
    vertical = thumbnails[:, :middle].mean((1, 2)) - thumbnails[:, middle:].mean((1, 2))
    horizontal = thumbnails[:, :, :middle].mean((1, 2)) - thumbnails[:, :, middle:].mean((1, 2))
    return float((vertical**2).mean() / max((horizontal**2).mean(), 1e-6))
