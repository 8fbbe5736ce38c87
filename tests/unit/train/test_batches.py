"""The order of pictures is a function of seed and step: a resumed run goes on with what was not seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gossamer.data.batches import EvalBatches, TrainBatches

COUNT = 10
PIXELS = np.arange(COUNT, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
LABELS = np.arange(COUNT, dtype=np.int64) * 10


def _order(*, first=0, chunk=6, batch=3, seed=0, count=COUNT):
    batches = TrainBatches(
        PIXELS[:count], LABELS[:count], batch=batch, chunk=chunk, seed=seed, first=lambda: first
    )
    return [tuple((labels // 10).tolist()) for _, labels in batches]


def test_batches_are_pictures_with_their_labels():
    batches = TrainBatches(PIXELS, LABELS, batch=4, chunk=2, seed=0, first=lambda: 0)
    assert len(batches) == 2
    for pictures, labels in batches:
        assert pictures.shape == (4, 2, 2, 3)
        assert pictures.dtype == torch.uint8
        assert labels.dtype == torch.int64
        assert torch.equal(pictures[:, 0, 0, 0].long() * 10, labels)


def test_a_pass_shows_no_picture_twice_and_leaves_the_last_short_batch_out():
    order = _order(chunk=3)
    seen = [i for batch in order for i in batch]
    assert [len(batch) for batch in order] == [3, 3, 3]
    assert len(set(seen)) == 9


def test_passes_differ_and_together_show_all():
    order = _order(chunk=12)
    passes = [order[i : i + 3] for i in range(0, 12, 3)]
    assert len({tuple(p) for p in passes}) == 4
    assert {i for batch in order for i in batch} == set(range(COUNT))


@pytest.mark.parametrize("step", range(8))
def test_a_resumed_order_is_the_rest_of_the_whole(step):
    whole = _order(chunk=8)
    assert _order(first=step, chunk=8 - step) == whole[step:]


def test_iterating_again_goes_on_from_the_step_of_that_moment():
    steps = iter([0, 4])
    batches = TrainBatches(PIXELS, LABELS, batch=3, chunk=4, seed=0, first=lambda: next(steps))
    both = [tuple((labels // 10).tolist()) for _ in range(2) for _, labels in batches]
    assert both == _order(chunk=8)


def test_the_seed_decides():
    assert _order(seed=1) == _order(seed=1) != _order(seed=2)


def test_fewer_pictures_than_a_batch_come_all_at_once():
    order = _order(batch=32, chunk=3, count=5)
    assert [sorted(batch) for batch in order] == [[0, 1, 2, 3, 4]] * 3


def test_evaluation_shows_all_in_order_the_short_end_too():
    batches = EvalBatches(PIXELS, LABELS, batch=4)
    found = list(batches)
    assert [len(labels) for _, labels in found] == [4, 4, 2]
    assert len(batches) == 3
    assert torch.equal(torch.cat([labels for _, labels in found]), torch.from_numpy(LABELS))
    assert torch.equal(torch.cat([pictures for pictures, _ in found]), torch.from_numpy(PIXELS))


def test_evaluation_copies_so_that_a_mapped_file_stays_as_it_is(tmp_path):
    np.save(tmp_path / "p.npy", PIXELS)
    mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
    for pictures, _ in EvalBatches(mapped, LABELS):
        pictures.zero_()
    assert np.array_equal(np.load(tmp_path / "p.npy"), PIXELS)
