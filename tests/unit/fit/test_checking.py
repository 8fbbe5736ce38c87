"""Which seeds a network may be judged with: not one that holds back pictures it has seen."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gossamer.errors import ModelError
from gossamer.fit.checking import check_seed


def _bundle(**provenance):
    return SimpleNamespace(folder="bundle", provenance=provenance)


def _report(*splits):
    samples = [SimpleNamespace(split=split) for split in splits]
    return SimpleNamespace(fingerprint="these", dataset=SimpleNamespace(samples=samples))


SEEN = {"data fingerprint": "these", "seed": 3}


def test_another_split_of_the_same_pictures_is_refused():
    with pytest.raises(
        ModelError, match=r"^bundle was trained on these pictures as seed 3 splits .* use --seed 3$"
    ):
        check_seed(_bundle(**SEEN), _report(None, None), 4)


@pytest.mark.parametrize("splits", [("train", None), (None, "test")])
def test_where_a_part_of_the_split_is_ours_the_seed_counts(splits):
    with pytest.raises(ModelError, match="use --seed 3"):
        check_seed(_bundle(**SEEN), _report(*splits), 4)


def test_splits_that_all_come_with_the_data_are_those_of_every_seed():
    assert check_seed(_bundle(**SEEN), _report("train", "val", "test"), 4) is None


@pytest.mark.parametrize(
    "provenance", [SEEN, {**SEEN, "seed": "3"}, {"data fingerprint": "these"}, {"seed": 9}, {}], ids=str
)
def test_the_same_seed_and_other_pictures_pass(provenance):
    assert check_seed(_bundle(**provenance), _report(None), 3) is None
