"""Strategies on a space that is no network: three numbers, their product, and a score that anyone can work out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gossamer.errors import GossamerError
from gossamer.search import amc, evolve, integer, netadapt, uniform
from gossamer.search.space import Evaluated


class Boxes:
    """Three sides from 1 to 8; `macs` is their sum, the first side is worth most."""

    worth = (1.0, 0.3, 0.1)
    layers, whole, least, limit = "abc", (8, 8, 8), (1, 1, 1), 12
    choices = (tuple(range(1, 9)),) * 3

    def macs(self, counts):
        return sum(counts)

    def shares(self, counts):
        return tuple(count / 8 for count in counts)

    def nearest(self, policy):
        return tuple(min(8, max(1, round(8 * share))) for share in policy)

    def settle(self, policy):
        counts = list(self.nearest(policy))
        while sum(counts) > self.limit:
            counts[counts.index(max(counts))] -= 1
        while sum(counts) < self.limit:
            counts[min(range(3), key=lambda i: counts[i] - 8 * policy[i])] += 1
        return tuple(counts)

    def wall(self, before, share):
        room = self.limit - sum(before) - (2 - len(before))
        return max(1, min(8, round(8 * share), room))

    def uniform(self):
        return (4, 4, 4)

    def ranked(self):
        return None

    def evaluate_counts(self, counts):
        score = sum(w * math.log(c) for w, c in zip(self.worth, counts, strict=True))
        return Evaluated(counts, self.shares(counts), sum(counts) / 24, score)


class Seen:
    def at(self, before):
        return np.array([len(before), *before, *[0] * (3 - len(before))], np.float32) / 8


class Sums:
    def milliseconds(self, counts):
        return float(sum(counts))


WAYS = {
    "amc": lambda **rest: amc.drive(Boxes(), Seen(), **rest),
    "evolve": lambda **rest: evolve.drive(Boxes(), **rest),
    "integer": lambda **rest: integer.drive(Boxes(), **rest),
    "netadapt": lambda **rest: netadapt.drive(Boxes(), Sums, **rest),
}


@pytest.mark.parametrize("name", WAYS)
def test_the_side_that_is_worth_most_grows_within_the_budget(name):
    found = WAYS[name](evaluations=40, seed=0)
    assert sum(found.counts) <= Boxes.limit
    assert found.score > Boxes().evaluate_counts((4, 4, 4)).score
    assert found.counts[0] > 4 > found.counts[2]
    assert found.evaluations <= 40
    assert WAYS[name](evaluations=40, seed=0) == found


def test_uniform_is_measured_alone():
    found = uniform.drive(Boxes())
    assert (found.counts, found.evaluations) == ((4, 4, 4), 1)


def test_nothing_is_timed_where_the_evaluations_do_not_suffice():
    def timed():
        raise AssertionError("a table was measured")

    with pytest.raises(GossamerError, match="needs at least 6 evaluations for 3 layers, got 5"):
        netadapt.drive(Boxes(), timed, evaluations=5)
