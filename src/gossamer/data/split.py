"""Which picture trains, which validates, which tests: decided by names and content, never by order or chance."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gossamer.data.dataset import Dataset, SplitName
from gossamer.tasks import get_task

__all__ = ["SHARES", "Split", "split_dataset"]

SHARES: Mapping[SplitName, float] = {"train": 0.6, "val": 0.2, "test": 0.2}


@dataclass(frozen=True)
class Split:
    """Indices into the dataset's samples, each list ascending; no index stands in two lists."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]

    def of(self, name: SplitName) -> tuple[int, ...]:
        """The indices of one split."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]


def split_dataset(dataset: Dataset, *, ties: Sequence[Sequence[int]] = (), seed: int = 0) -> Split:
    """60/20/20, every kind of target in its share; what a group or a tie (duplicates) joins stays together.

    Units are placed in the order of a hash of the seed and their smallest path, largest units first, each into the
    split that lacks most of the unit's kinds. Splits that the data come with are kept; a missing validation split
    is carved from training.
    """
    assigned: dict[int, SplitName] = {
        i: s.split for i, s in enumerate(dataset.samples) if s.split is not None
    }
    given = set(assigned.values())
    shares = {name: share for name, share in SHARES.items() if name == "train" or name not in given}
    kinds = get_task(dataset.task).kinds(dataset.targets, dataset.labels)
    wanted = _wanted(kinds, shares, assigned)
    have: dict[SplitName, Counter[str]] = {name: Counter() for name in shares}
    for unit in _units(dataset, ties, seed):
        movable = [i for i in unit if assigned.get(i, "train") == "train"]
        if not movable:
            continue
        brought = Counter(kind for i in movable for kind in kinds[i])
        best = max(shares, key=lambda name: _need(wanted[name], have[name], brought))
        for i in movable:
            assigned[i] = best
        have[best].update(brought)
    lists = {name: tuple(i for i in sorted(assigned) if assigned[i] == name) for name in SHARES}
    return Split(lists["train"], lists["val"], lists["test"])


def _wanted(
    kinds: Sequence[tuple[str, ...]], shares: Mapping[SplitName, float], assigned: Mapping[int, SplitName]
) -> dict[SplitName, dict[str, float]]:
    """How many pictures of each kind each open split should get, whole numbers that add up."""
    totals = Counter(
        kind for i, each in enumerate(kinds) if assigned.get(i, "train") == "train" for kind in each
    )
    whole = sum(shares.values())
    wanted: dict[SplitName, dict[str, float]] = {name: {} for name in shares}
    for kind, count in totals.items():
        left = count
        for name in [n for n in shares if n != "train"]:
            take = min(max(round(count * shares[name] / whole), 1 if count >= len(shares) else 0), left)
            wanted[name][kind] = take
            left -= take
        wanted["train"][kind] = left
    return wanted


def _need(wanted: Mapping[str, float], have: Counter[str], brought: Counter[str]) -> float:
    """How much the split lacks of what the unit brings, relative to its target, less what would be too much."""
    need = 0.0
    for kind, count in brought.items():
        target = wanted.get(kind, 0.0)
        lack = target - have[kind]
        need += (count * lack / target if target else -count) - max(0.0, count - lack)
    return need


def _units(dataset: Dataset, ties: Sequence[Sequence[int]], seed: int) -> list[list[int]]:
    parent = list(range(len(dataset.samples)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    groups: dict[str, list[int]] = defaultdict(list)
    for i, sample in enumerate(dataset.samples):
        if sample.group is not None:
            groups[sample.group].append(i)
    for members in [*groups.values(), *ties]:
        for other in members[1:]:
            parent[root(other)] = root(members[0])
    units: dict[int, list[int]] = defaultdict(list)
    for i in range(len(parent)):
        units[root(i)].append(i)
    return sorted(units.values(), key=lambda unit: (-len(unit), _order(dataset, unit, seed)))


def _order(dataset: Dataset, unit: Sequence[int], seed: int) -> bytes:
    name = min(dataset.relative(dataset.samples[i]) for i in unit)
    return hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
