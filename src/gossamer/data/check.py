"""The data doctor: what would hurt a training run, one line a finding, before any time is spent on it."""

from __future__ import annotations

import csv
import hashlib
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gossamer.data.bands import Bands, find_bands, measure_bands
from gossamer.data.dataset import Dataset, open_dataset
from gossamer.data.scan import Scan, exact_duplicates, near_duplicates, scan_files
from gossamer.data.split import Split, split_dataset
from gossamer.errors import DataError
from gossamer.tasks import get_task

__all__ = ["CheckReport", "Finding", "OnBad", "check"]

OnBad = Literal["skip", "stop"]
Severity = Literal["error", "warning", "note"]
_SIZE_RATIO = 8.0
_UPSCALED_SIDE = 32


@dataclass(frozen=True)
class Finding:
    """One thing that would hurt; `files` are paths below the root."""

    severity: Severity
    code: str
    message: str
    files: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON object."""
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "files": list(self.files),
        }


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

    @property
    def split_digest(self) -> str:
        """Changes when a picture comes into another split, by whatever option, table or folder; 20 hexadecimal digits."""
        digest = hashlib.sha256()
        for name in ("train", "val", "test"):
            files = sorted(_names(self.dataset, self.split.of(name)))
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
    dataset = _with_groups(open_dataset(data), groups)
    total = len(dataset.samples)
    paths = [s.path for s in dataset.samples]
    names = find_bands(paths, bands)
    scans = scan_files(paths, bands=names, tick=None if tick is None else lambda done: tick(done, total))
    findings = _bad_files(dataset, scans)
    skipped = tuple(file for finding in findings for file in finding.files)
    if skipped and on_bad == "stop":
        raise DataError(
            f"{len(skipped)} pictures cannot be used and --on-bad is stop; first: {findings[0].message}"
        )
    good = [i for i, scan in enumerate(scans) if scan.problem is None]
    scans = [scans[i] for i in good]
    dataset = dataset.keep(tuple(dataset.samples[i] for i in good))
    dataset = _settled(dataset, skipped)
    findings += _odd_files(dataset, scans) + _odd_targets(dataset) + _odd_sizes(dataset, scans)
    dataset, scans, ties, duplicates, leaked = _duplicates(dataset, scans)
    split = split_dataset(dataset, ties=ties, seed=split_seed)
    findings += duplicates + _thin_splits(dataset, split)
    return CheckReport(
        dataset,
        split,
        tuple(sorted(findings, key=lambda f: ("error", "warning", "note").index(f.severity))),
        skipped + leaked,
        _fingerprint(dataset, scans),
        round(statistics.median(min(s.header.size) for s in scans if s.header is not None)),
        _mean_colour(scans),
        _uprightness(scans),
        None if names is None else measure_bands([dataset.samples[i].path for i in split.train], names),
    )


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
    path, _, column = groups.rpartition(":")
    if not path:
        raise DataError(
            f"groups are 'folder' or FILE.csv:COLUMN, got {groups!r}; name the column after a colon"
        )
    table = _read_groups(Path(path), column)
    missing = [dataset.relative(s) for s in dataset.samples if dataset.relative(s) not in table]
    if missing:
        raise DataError(
            f"{path} must name a group for every picture, {len(missing)} are missing, first {missing[0]}; add them"
        )
    return dataset.keep(tuple(replace(s, group=table[dataset.relative(s)]) for s in dataset.samples))


def _read_groups(path: Path, column: str) -> dict[str, str]:
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


def _bad_files(dataset: Dataset, scans: Sequence[Scan]) -> list[Finding]:
    return [
        Finding("error", "unreadable", scan.problem, (dataset.relative(sample),))
        for sample, scan in zip(dataset.samples, scans, strict=True)
        if scan.problem is not None
    ]


def _settled(dataset: Dataset, skipped: Sequence[str]) -> Dataset:
    """Without the labels that nothing bears any more."""
    where = str(dataset.root) + (f" after skipping {len(skipped)} bad files" if skipped else "")
    targets, labels = get_task(dataset.task).settle(dataset.targets, dataset.labels, where)
    samples = tuple(replace(s, target=t) for s, t in zip(dataset.samples, targets, strict=True))
    return replace(dataset, labels=labels, samples=samples)


def _odd_files(dataset: Dataset, scans: Sequence[Scan]) -> list[Finding]:
    kinds: dict[str, tuple[str, Callable[[Scan], bool]]] = {
        "animated": (
            "more than one frame; the first is used",
            lambda s: s.header is not None and s.header.frames > 1,
        ),
        "cmyk": (
            "CMYK colours; converted to RGB",
            lambda s: s.header is not None and s.header.mode == "CMYK",
        ),
        "wide": ("more than 8 bits a band; scaled to 8", lambda s: s.header is not None and s.header.wide),
        "bands": (
            "a band beside red, green and blue; dropped",
            lambda s: s.header is not None and s.header.mode != "CMYK" and s.header.bands in (2, 4),
        ),
    }
    findings: list[Finding] = []
    for code, (what, test) in kinds.items():
        files = _names(dataset, [i for i, scan in enumerate(scans) if test(scan)])
        findings += [Finding("warning", code, f"{file}: {what}", (file,)) for file in files]
    hollow = [i for i, scan in enumerate(scans) if scan.empty]
    if hollow:
        files = _names(dataset, hollow)
        most = max(scans[i].empty for i in hollow)
        message = (
            f"{_many(files, 'picture has', 'pictures have')} places without data (up to {most:.0%}), which take the mean of "
            f"their band: {_some(files)}"
        )
        findings.append(Finding("warning", "no-data", message, files))
    if dataset.ignored:
        files = tuple(path.relative_to(dataset.root).as_posix() for path in dataset.ignored)
        findings.append(
            Finding(
                "note",
                "ignored",
                f"{_many(files, 'file is', 'files are')} no pictures by name: {_some(files)}",
                files,
            )
        )
    return findings


def _odd_targets(dataset: Dataset) -> list[Finding]:
    remarks = get_task(dataset.task).remarks(dataset.targets, dataset.labels)
    return [Finding(remark.severity, remark.code, remark.message) for remark in remarks]


def _odd_sizes(dataset: Dataset, scans: Sequence[Scan]) -> list[Finding]:
    sides = [min(s.header.size) for s in scans if s.header is not None]
    findings: list[Finding] = []
    if max(sides) / min(sides) >= _SIZE_RATIO:
        message = f"short sides run from {min(sides)} to {max(sides)} pixels: objects differ in scale; sort or cut them alike"
        findings.append(Finding("warning", "sizes", message))
    tiny = _names(dataset, [i for i, side in enumerate(sides) if side < _UPSCALED_SIDE])
    if tiny:
        message = f"{_many(tiny, 'picture has', 'pictures have')} a side under {_UPSCALED_SIDE} pixels: {_some(tiny)}"
        findings.append(Finding("warning", "tiny-picture", message, tiny))
    long = [
        i for i, s in enumerate(scans) if s.header is not None and max(s.header.size) > 3 * min(s.header.size)
    ]
    if long:
        files = _names(dataset, long)
        message = f"{_many(files, 'picture is', 'pictures are')} over three times as long as wide, the ends are cut: {_some(files)}"
        findings.append(Finding("warning", "long", message, files))
    return findings


def _duplicates(
    dataset: Dataset, scans: list[Scan]
) -> tuple[Dataset, list[Scan], list[list[int]], list[Finding], tuple[str, ...]]:
    """Findings on duplicates, the ties that keep them in one split, and the dataset without what leaks into test."""
    exact, near = exact_duplicates(scans), near_duplicates(scans)
    task = get_task(dataset.task)
    ties = [*exact, *([a, b] for a, b in near)]
    findings: list[Finding] = []
    for group in exact:
        files = _names(dataset, group)
        targets = {task.text(dataset.samples[i].target, dataset.labels) for i in group}
        if len(targets) > 1:
            names = ", ".join(repr(text) for text in sorted(targets))
            findings.append(
                Finding(
                    "error", "label-conflict", f"the same picture in {names}: {_some(files)}; keep one", files
                )
            )
        else:
            findings.append(
                Finding(
                    "warning",
                    "duplicate",
                    f"the same picture {len(files)} times: {_some(files)}; kept in one split",
                    files,
                )
            )
    for a, b in near:
        files = _names(dataset, (a, b))
        findings.append(
            Finding(
                "note", "near-duplicate", f"look alike: {files[0]} and {files[1]}; kept in one split", files
            )
        )
    leaked = _leaks(dataset, ties)
    if leaked:
        files = _names(dataset, sorted(leaked))
        message = f"{_many(files, 'picture stands', 'pictures stand')} in training and again in val or test, left out of training: {_some(files)}"
        findings.append(Finding("warning", "leak", message, files))
        keep = [i for i in range(len(scans)) if i not in leaked]
        renumber = {old: new for new, old in enumerate(keep)}
        dataset = dataset.keep(tuple(dataset.samples[i] for i in keep))
        scans = [scans[i] for i in keep]
        ties = [[renumber[i] for i in tie if i in renumber] for tie in ties]
        return dataset, scans, [t for t in ties if len(t) > 1], findings, files
    return dataset, scans, ties, findings, ()


def _leaks(dataset: Dataset, ties: Sequence[Sequence[int]]) -> set[int]:
    """Training pictures that the data's own split repeats in val or test."""
    leaked: set[int] = set()
    for tie in ties:
        splits: dict[str | None, list[int]] = defaultdict(list)
        for i in tie:
            splits[dataset.samples[i].split].append(i)
        if splits.get("train") and (splits.get("val") or splits.get("test")):
            leaked.update(splits["train"])
    return leaked


def _thin_splits(dataset: Dataset, split: Split) -> list[Finding]:
    findings: list[Finding] = []
    task = get_task(dataset.task)
    for name in ("val", "test"):
        count = len(split.of(name))
        if count == 0:
            raise DataError(
                f"every split needs pictures, {name} has none of {len(dataset.samples)}; add at least 3 a class"
            )
        if count < 100:
            findings.append(
                Finding(
                    "note",
                    "thin-split",
                    f"{name} has {count} pictures: its {task.headline.words} {task.a_picture(count)}",
                )
            )
    if not split.train:
        raise DataError(
            f"every split needs pictures, train has none of {len(dataset.samples)}; add at least 3 a class"
        )
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


def _names(dataset: Dataset, indices: Iterable[int]) -> tuple[str, ...]:
    return tuple(dataset.relative(dataset.samples[i]) for i in indices)


def _some(files: Sequence[str]) -> str:
    return ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")


def _many(items: Sequence[object], one: str, more: str) -> str:
    return f"{len(items)} {one if len(items) == 1 else more}"
