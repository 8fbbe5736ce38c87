"""The split has a seed of its own: trainings of one split are compared, networks that saw another are refused."""

from __future__ import annotations

import pytest
from tests.e2e.conftest import write_coloured

from gossamer.data.check import check
from gossamer.deploy.bundle import Bundle
from gossamer.deploy.contract import InputContract
from gossamer.errors import ModelError
from gossamer.runs.checking import check_split
from gossamer.types import Size
from gossamer.zoo.spec import ModelSpec


@pytest.fixture
def report(tmp_path):
    return check(write_coloured(tmp_path / "data", side=16))


def _bundle(tmp_path, **provenance):
    return Bundle(
        folder=tmp_path / "bundle",
        spec=ModelSpec(name="squeezenet_1.1", arguments={"num_classes": 3}),
        contract=InputContract.of("imagenet", Size(32, 32)),
        labels=("a", "b", "c"),
        task="classify",
        files=(),
        measured={},
        provenance=provenance,
    )


def test_seeds_of_the_split_part_the_pictures_otherwise_and_the_default_is_0(tmp_path, report):
    root = report.dataset.root
    assert check(root, split_seed=0).split == report.split
    assert check(root, split_seed=1).split != report.split


@pytest.mark.parametrize("seed", ["0", "7"])
def test_another_training_seed_is_welcome(tmp_path, report, seed):
    told = {"data fingerprint": report.fingerprint, "seed": seed, "split seed": "0"}
    check_split(_bundle(tmp_path, **told), report, 0)


def test_another_split_of_the_same_pictures_is_refused_with_the_seed_to_give(tmp_path, report):
    told = {"data fingerprint": report.fingerprint, "seed": "0", "split seed": "3"}
    with pytest.raises(
        ModelError, match=r"as split seed 3 parts them.*split seed 0 holds back.*use --split-seed 3$"
    ):
        check_split(_bundle(tmp_path, **told), report, 0)


def test_bundles_of_one_seed_for_both_are_known_by_it(tmp_path, report):
    earlier = {"data fingerprint": report.fingerprint, "seed": "3"}
    check_split(_bundle(tmp_path, **earlier), report, 3)
    with pytest.raises(ModelError, match="use --split-seed 3"):
        check_split(_bundle(tmp_path, **earlier), report, 0)


def test_other_pictures_are_no_matter(tmp_path, report):
    check_split(_bundle(tmp_path, **{"data fingerprint": "of others", "split seed": "3"}), report, 0)


def test_splits_that_the_data_give_know_no_seed(tmp_path):
    for split in ("train", "val", "test"):
        write_coloured(tmp_path / "given" / split, count=3, side=16, seed=len(split))
    report = check(tmp_path / "given")
    told = {"data fingerprint": report.fingerprint, "split seed": "3"}
    check_split(_bundle(tmp_path, **told), report, 0)
