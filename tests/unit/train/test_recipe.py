"""The schedule by progress, and which recipe goes with which start."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest

from gossamer.train.recipe import Recipe, recipe_for

RECIPE = Recipe("r", learning_rate=1e-3, body_rate=0.5, warmup=0.1)


def test_the_rate_rises_in_a_line():
    steps = [RECIPE.rate(p / 100, decay_from=0.5) for p in range(10)]
    assert steps[0] == pytest.approx(0.1 / 1.1)
    assert all(0 < a < b < 1 for a, b in pairwise(steps))
    differences = [b - a for a, b in pairwise(steps)]
    assert differences == pytest.approx([differences[0]] * 9)


def test_the_rate_stays_full_until_the_decay():
    assert {RECIPE.rate(p, decay_from=0.5) for p in (0.1, 0.2, 0.35, 0.5)} == {1.0}


def test_the_rate_falls_as_a_cosine_to_zero():
    assert RECIPE.rate(0.75, decay_from=0.5) == pytest.approx(0.5)
    assert RECIPE.rate(0.625, decay_from=0.5) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert RECIPE.rate(1.0, decay_from=0.5) == pytest.approx(0, abs=1e-12)
    assert RECIPE.rate(1.7, decay_from=0.5) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("decay_from", [0.3, 0.5, 0.9])
def test_the_rate_is_a_share_everywhere(decay_from):
    rates = [RECIPE.rate(p / 1000, decay_from=decay_from) for p in range(1001)]
    assert all(0 <= rate <= 1 for rate in rates)
    falling = rates[int(1000 * decay_from) + 1 :]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize("full", [32, 64, 96, 128, 224])
def test_resolutions_grow_to_the_full_one_in_steps_of_sixteen(full):
    sides = [RECIPE.resolution(p / 100, full) for p in range(101)]
    assert sides == sorted(sides)
    assert set(sides[75:]) == {full}
    assert sides[0] == max(32, round(full * RECIPE.start_resolution / 16) * 16)
    assert all(side % 16 == 0 and 32 <= side <= full for side in sides)


def test_pretrained_layers_learn_slower():
    transfer = recipe_for(pretrained=True, view="aerial", pictures=100)
    scratch = recipe_for(pretrained=False, view="ground", pictures=100)
    assert (transfer.name, scratch.name) == ("transfer", "from-scratch")
    assert transfer.body_rate < 1 == scratch.body_rate
    assert transfer.learning_rate < scratch.learning_rate
    assert (transfer.augmentation.view, scratch.augmentation.view) == ("aerial", "ground")


def test_many_pictures_come_in_larger_batches():
    few, many = (recipe_for(pretrained=False, view="ground", pictures=n).batch for n in (19_999, 20_000))
    assert few < many


def test_the_document_holds_every_number():
    document = json.loads(json.dumps(RECIPE.to_json()))
    assert document["learning_rate"] == 1e-3
    assert document["augmentation"]["view"] == "ground"
    assert set(document) == set(Recipe.__dataclass_fields__)
