"""The step of one tensor at a price: near the best of all steps, nothing where nothing is worth a bit."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.compress.codebook.best_step import BestStep
from gossamer.compress.codebook.feedback import round_with_feedback
from gossamer.deploy.runtimes.packed.codecs import multiples
from gossamer.deploy.runtimes.packed.integers import run_bits

PRICES = (1e-8, 1e-5, 1e-3, 0.03, 0.3, 1.0)
"""Of what the weights are worth."""


def _layer(kind, seed=0):
    """(weights (O, D), second moments (D, D))."""
    rng = np.random.default_rng(seed)
    weights = {
        "normal": rng.standard_normal((32, 24)),
        "sparse": rng.standard_normal((32, 24)) * (rng.random((32, 24)) < 0.2),
        "heavy tails": rng.laplace(size=(16, 24)) * np.exp(rng.standard_normal((16, 1))),
        "a bias": 1 + rng.standard_normal((16, 1)),
    }[kind]
    inputs = rng.standard_normal((weights.shape[1], 100))
    return weights, inputs @ inputs.T


@pytest.mark.parametrize("kind", ["normal", "sparse", "heavy tails", "a bias"])
def test_no_other_step_is_much_better(kind):
    weights, second = _layer(kind)
    search = BestStep(weights, second)
    for share in PRICES:
        price = share * search.worth
        step, rounded = search.at(price)
        costs = []
        for other in np.geomspace(1e-5, 2 * np.abs(weights).max(), 60):
            candidate = round_with_feedback(weights, second, float(np.float32(other)), price)
            costs.append(candidate.loss + price * run_bits(candidate.codes.ravel()))
        assert rounded.loss + price * rounded.bits < 1.05 * min(costs)
        assert step == np.float32(step)


@pytest.mark.parametrize("kind", ["normal", "sparse", "heavy tails", "a bias"])
def test_a_higher_price_buys_fewer_bits(kind):
    search = BestStep(*_layer(kind))
    choices = [search.at(share * search.worth)[1] for share in PRICES]
    bits, losses = [each.bits for each in choices], [each.loss for each in choices]
    assert bits == sorted(bits, reverse=True)
    assert losses == sorted(losses)
    assert bits[0] > 3 * bits[-1]


def test_a_price_above_all_that_can_be_lost_takes_every_weight():
    weights, second = _layer("normal")
    search = BestStep(weights, second)
    lost = search.zeros[1].loss
    assert lost == pytest.approx(np.trace(weights @ second @ weights.T) / 2)
    step, rounded = search.at(lost)
    assert not rounded.codes.any()
    assert not multiples(weights, step).any(), "the file's own rounding agrees"


def test_what_is_never_felt_takes_no_bits():
    weights, _ = _layer("normal")
    assert not BestStep(weights, np.zeros((24, 24))).at(1e-20)[1].codes.any()


@pytest.mark.parametrize("scale", [0.0, 1e-44, 1e-30, 1e30, 3e38])
def test_weights_of_any_size(scale):
    weights = np.float32(scale) * np.array([[1.0, -0.5, 0.25]])
    search = BestStep(weights.astype(np.float64), np.eye(3))
    for price in (0.0, search.worth / 1000, max(search.worth, 1e-300)):
        step, rounded = search.at(price)
        assert 0 < step < np.inf
        assert np.isfinite([rounded.loss, rounded.bits]).all()
    if 1e-40 < scale < 1e38:
        step, rounded = search.at(search.worth / 1e6)
        assert rounded.codes * step == pytest.approx(weights, rel=0.01)


def test_the_same_price_gives_the_same_step_whatever_came_before():
    weights, second = _layer("heavy tails")
    fresh, used = BestStep(weights, second), BestStep(weights, second)
    for share in reversed(PRICES):
        used.at(share * used.worth)
    first, second_time = fresh.at(0.01 * fresh.worth), used.at(0.01 * used.worth)
    assert first[0] == second_time[0]
    assert (first[1].codes == second_time[1].codes).all()
