"""Draws: parts put together are the whole, whatever the cut; ranges hold; pairs stay within their part."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.data.draws import Draws

LIKE = torch.empty(0)
KINDS = {
    "uniform": lambda draws: draws.uniform(-2, 3, LIKE),
    "normal": lambda draws: draws.normal(1, 2, LIKE),
    "integers": lambda draws: draws.integers(7, LIKE),
}


def _draws(part=None, *, count=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Draws.whole_batch(generator, count) if part is None else Draws(generator, count, part)


@given(st.integers(1, 40), st.data(), st.sampled_from(sorted(KINDS)))
def test_parts_put_together_are_the_whole(count, data, kind):
    cut = data.draw(st.integers(0, count))
    whole, left, right = (_draws(part, count=count) for part in (None, slice(0, cut), slice(cut, count)))
    for _ in range(3):
        parts = [KINDS[kind](left), KINDS[kind](right)]
        assert [len(part) for part in parts] == [len(left), len(right)] == [cut, count - cut]
        assert torch.equal(torch.cat(parts), KINDS[kind](whole))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_generator_decides(kind):
    assert torch.equal(KINDS[kind](_draws(seed=1)), KINDS[kind](_draws(seed=1)))
    assert not torch.equal(KINDS[kind](_draws(seed=1)), KINDS[kind](_draws(seed=2)))


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    draws = _draws()
    for kind in KINDS.values():
        kind(draws)
    draws.beta(0.5, LIKE)
    draws.shared(0, 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_ranges_and_moments():
    draws = _draws(count=20_000)
    uniform = draws.uniform(-2, 3, LIKE)
    assert -2 <= float(uniform.min()) < -1.99
    assert 2.99 < float(uniform.max()) < 3
    normal = draws.normal(1, 2, LIKE)
    assert float(normal.mean()) == pytest.approx(1, abs=0.06)
    assert float(normal.std()) == pytest.approx(2, abs=0.06)
    assert torch.bincount(draws.integers(4, LIKE), minlength=4).div(20_000).tolist() == pytest.approx(
        [0.25] * 4, abs=0.02
    )


def test_what_is_for_the_whole_batch_is_the_same_in_every_part():
    parts = [_draws(slice(0, 3)), _draws(slice(3, 12))]
    betas = [draws.beta(0.4, LIKE) for draws in parts]
    assert torch.equal(*betas)
    assert betas[0].shape == ()
    first, second = (draws.shared(5, 6) for draws in parts)
    assert first == second
    assert 5 <= first < 6


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_beta_has_the_mean_and_variance_of_its_distribution(alpha):
    draws = _draws()
    drawn = torch.stack([draws.beta(alpha, LIKE) for _ in range(4000)])
    assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(drawn.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


@given(st.integers(0, 30), st.integers(0, 30))
def test_pairs_are_within_the_part_and_mutual(start, length):
    pairs = _draws(slice(start, start + length), count=60).permutation_pairs()
    own = torch.arange(length)
    assert torch.equal(pairs[pairs], own)
    assert torch.equal((pairs + start)[pairs != own], ((own + start) ^ 1)[pairs != own])
    alone = [start] * (start % 2 and length > 0) + [start + length - 1] * (
        (start + length) % 2 and length > 0
    )
    assert sorted(set(((own + start)[pairs == own]).tolist())) == sorted(set(alone))


def test_parts_of_even_size_pair_as_the_whole():
    whole = _draws(count=10).permutation_pairs()
    parts = [slice(0, 4), slice(4, 10)]
    found = [_draws(part, count=10).permutation_pairs() + part.start for part in parts]
    assert torch.equal(torch.cat(found), whole)
    assert whole.tolist() == [1, 0, 3, 2, 5, 4, 7, 6, 9, 8]


def test_the_last_of_an_odd_batch_is_its_own_partner():
    assert _draws(count=5).permutation_pairs().tolist() == [1, 0, 3, 2, 4]
    assert _draws(count=1).permutation_pairs().tolist() == [0]
