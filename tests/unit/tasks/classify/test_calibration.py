"""Temperature scaling and the expected calibration error, against numbers that are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.tasks import get_task
from gossamer.tasks.classify.calibration import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
)


def _drawn(temperature, n=20_000, classes=5):
    """Scores whose shares are true once divided by `temperature`, with targets drawn from those shares."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (n, classes))
    shares = np.exp(true) / np.exp(true).sum(1, keepdims=True)
    targets = (shares.cumsum(1) > rng.random((n, 1))).argmax(1)
    return (true * temperature).astype(np.float32), targets


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_scores_were_made_with_is_found(temperature):
    scores, targets = _drawn(temperature)
    assert fit_temperature(scores, targets) == pytest.approx(temperature, rel=0.03)


def test_the_right_temperature_takes_the_error_away():
    scores, targets = _drawn(3.0)
    before = expected_calibration_error(scores, targets)
    after = expected_calibration_error(scores / np.float32(fit_temperature(scores, targets)), targets)
    assert before > 0.15
    assert after < 0.015


def test_a_network_that_is_always_right_is_not_made_infinitely_sure():
    targets = np.arange(100) % 4
    scores = 5 * np.eye(4, dtype=np.float32)[targets]
    shares = np.exp(scores / fit_temperature(scores, targets))
    sure = (shares.max(1) / shares.sum(1)).mean()
    assert 0.98 < sure < 1 - 1 / 300, "a hundred right answers show no more than about 1 - 1 / 102"


def test_the_error_by_hand():
    shares = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]], np.float32)
    targets = np.array([0, 1, 0, 0])
    assert expected_calibration_error(np.log(shares), targets) == pytest.approx((0.8 + 0.8) / 4, abs=1e-6)
    assert expected_calibration_error(np.log(shares), targets, bins=1) == pytest.approx(0.0, abs=1e-6)


def test_likelihood_by_hand_and_no_pictures():
    shares = np.array([[0.5, 0.5], [0.2, 0.8]], np.float32)
    assert negative_log_likelihood(np.log(shares), np.array([0, 1])) == pytest.approx(
        -(np.log(0.5) + np.log(0.8)) / 2, abs=1e-6
    )
    nothing = np.zeros((0, 3), np.float32), np.zeros(0, np.int64)
    assert fit_temperature(*nothing) == 1.0
    assert expected_calibration_error(*nothing) == 0.0


def test_tasks_without_shares_keep_temperature_1():
    outputs, targets = (np.array([[3.0], [1.0]], np.float32),), np.array([[1.0], [3.0]], np.float32)
    for name in ("regress", "multi-label"):
        assert get_task(name).temperature(outputs, targets) == 1.0
