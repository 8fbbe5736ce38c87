"""The order of pictures is a function of seed and step: a resumed run goes on with what was not seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gossamer.data.batches import EvalBatches, TrainBatches
from gossamer.tasks.classify.objective import balanced_shares

COUNT = 10
PIXELS = np.arange(COUNT, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
LABELS = np.arange(COUNT, dtype=np.int64) * 10


def _order(*, first=0, chunk=6, batch=3, seed=0, count=COUNT, **more):
    batches = TrainBatches(
        PIXELS[:count], LABELS[:count], batch=batch, chunk=chunk, seed=seed, first=lambda: first, **more
    )
    return [tuple((part.targets // 10).tolist()) for part in batches]


def test_batches_are_pictures_with_their_labels():
    batches = TrainBatches(PIXELS, LABELS, batch=4, chunk=2, seed=0, first=lambda: 0)
    assert len(batches) == 2
    for pictures, labels, whole, start in batches:
        assert pictures.shape == (len(labels), 2, 2, 3)
        assert (len(labels), start) == (whole, 0)
        assert pictures.dtype == torch.uint8
        assert labels.dtype == torch.int64
        assert torch.equal(pictures[:, 0, 0, 0].long() * 10, labels)


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 7, 9, 10, 32])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_a_pass_shows_every_picture_once_over_all_processes(batch, world):
    steps = -(-COUNT // batch)
    parts = [_order(batch=batch, chunk=2 * steps, rank=rank, world=world) for rank in range(world)]
    whole = _order(batch=batch, chunk=2 * steps)
    assert [sum((part[step] for part in parts), ()) for step in range(2 * steps)] == whole
    for one_pass in (whole[:steps], whole[steps:]):
        assert sorted(i for each in one_pass for i in each) == list(range(COUNT))
        sizes = [len(each) for each in one_pass]
        assert max(sizes) <= batch
        assert max(sizes) - min(sizes) <= 1
    assert COUNT < 3 or whole[:steps] != whole[steps:]


def test_parts_say_where_they_lie():
    for rank, start, length in ((0, 0, 2), (1, 2, 3)):
        part = next(iter(TrainBatches(PIXELS, LABELS, batch=5, seed=0, first=lambda: 0, rank=rank, world=2)))
        assert (part.start, len(part.targets), part.whole) == (start, length, 5)


def test_balanced_sampling_draws_every_class_as_often():
    labels = np.array([0] * 90 + [2] * 10, np.int64)
    shares = balanced_shares(labels)
    assert shares.sum() == pytest.approx(1)
    assert shares[labels == 2].sum() == pytest.approx(0.5)
    pixels = np.zeros((100, 1, 1, 3), np.uint8)
    batches = TrainBatches(pixels, labels, batch=50, chunk=40, seed=0, first=lambda: 0, shares=shares)
    drawn = torch.cat([part.targets for part in batches])
    assert float((drawn == 2).float().mean()) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("step", range(8))
def test_a_resumed_order_is_the_rest_of_the_whole(step):
    whole = _order(chunk=8)
    assert _order(first=step, chunk=8 - step) == whole[step:]


def test_iterating_again_goes_on_from_the_step_of_that_moment():
    steps = iter([0, 4])
    batches = TrainBatches(PIXELS, LABELS, batch=3, chunk=4, seed=0, first=lambda: next(steps))
    both = [tuple((labels // 10).tolist()) for _ in range(2) for _, labels, _, _ in batches]
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


@pytest.mark.parametrize("world", [2, 3])
def test_evaluation_shows_every_picture_once_over_all_processes(world):
    found = [
        int(label)
        for rank in range(world)
        for _, labels in EvalBatches(PIXELS, LABELS, batch=2, rank=rank, world=world)
        for label in labels
    ]
    assert sorted(found) == LABELS.tolist()


def test_evaluation_copies_so_that_a_mapped_file_stays_as_it_is(tmp_path):
    np.save(tmp_path / "p.npy", PIXELS)
    mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
    for pictures, _ in EvalBatches(mapped, LABELS):
        pictures.zero_()
    assert np.array_equal(np.load(tmp_path / "p.npy"), PIXELS)
