"""What would make test figures promise too much: the same picture in two splits, and places that are spread over them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gossamer.data.alike import alike_clusters
from gossamer.data.dataset import Dataset, SplitName
from gossamer.data.findings import Finding, many, some
from gossamer.data.oddities import names_of
from gossamer.data.scan import Scan, exact_duplicates
from gossamer.data.split import Split
from gossamer.tasks import get_task

__all__ = ["Duplicates", "duplicates", "spread_folders", "spread_frames"]

_LARGE = 10
"""Pictures in a cluster that are told as frames of one place."""
_MOST = 0.8
"""Share of a class in one cluster above which the class is parted all the same."""
_RUNS = 5
_FRAMES = 30
_NEIGHBOURS = 0.5
"""Frames of one film differ from their neighbours by less than this share of what they differ from others."""
_GROUPS_HINT = "name what belongs together with --groups FILE.csv:COLUMN"


@dataclass
class Duplicates:
    """Pictures that show the same: what is said of them, what must stay together, what is left out."""

    findings: list[Finding] = field(default_factory=list)
    ties: list[list[int]] = field(default_factory=list)
    leaked: set[int] = field(default_factory=set)
    """Training pictures that the data's own split repeats in val or test."""


def duplicates(dataset: Dataset, scans: Sequence[Scan], *, turned: bool) -> Duplicates:
    """Exact copies and look-alikes; `turned` where pictures have no up."""
    exact, near = exact_duplicates(scans), alike_clusters(scans, turned=turned)
    result = Duplicates([_copies(dataset, group) for group in exact], [*exact])
    kinds = get_task(dataset.task).kinds(dataset.targets, dataset.labels)
    totals = Counter(kind for each in kinds for kind in each)
    given = any(sample.split is not None for sample in dataset.samples)
    for cluster in near:
        crowded = [] if given else _crowded(cluster, kinds, totals)
        result.findings.append(_look_alikes(dataset, cluster, crowded))
        result.ties += _runs(dataset, cluster, kinds) if crowded else [cluster]
    _find_leaks(dataset, exact, near, kinds, result)
    return result


def _copies(dataset: Dataset, group: Sequence[int]) -> Finding:
    task, files = get_task(dataset.task), names_of(dataset, group)
    targets = {task.text(dataset.samples[i].target, dataset.labels) for i in group}
    if len(targets) > 1:
        names = ", ".join(repr(text) for text in sorted(targets))
        return Finding(
            "error", "label-conflict", f"the same picture in {names}: {some(files)}; keep one", files
        )
    message = f"the same picture {len(files)} times: {some(files)}; kept in one split"
    return Finding("warning", "duplicate", message, files)


def _crowded(
    cluster: Sequence[int], kinds: Sequence[tuple[str, ...]], totals: Mapping[str, int]
) -> list[str]:
    """Kinds that would have next to nothing to test if the cluster stayed together."""
    if len(cluster) < _LARGE:
        return []
    own = Counter(kind for i in cluster for kind in kinds[i])
    return sorted(kind for kind, count in own.items() if count > _MOST * totals[kind])


def _look_alikes(dataset: Dataset, cluster: Sequence[int], crowded: Sequence[str]) -> Finding:
    files = names_of(dataset, cluster)
    if crowded:
        message = (
            f"{len(files):,} pictures look alike, nearly all of {some([repr(kind) for kind in crowded])}: {some(files)}; parted in runs "
            f"by name, test repeats what was trained and promises too much: add other places or days, or {_GROUPS_HINT}"
        )
        return Finding("error", "alike-class", message, files)
    if len(files) == 2:
        message = f"look alike: {files[0]} and {files[1]}; kept in one split"
    else:
        hint = f"; if they are frames of one place, {_GROUPS_HINT}" if len(files) >= _LARGE else ""
        message = f"{len(files):,} pictures look alike: {some(files)}; kept in one split{hint}"
    return Finding("note", "near-duplicate", message, files)


