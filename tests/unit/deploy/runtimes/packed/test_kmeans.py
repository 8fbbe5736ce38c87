"""Shared values: what k-means of one dimension must do, its three starts, and rows."""

from __future__ import annotations

import time

import numpy as np
import pytest

from gossamer.deploy.runtimes.packed.kmeans import cluster_rows, cluster_values, nearest_values
from gossamer.errors import ModelError

STARTS = ("linear", "density", "uniform")


def _error(values, centres):
    return float(np.square(values - centres[nearest_values(values, centres)]).mean())


@pytest.mark.parametrize("start", STARTS)
def test_separate_heaps_are_found(start):
    rng = np.random.default_rng(0)
    heaps = np.concatenate([centre + 0.01 * rng.standard_normal(100) for centre in (-3.0, 0.5, 2.0)])
    found = cluster_values(heaps, 3, initial=start, seed=1)
    assert found == pytest.approx([-3.0, 0.5, 2.0], abs=0.02)


@pytest.mark.parametrize("start", STARTS)
def test_more_values_lose_less_and_each_is_the_mean_of_its_own(start):
    values = np.random.default_rng(1).standard_normal(5000)
    errors = [_error(values, cluster_values(values, 2**bits, initial=start)) for bits in range(1, 7)]
    assert errors == sorted(errors, reverse=True)
    centres = cluster_values(values, 16, initial=start, steps=2000)
    owner = nearest_values(values, centres)
    means = np.bincount(owner, values) / np.bincount(owner)
    assert means == pytest.approx(centres, abs=1e-3)


def test_two_bits_of_a_normal_distribution_are_near_the_best_possible():
    """Max, 1960: four levels lose 0.1175 of the variance."""
    values = np.random.default_rng(2).standard_normal(200_000)
    assert _error(values, cluster_values(values, 4)) == pytest.approx(0.1175, abs=0.002)


def test_linear_keeps_large_weights_better_than_density():
    """Deep Compression, section 3.3: few weights are large, and they matter."""
    values = np.random.default_rng(3).laplace(size=20_000)
    large = np.abs(values) > 6
    linear, density = (cluster_values(values, 16, initial=start, steps=3) for start in ("linear", "density"))
    errors = [np.abs(c[nearest_values(values, c)] - values)[large].mean() for c in (linear, density)]
    assert errors[0] < errors[1]


def test_weights_pull():
    values, weights = np.array([0.0, 1.0]), np.array([1.0, 3.0])
    assert cluster_values(values, 1, weights=weights) == pytest.approx([0.75])


def test_a_million_values_take_seconds():
    values = np.random.default_rng(4).laplace(size=1_000_000)
    start = time.process_time()
    assert len(cluster_values(values, 256, initial="density")) == 256
    assert time.process_time() - start < 10


def test_few_values_give_few_centres():
    assert cluster_values(np.array([2.0, 2.0]), 8).tolist() == [2.0]
    assert cluster_values(np.zeros(0), 8).tolist() == []


def test_rows():
    rng = np.random.default_rng(5)
    true = np.array([[0.0, 0.0], [5.0, 5.0], [-5.0, 5.0]])
    rows = true[rng.integers(0, 3, 600)] + 0.05 * rng.standard_normal((600, 2))
    centres, owner = cluster_rows(rows, 3, seed=1)
    assert np.square(rows - centres[owner]).sum(1).mean() < 0.01
    exact, owner = cluster_rows(true[[0, 1, 1, 2]], 8)
    assert (exact[owner] == true[[0, 1, 1, 2]]).all()


def test_rows_with_weight_are_represented_better():
    rows = np.random.default_rng(6).standard_normal((400, 3))
    weights = np.where(np.arange(400) < 40, 100.0, 1.0)
    centres, owner = cluster_rows(rows, 20, weights=weights, seed=0)
    error = np.square(rows - centres[owner]).sum(1)
    assert error[:40].mean() < 0.5 * error[40:].mean()


def test_what_cannot_be_clustered():
    with pytest.raises(ModelError, match="at least one value, got 0"):
        cluster_values(np.ones(3), 0)
    with pytest.raises(ModelError, match="NaN or infinite"):
        cluster_values(np.array([1.0, np.nan]), 2)
    with pytest.raises(ModelError, match="linear, density or uniform, got 'random'"):
        cluster_values(np.ones(3), 2, initial="random")
