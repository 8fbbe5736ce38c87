"""The knapsack's solution against all there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gossamer.search.integer import solve


@pytest.mark.parametrize("macs", [0.4, 0.6])
def test_no_choice_within_the_budget_is_much_better(make, macs):
    environment = make(macs=macs, multiple=2)
    random = np.random.default_rng(0)
    weights = random.uniform(0.1, 1, len(environment.layers))
    losses = [
        weight * (1 - np.array(choices) / choices[-1]) ** 2
        for weight, choices in zip(weights, environment.choices, strict=True)
    ]

    def loss(counts):
        return sum(
            each[choices.index(count)]
            for each, choices, count in zip(losses, environment.choices, counts, strict=True)
        )

    within = [c for c in itertools.product(*environment.choices) if environment.macs(c) <= environment.limit]
    best = min(loss(counts) for counts in within)
    found = environment.settle(
        environment.shares(solve(environment, losses, around=environment.uniform(), trust=0))
    )
    assert loss(found) <= 1.1 * best
    assert best < loss(environment.uniform())


def test_with_much_trust_nothing_moves(make):
    environment = make()
    uniform = environment.uniform()
    losses = [np.linspace(number, 0, len(choices)) for number, choices in enumerate(environment.choices)]
    assert solve(environment, losses, around=uniform, trust=1e4) == uniform
    assert solve(environment, losses, around=uniform, trust=0) != uniform
