"""Whatever the pictures, groups and ties: each in one split, nothing tied parted, order without influence."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gossamer.data.dataset import Dataset, Sample
from gossamer.data.split import SHARES, split_dataset

ROOT = Path("/made/up")
SEEDS = st.integers(0, 5)


def _dataset(labels: list[int], groups: list[int | None] | None = None) -> Dataset:
    groups = groups or [None] * len(labels)
    samples = tuple(
        Sample(ROOT / f"{label}/{i}.png", label, None if group is None else f"g{group}")
        for i, (label, group) in enumerate(zip(labels, groups, strict=True))
    )
    return Dataset("x", ROOT, tuple("abcdef"), samples)


LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=60)


@st.composite
def tied(draw: st.DrawFn) -> tuple[Dataset, list[list[int]]]:
    labels = draw(LABELS)
    groups = draw(st.lists(st.none() | st.integers(0, 8), min_size=len(labels), max_size=len(labels)))
    index = st.integers(0, len(labels) - 1)
    return _dataset(labels, groups), draw(st.lists(st.lists(index, min_size=2, max_size=4), max_size=5))


@given(tied(), SEEDS)
def test_every_sample_is_in_exactly_one_split(case, seed):
    dataset, ties = case
    split = split_dataset(dataset, ties=ties, seed=seed)
    assert sorted(split.train + split.val + split.test) == list(range(len(dataset.samples)))


@given(tied(), SEEDS)
def test_ties_and_groups_are_never_parted(case, seed):
    dataset, ties = case
    split = split_dataset(dataset, ties=ties, seed=seed)
    where = {i: name for name in SHARES for i in split.of(name)}
    groups = {s.group for s in dataset.samples} - {None}
    for members in [*ties, *([i for i, s in enumerate(dataset.samples) if s.group == g] for g in groups)]:
        assert len({where[i] for i in members}) == 1


@given(LABELS, SEEDS)
def test_classes_are_shared_out_within_one_picture(labels, seed):
    dataset = _dataset(labels)
    split = split_dataset(dataset, seed=seed)
    totals = Counter(labels)
    for name, share in SHARES.items():
        counted = Counter(dataset.samples[i].target for i in split.of(name))
        for label, total in totals.items():
            assert abs(counted[label] - share * total) <= 1.0 + 1e-9


@given(tied(), SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_samples_and_ties_has_no_influence(case, seed, random):
    dataset, ties = case
    order = list(range(len(dataset.samples)))
    random.shuffle(order)
    position = {old: new for new, old in enumerate(order)}
    shuffled = dataset.keep(tuple(dataset.samples[i] for i in order))
    moved = [[position[i] for i in tie] for tie in reversed(ties)]
    first, second = (
        split_dataset(dataset, ties=ties, seed=seed),
        split_dataset(shuffled, ties=moved, seed=seed),
    )
    for name in SHARES:
        assert {dataset.samples[i].path for i in first.of(name)} == {
            shuffled.samples[i].path for i in second.of(name)
        }


@given(LABELS, st.lists(st.sampled_from([None, "train", "val", "test"]), min_size=60, max_size=60), SEEDS)
def test_given_validation_and_test_pictures_never_move(labels, given_splits, seed):
    dataset = _dataset(labels)
    samples = tuple(
        Sample(s.path, s.target, None, g) for s, g in zip(dataset.samples, given_splits, strict=False)
    )
    split = split_dataset(dataset.keep(samples), seed=seed)
    for i, sample in enumerate(samples):
        if sample.split in ("val", "test"):
            assert i in split.of(sample.split)
    for name in ("val", "test"):
        if any(s.split == name for s in samples):
            assert all(samples[i].split == name for i in split.of(name))