def _runs(dataset: Dataset, cluster: Sequence[int], kinds: Sequence[tuple[str, ...]]) -> list[list[int]]:
    """Neighbours by name, five runs a kind: what is left between splits is then few of them."""
    by_kind: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i in sorted(cluster, key=lambda i: dataset.relative(dataset.samples[i])):
        by_kind[kinds[i]].append(i)
    return [
        [int(i) for i in run]
        for members in by_kind.values()
        for run in np.array_split(np.array(members), _RUNS)
        if len(run) > 1
    ]


def _find_leaks(
    dataset: Dataset,
    exact: Sequence[Sequence[int]],
    near: Sequence[Sequence[int]],
    kinds: Sequence[tuple[str, ...]],
    result: Duplicates,
) -> None:
    copied, alike = _leaks(dataset, exact), _leaks(dataset, [*exact, *near])
    left = Counter(k for i, s in enumerate(dataset.samples) if s.split == "train" for k in kinds[i])
    lost = Counter(kind for i in alike for kind in kinds[i])
    most = any(2 * count > left[kind] for kind, count in lost.items())
    result.leaked = copied if most else alike
    if result.leaked:
        files = names_of(dataset, sorted(result.leaked))
        message = f"{many(files, 'picture stands', 'pictures stand')} in training and again in val or test, left out of training: {some(files)}"
        result.findings.append(Finding("warning", "leak", message, files))
    if kept := sorted(alike - result.leaked):
        files = names_of(dataset, kept)
        message = (
            f"{many(files, 'training picture looks', 'training pictures look')} like ones in val or test, too many to leave out: "
            f"{some(files)}; test promises too much: split by places or days"
        )
        result.findings.append(Finding("error", "leak", message, files))


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


def spread_folders(root: Path, folders: Sequence[str | None], split: Split) -> list[Finding]:
    """Folders inside class folders of `root`, one a sample, whose pictures stand in several splits."""
    homes: dict[str, set[SplitName]] = defaultdict(set)
    names: tuple[SplitName, ...] = ("train", "val", "test")
    for name in names:
        for i in split.of(name):
            folder = folders[i]
            if folder is not None:
                homes[folder].add(name)
    spread = sorted(folder for folder, splits in homes.items() if len(splits) > 1)
    if not spread or len(homes) < 3:
        return []
    message = (
        f"{len(spread):,} of {len(homes):,} folders inside the class folders stand in several splits: {some(spread)}; if a folder is a "
        f"place, a flight or a day, keep it in one: gossamer check {root} --groups folder"
    )
    return [Finding("warning", "spread-folders", message, tuple(spread))]


def spread_frames(dataset: Dataset, scans: Sequence[Scan]) -> list[Finding]:
    """Folders whose pictures resemble their neighbours by name far more than others: frames of a film, one after another."""
    folders: dict[str, list[int]] = defaultdict(list)
    for i in sorted(range(len(scans)), key=lambda i: dataset.relative(dataset.samples[i])):
        folders[dataset.relative(dataset.samples[i]).rpartition("/")[0]].append(i)
    films = [folder for folder, members in folders.items() if _is_film(scans, members)]
    if not films:
        return []
    message = (
        f"pictures beside each other by name look far more alike than others in {some(films)}: frames of one film or camera that "
        f"stand in several splits promise too much; {_GROUPS_HINT}"
    )
    return [Finding("warning", "frames", message, tuple(films))]


def _is_film(scans: Sequence[Scan], members: Sequence[int]) -> bool:
    if len(members) < _FRAMES:
        return False
    pixels = np.stack([scans[i].thumbnail for i in members]).astype(np.int16)
    near = np.abs(pixels[1:] - pixels[:-1]).mean((1, 2))
    half = len(members) // 2
    far = np.abs(pixels[half:] - pixels[: len(pixels) - half]).mean((1, 2))
    return bool(np.median(near) < _NEIGHBOURS * np.median(far))
