"""What a lossy network loses, picture by picture: counts, intervals, and how one picture is no reason to refuse."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.tasks import get_task
from gossamer.tasks.paired import allowance, paired
from gossamer.types import within

CLASSIFY, LABELS = get_task("classify"), ("a", "b")


def _says(right):
    """Scores of two classes for pictures that are all of the first."""
    right = np.asarray(right, bool)
    return (np.stack([right, ~right], 1).astype(np.float32),)


def _compared(before, after):
    return paired(CLASSIFY, _says(before), _says(after), np.zeros(len(before), np.int64), LABELS)


def test_two_of_192_are_within_chance_and_within_a_limit_of_a_point():
    before = np.ones(192)
    after = before.copy()
    after[:2] = 0
    loss = _compared(before, after)
    assert (loss.lost, loss.pictures, loss.drop) == (2, 192, pytest.approx(2 / 192))
    assert loss.by_chance
    assert loss.told == "2 of 192 pictures lost, within chance"
    assert not within(loss.drop, 0.01)
    assert within(loss.drop, allowance(0.01, 192))


def test_many_lost_and_none_won_is_beyond_chance():
    loss = _compared(np.ones(560), np.arange(560) >= 20)
    assert not loss.by_chance
    assert loss.told == "20 of 560 pictures lost, beyond chance"
    assert not within(loss.drop, allowance(0.01, 560))


def test_as_many_won_as_lost_is_no_loss_but_another_network():
    before, after = np.ones(100), np.ones(100)
    before[:6], after[-6:] = 0, 0
    loss = _compared(before, after)
    assert (loss.lost, loss.drop, loss.agreement) == (0, 0.0, pytest.approx(0.88))
    assert loss.differs
    assert loss.told == "nothing lost on 100 pictures; only 88.0 % of the answers are the same"


def test_what_is_won_is_told_so():
    assert _compared(np.arange(50) >= 1, np.ones(50)).told == "1 of 50 pictures won"


@pytest.mark.parametrize(("worse", "better"), [(0, 0), (3, 1), (10, 10), (40, 5)])
def test_the_interval_covers_what_drawing_again_gives(worse, better):
    before, after = np.ones(400), np.ones(400)
    after[:worse], before[-better or 400 :] = 0, 0
    low, high = _compared(before, after).interval
    generator = np.random.default_rng(0)
    drawn = [(before[i] - after[i]).mean() for i in generator.integers(400, size=(2000, 400))]
    assert low == pytest.approx(np.percentile(drawn, 2.5), abs=0.006)
    assert high == pytest.approx(np.percentile(drawn, 97.5), abs=0.006)


@pytest.mark.parametrize(
    ("max_drop", "pictures", "allowed"), [(0.01, 192, 0.01 + 1 / 192), (0.0, 192, 0.0), (0.01, 0, 0.01)]
)
def test_one_picture_of_slack(max_drop, pictures, allowed):
    assert allowance(max_drop, pictures) == pytest.approx(allowed)


def test_figures_that_are_no_counts_are_drawn_again():
    generator = np.random.default_rng(1)
    truth = generator.normal(size=(80, 1)).astype(np.float32)
    before = truth + 0.1 * generator.normal(size=(80, 1)).astype(np.float32)
    loss = paired(get_task("regress"), (before,), (before + 0.5,), truth, ("height",))
    assert loss.lost is None
    assert loss.interval[0] < loss.drop < loss.interval[1]
    assert not loss.by_chance
    assert "points lost on 80 pictures, beyond chance" in loss.told
