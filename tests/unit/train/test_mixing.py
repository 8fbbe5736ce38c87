"""Mixing: targets are shares, cutmix's are those of the area, losses are torch's, weights have a mean of 1."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from gossamer.data.draws import Draws
from gossamer.tasks.classify.objective import OBJECTIVE, class_weights
from gossamer.train.mixing import mix

NOTHING = {"mixup": 0.0, "cutmix": 0.0}


def _batch(count=6, classes=5, side=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.rand(count, 3, side, side + 4, generator=generator)
    return inputs, torch.randint(classes, (count,), generator=generator)


def _mix(inputs, labels, seed=0, classes=5, smoothing=0.0, **how):
    encoded = OBJECTIVE.encode(labels, classes, smoothing)
    draws = Draws.whole_batch(torch.Generator().manual_seed(seed), len(labels))
    return mix(inputs, encoded, draws=draws, **{**NOTHING, **how})


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_without_mixing_targets_are_smoothed_labels(smoothing):
    inputs, labels = _batch()
    same, targets = _mix(inputs, labels, smoothing=smoothing)
    assert same is inputs
    expected = torch.full((6, 5), smoothing / 5)
    expected[range(6), labels] += 1 - smoothing
    assert torch.allclose(targets, expected)


@given(
    st.integers(1, 9), st.integers(0, 1000), st.sampled_from([0, 0.2, 1]), st.sampled_from([0, 0.2, 1]),
    st.sampled_from([0, 0.1]),
)  # fmt: skip
def test_targets_sum_to_one_and_what_is_given_stays(count, seed, mixup, cutmix, smoothing):
    inputs, labels = _batch(count)
    before = inputs.clone()
    mixed, targets = _mix(inputs, labels, seed, mixup=mixup, cutmix=cutmix, smoothing=smoothing)
    assert mixed.shape == inputs.shape
    assert torch.equal(inputs, before)
    assert torch.allclose(targets.sum(1), torch.ones(count))
    assert float(targets.min()) >= 0
    if count % 2:
        assert torch.equal(mixed[-1], inputs[-1])


@pytest.mark.parametrize("seed", range(5))
def test_mixup_mixes_pictures_and_targets_by_the_same_share(seed):
    inputs, labels = _batch()
    mixed, targets = _mix(inputs, labels, seed, mixup=0.4)
    partner = torch.tensor([1, 0, 3, 2, 5, 4])
    generator = torch.Generator().manual_seed(seed)
    kept = Draws.whole_batch(generator, 6).beta(0.4, inputs)
    assert torch.allclose(mixed, kept * inputs + (1 - kept) * inputs[partner], atol=1e-6)
    one_hot = F.one_hot(labels, 5).float()
    assert torch.allclose(targets, kept * one_hot + (1 - kept) * one_hot[partner], atol=1e-6)


@given(st.integers(0, 200))
def test_cutmix_pastes_a_rectangle_and_its_share(seed):
    inputs, labels = _batch()
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    mixed, targets = _mix(inputs, labels, seed, cutmix=1.0)
    partner = torch.tensor([1, 0, 3, 2, 5, 4])
    pasted = (mixed == inputs[partner]).all(1)
    assert bool((pasted | (mixed == inputs).all(1)).all())
    assert bool((pasted == pasted[0]).all()), "one rectangle for the batch"
    rows, columns = pasted[0].any(1), pasted[0].any(0)
    assert torch.equal(pasted[0], rows[:, None] & columns[None])
    assert bool(rows.diff().sum() <= 2)
    share = pasted[0].float().mean()
    assert torch.allclose(targets[torch.arange(6), labels], 1 - share)
    assert torch.allclose(targets[torch.arange(6), labels[partner]], share)


def test_a_rectangle_has_the_area_that_beta_says_where_it_is_not_cut_off():
    inputs, labels = torch.zeros(2, 1, 200, 200), torch.tensor([0, 1])
    within = 0
    for seed in range(40):
        kept = float(Draws.whole_batch(torch.Generator().manual_seed(seed), 2).beta(1.0, inputs))
        _, targets = _mix(inputs, labels, seed, cutmix=1.0)
        assert float(targets[0, 1]) <= 1 - kept + 0.01
        within += abs(float(targets[0, 1]) - (1 - kept)) < 0.01
    assert 5 < within < 35


def test_with_both_each_batch_takes_either():
    inputs, labels = _batch()
    swapped = inputs[[1, 0, 3, 2, 5, 4]]
    kinds = []
    for seed in range(60):
        mixed, _ = _mix(inputs, labels, seed, mixup=1.0, cutmix=1.0)
        kinds.append(bool(((mixed == inputs) | (mixed == swapped)).all()))
    assert 18 < sum(kinds) < 42


@pytest.mark.parametrize("how", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 1.0, "cutmix": 1.0}])
def test_even_parts_put_together_are_the_whole_bit_for_bit(how):
    inputs, labels = _batch(10)
    for seed in range(8):
        parts = [
            mix(
                inputs[part], OBJECTIVE.encode(labels[part], 5), **{**NOTHING, **how},
                draws=Draws(torch.Generator().manual_seed(seed), 10, part),
            )
            for part in (slice(0, 4), slice(4, 10))
        ]  # fmt: skip
        for found, whole in zip(zip(*parts, strict=True), _mix(inputs, labels, seed, **how), strict=True):
            assert torch.equal(torch.cat(found), whole)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighed", [False, True])
def test_losses_are_torchs(smoothing, weighed):
    inputs, labels = _batch()
    scores = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
    weights = torch.tensor([0.5, 2.0, 1.0, 0.0, 3.0]) if weighed else None
    _, targets = _mix(inputs, labels, smoothing=smoothing)
    expected = F.cross_entropy(scores, labels, weights, reduction="none", label_smoothing=smoothing)
    assert torch.allclose(OBJECTIVE.losses(scores, targets, weights), expected, atol=1e-6)


def test_losses_of_mixed_targets_are_mixed_losses():
    scores = torch.tensor([[2.0, -1.0, 0.5]])
    losses = [F.cross_entropy(scores, torch.tensor([k])) for k in (0, 2)]
    found = OBJECTIVE.losses(scores, torch.tensor([[0.3, 0.0, 0.7]]), None)
    assert found.tolist() == pytest.approx([float(0.3 * losses[0] + 0.7 * losses[1])])
    assert OBJECTIVE.losses(scores.bfloat16(), torch.tensor([[1.0, 0, 0]]), None).dtype == torch.float32


def test_class_weights_by_hand():
    weights = class_weights(torch.tensor([0, 0, 0, 2]), 4)
    assert weights.tolist() == pytest.approx([4 / (2 * 3), 0, 4 / 2, 0])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_class_weights_have_a_mean_of_one_over_the_pictures(labels):
    labels = torch.tensor(labels)
    weights = class_weights(labels, 7)
    assert float(weights[labels].mean()) == pytest.approx(1)
    totals = torch.bincount(labels, minlength=7) * weights
    assert totals[totals > 0].tolist() == pytest.approx([float(totals.max())] * int((totals > 0).sum()))
    assert not weights[torch.bincount(labels, minlength=7) == 0].any()
