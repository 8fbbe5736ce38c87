"""Intervals that draw the pictures again, beside those of theory."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.tasks.intervals import bootstrap_intervals


def test_of_a_mean_it_is_that_of_the_normal_distribution():
    """1.96 standard errors to either side (Efron 1979): 400 draws know the ends to about a tenth of it."""
    values = np.random.default_rng(1).normal(5, 2, 2000)
    (low, high) = bootstrap_intervals(lambda drawn: {"mean": values[drawn].mean()}, len(values))["mean"]
    error = values.std() / np.sqrt(len(values))
    assert (values.mean() - low) / error == pytest.approx(1.96, rel=0.12)
    assert (high - values.mean()) / error == pytest.approx(1.96, rel=0.12)


def test_the_draws_are_fixed():
    def figures(drawn):
        return {"first": float(drawn[0])}

    assert bootstrap_intervals(figures, 50) == bootstrap_intervals(figures, 50)
