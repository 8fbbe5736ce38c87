"""Which seeds a network may be judged with: not one that holds back pictures it has seen."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gossamer.errors import ModelError, RunFolderError
from gossamer.runs.checking import check_split, checked_data
from gossamer.runs.folder import open_run
from gossamer.runs.reporter import Quiet
from gossamer.runs.train.config import TrainConfig


def _bundle(**provenance):
    return SimpleNamespace(folder="bundle", provenance=provenance)


def _report(*splits):
    samples = [SimpleNamespace(split=split) for split in splits]
    return SimpleNamespace(
        fingerprint="these", split_digest="parted so", dataset=SimpleNamespace(samples=samples)
    )


SEEN = {"data fingerprint": "these", "split seed": 3, "seed": 4}


def test_another_split_of_the_same_pictures_is_refused():
    with pytest.raises(
        ModelError,
        match=r"^bundle was trained on these pictures as split seed 3 parts .* use --split-seed 3$",
    ):
        check_split(_bundle(**SEEN), _report(None, None), 4)


@pytest.mark.parametrize("splits", [("train", None), (None, "test")])
def test_where_a_part_of_the_split_is_ours_the_seed_counts(splits):
    with pytest.raises(ModelError, match="use --split-seed 3"):
        check_split(_bundle(**SEEN), _report(*splits), 4)


def test_splits_that_all_come_with_the_data_are_those_of_every_seed():
    assert check_split(_bundle(**SEEN), _report("train", "val", "test"), 4) is None


@pytest.mark.parametrize(
    "provenance",
    [SEEN, {**SEEN, "split seed": "3"}, {"data fingerprint": "these"}, {"split seed": 9}, {}],
    ids=str,
)
def test_the_same_seed_and_other_pictures_pass(provenance):
    assert check_split(_bundle(**provenance), _report(None), 3) is None


def test_bundles_from_when_one_seed_drew_both_are_told_by_it():
    old = {"data fingerprint": "these", "seed": 3}
    assert check_split(_bundle(**old), _report(None), 3) is None
    with pytest.raises(ModelError, match="use --split-seed 3"):
        check_split(_bundle(**old), _report(None), 4)


def test_the_split_itself_is_compared_where_the_bundle_knows_it():
    same = {**SEEN, "split": "parted so"}
    assert check_split(_bundle(**same), _report(None), 3) is None
    assert check_split(_bundle(**same), _report(None), 9) is None, "another seed that parts them alike"
    other = {**SEEN, "split": "otherwise"}
    with pytest.raises(ModelError, match=r"as split seed 3 parts them.* use --split-seed 3$"):
        check_split(_bundle(**other), _report(None), 4)
    for splits in ((None,), ("train", "val", "test")):
        with pytest.raises(
            ModelError, match=r"parted otherwise.*; give --groups and the columns split and group"
        ):
            check_split(_bundle(**other), _report(*splits), 3)
    assert check_split(_bundle(**{**other, "data fingerprint": "of others"}), _report(None), 3) is None


def _table(folder, test):
    rows = [f"{i}.png,{'oak' if i % 2 else 'elm'},{'test' if i in test else 'train'}" for i in range(20)]
    (folder / "labels.csv").write_text("\n".join(["file,label,split", *rows]) + "\n")


def test_a_run_goes_on_only_with_the_split_that_it_began_with(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    rng = np.random.default_rng(0)
    for i in range(20):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(data / f"{i}.png")
    config = TrainConfig(data=str(data), model="squeezenet_1.1")
    _table(data, test={0, 1, 2, 3})
    with open_run(config, "data", tmp_path / "run", resume=False) as run:
        first = checked_data(str(data), config, run, Quiet(), heading="check")
    with open_run(config, "data", tmp_path / "run", resume=True) as run:
        again = checked_data(str(data), config, run, Quiet(), heading="check")
    assert again.split_digest == first.split_digest
    _table(data, test={0, 1, 2, 5})
    with (
        open_run(config, "data", tmp_path / "run", resume=True) as run,
        pytest.raises(
            RunFolderError, match=r"^--resume needs the same split, .* start a new run with another --out$"
        ),
    ):
        checked_data(str(data), config, run, Quiet(), heading="check")
