"""Rounding with feedback: better outputs at the same step, fewer bits at a price, plain rounding where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.compress.codebook.feedback import code_bits, entropy_bits, round_with_feedback


@pytest.fixture(scope="module")
def layer():
    """(weights (O, D), inputs (D, N)) with inputs that hang together."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((40, 12)) @ rng.standard_normal((12, 2000))
    return rng.standard_normal((24, 40)), mixing + 0.1 * rng.standard_normal((40, 2000))


def test_the_outputs_of_the_layer_are_kept_better_than_by_plain_rounding(layer):
    weights, inputs = layer
    moment = inputs @ inputs.T / inputs.shape[1]
    rounded = round_with_feedback(weights, moment, 0.5, 0.0)
    plain = np.rint(weights / 0.5) * 0.5 - weights
    own = rounded.codes * 0.5 - weights
    assert np.square(own @ inputs).mean() < 0.4 * np.square(plain @ inputs).mean()
    assert rounded.loss == pytest.approx(np.square(own @ inputs).mean() * len(weights) / 2, rel=1e-6)


def test_a_price_buys_fewer_bits_for_more_loss(layer):
    weights, inputs = layer
    moment = inputs @ inputs.T / inputs.shape[1]
    bits, losses = [], []
    for price in (0.0, 0.01, 0.1, 1.0, 1e6):
        rounded = round_with_feedback(weights, moment, 0.3, price)
        bits.append(rounded.bits)
        losses.append(rounded.loss)
    assert bits == sorted(bits, reverse=True)
    assert losses[1:] == sorted(losses[1:])
    assert not round_with_feedback(weights, moment, 0.3, 1e6).codes.any()


def test_independent_inputs_mean_plain_rounding(layer):
    weights, _ = layer
    rounded = round_with_feedback(weights, np.eye(40), 0.2, 0.0)
    assert (rounded.codes == np.rint(weights / 0.2)).all()


def test_a_layer_that_sees_only_zeros_is_rounded_plainly(layer):
    weights, _ = layer
    rounded = round_with_feedback(weights, np.zeros((40, 40)), 0.2, 1.0)
    assert (rounded.codes == np.rint(weights / 0.2)).all()
    assert rounded.loss == 0.0


def test_bits_by_hand():
    codes = np.array([0] * 4 + [1] * 2 + [2] * 2)
    assert entropy_bits(codes) == pytest.approx(4 * 1 + 4 * 2)
    bits = code_bits(codes, 4)
    assert bits[4] == pytest.approx(1.0, abs=0.2)
    assert bits[5] < bits[0]
