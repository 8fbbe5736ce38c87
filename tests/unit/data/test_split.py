"""The split of made-up datasets: shares, ties, groups, and splits that the data come with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gossamer.data.dataset import Dataset, Sample
from gossamer.data.split import SHARES, Split, split_dataset

ROOT = Path("/made/up")


def _dataset(*samples: tuple[str, int, str | None, str | None]) -> Dataset:
    """Samples of (name, label, group, split)."""
    labels = tuple(f"class{i}" for i in range(1 + max(label for _, label, _, _ in samples)))
    return Dataset("x", ROOT, labels, tuple(Sample(ROOT / n, y, g, s) for n, y, g, s in samples))  # type: ignore[arg-type]


def _classes(*counts: int) -> Dataset:
    return _dataset(
        *((f"{y}/{i}.png", y, None, None) for y, count in enumerate(counts) for i in range(count))
    )


def _table(dataset: Dataset, split: Split) -> list[tuple[int, int, int]]:
    """(train, val, test) pictures of each class."""
    counted = {name: Counter(dataset.samples[i].target for i in split.of(name)) for name in SHARES}
    return [tuple(counted[name][y] for name in SHARES) for y in range(len(dataset.labels))]  # type: ignore[misc]


def test_shares_are_60_20_20():
    assert SHARES == {"train": 0.6, "val": 0.2, "test": 0.2}
    dataset = _classes(100, 10, 50)
    assert _table(dataset, split_dataset(dataset)) == [(60, 20, 20), (6, 2, 2), (30, 10, 10)]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, (1, 0, 0)), (2, (2, 0, 0)), (3, (1, 1, 1)), (4, (2, 1, 1)), (7, (5, 1, 1)), (8, (4, 2, 2))],
)
def test_small_classes(count, expected):
    dataset = _classes(count, 20)
    assert _table(dataset, split_dataset(dataset))[0] == expected


def test_lists_are_ascending_disjoint_and_complete():
    split = split_dataset(_classes(13, 7, 29))
    for part in (split.train, split.val, split.test):
        assert list(part) == sorted(part)
    assert sorted(split.train + split.val + split.test) == list(range(49))
    assert split.of("val") is split.val


def test_the_seed_decides():
    dataset = _classes(30, 30)
    assert split_dataset(dataset, seed=3) == split_dataset(dataset, seed=3)
    assert split_dataset(dataset, seed=3) != split_dataset(dataset, seed=4)


def test_names_decide_not_the_root():
    dataset = _classes(30, 30)
    moved = Dataset(
        "y",
        Path("/else"),
        dataset.labels,
        tuple(Sample(Path("/else") / s.path.relative_to(ROOT), s.target) for s in dataset.samples),
    )
    assert split_dataset(dataset) == split_dataset(moved)


def test_a_new_picture_moves_few_others():
    dataset = _classes(100, 100)
    grown = dataset.keep((*dataset.samples, Sample(ROOT / "0/new.png", 0)))
    before, after = set(split_dataset(dataset).test), set(split_dataset(grown).test)
    assert len(before ^ (after - {200})) <= 4


def test_groups_stay_together_and_shares_hold():
    dataset = _dataset(*((f"{i % 2}/{i:03d}.png", i % 2, f"flight{i // 5}", None) for i in range(200)))
    split = split_dataset(dataset)
    where = {i: name for name in SHARES for i in split.of(name)}
    for start in range(0, 200, 5):
        assert len({where[i] for i in range(start, start + 5)}) == 1
    assert 110 <= len(split.train) <= 130
    assert 30 <= len(split.val) <= 50
    assert 30 <= len(split.test) <= 50


def test_ties_join_groups_into_one_unit():
    samples = [(f"0/{i}.png", 0, f"g{i // 3}", None) for i in range(30)]
    dataset = _dataset(*samples, *((f"1/{i}.png", 1, None, None) for i in range(30)))
    split = split_dataset(dataset, ties=[(0, 29), (29, 30), (15, 16)])
    where = {i: name for name in SHARES for i in split.of(name)}
    assert len({where[i] for i in (0, 1, 2, 27, 28, 29, 30)}) == 1


def test_given_splits_are_kept():
    samples = [
        (f"{s}/0/{i}.png", i % 2, None, s)
        for s, n in (("train", 10), ("val", 4), ("test", 6))
        for i in range(n)
    ]
    dataset = _dataset(*samples)
    assert split_dataset(dataset, seed=5) == Split(
        tuple(range(10)), tuple(range(10, 14)), tuple(range(14, 20))
    )


def test_a_missing_validation_split_is_carved_from_training_alone():
    samples = [(f"train/{i}.png", i % 2, None, "train") for i in range(40)]
    dataset = _dataset(*samples, *((f"test/{i}.png", i % 2, None, "test") for i in range(8)))
    split = split_dataset(dataset)
    assert split.test == tuple(range(40, 48))
    assert _table(dataset, split) == [(15, 5, 4), (15, 5, 4)]


def test_a_missing_test_split_is_carved_from_training_alone():
    samples = [(f"train/{i}.png", i % 2, None, "train") for i in range(40)]
    dataset = _dataset(*samples, *((f"val/{i}.png", i % 2, None, "val") for i in range(8)))
    assert _table(dataset, split_dataset(dataset)) == [(15, 4, 5), (15, 4, 5)]


def test_groups_in_any_order_give_the_same_split():
    samples = [(f"{i % 2}/{i:03d}.png", i % 2, f"g{i % 30}", None) for i in range(120)]
    forward, backward = _dataset(*samples), _dataset(*reversed(samples))
    first, second = split_dataset(forward), split_dataset(backward)
    for name in SHARES:
        assert {forward.samples[i].path for i in first.of(name)} == {
            backward.samples[i].path for i in second.of(name)
        }


def test_large_units_are_placed_first_so_that_small_ones_even_out():
    samples = [(f"{i:02d}.png", 0, "flight" if i < 10 else None, None) for i in range(20)]
    for seed in range(8):
        assert _table(_dataset(*samples), split_dataset(_dataset(*samples), seed=seed)) == [(12, 4, 4)]


@pytest.mark.parametrize(("count", "expected"), [(1, (1, 0)), (2, (1, 1)), (3, (2, 1)), (8, (6, 2))])
def test_a_class_that_could_have_none_to_validate_has_one(count, expected):
    """Of two pictures a quarter is none; where the test split is given, one validates all the same."""
    samples = [(f"0/{i}.png", 0, None, "train") for i in range(count)]
    samples += [(f"1/{i}.png", 1, None, "train") for i in range(20)]
    dataset = _dataset(*samples, ("2/0.png", 0, None, "test"), ("2/1.png", 1, None, "test"))
    assert _table(dataset, split_dataset(dataset))[0] == (*expected, 1)
