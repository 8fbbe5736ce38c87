"""The schedule by progress, and which recipe goes with which start."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
import yaml

from gossamer.errors import GossamerError
from gossamer.train.recipe import Recipe, changed

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


def test_the_document_holds_every_number():
    document = json.loads(json.dumps(RECIPE.to_json()))
    assert document["learning_rate"] == 1e-3
    assert document["augmentation"]["view"] == "ground"
    assert set(document) == set(Recipe.__dataclass_fields__)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("linear", {0.1: 1.0, 0.55: 0.5, 1.0: 0.0}),
        ("step", {0.1: 1.0, 0.49: 1.0, 0.5: 0.1, 0.75: 0.01, 1.0: 0.01}),
        ("exponential", {0.1: 1.0, 0.55: 0.1**0.5, 1.0: 0.1}),
        ("constant", {0.1: 1.0, 1.0: 1.0}),
        ("one-cycle", {0.55: 0.5, 1.0: 0.0}),
    ],
)
def test_schedules(schedule, rates):
    recipe = Recipe("r", learning_rate=1e-3, warmup=0.1, schedule=schedule)
    for progress, share in rates.items():
        assert recipe.rate(progress) == pytest.approx(share, abs=1e-12), progress


def test_momentum_of_one_cycle_falls_as_the_rate_rises():
    recipe = Recipe("r", learning_rate=1e-3, warmup=0.3, schedule="one-cycle", momentum=0.95)
    assert recipe.momentum_at(0.3) == pytest.approx(0.85)
    assert recipe.momentum_at(1.0) == pytest.approx(0.95)
    assert Recipe("r", learning_rate=1e-3).momentum_at(0.3) == 0.9


def test_a_recipe_survives_yaml():
    recipe = changed(RECIPE, ["optimiser=sgd", "mixup=0.2", "augmentation.degrees=5", "milestones=0.2,0.4"])
    assert Recipe.from_json(yaml.safe_load(recipe.to_yaml())) == recipe


def test_one_key_is_changed():
    found = changed(RECIPE, ["batch=64", "compile=true", "distillation.dkd=1", "augmentation.view=aerial"])
    assert (found.batch, found.compile, found.distillation.dkd) == (64, True, 1.0)
    assert (found.augmentation.view, found.learning_rate) == ("aerial", RECIPE.learning_rate)
    assert changed(found, []) is found


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("learning_rat=1", r"^a recipe has no 'learning_rat'; did you mean 'learning_rate'"),
        ("augmentation=1", r"^a recipe has no 'augmentation'"),
        (
            "augmentation.degree=1",
            r"^a recipe has no 'augmentation.degree'; did you mean 'augmentation.degrees'",
        ),
        ("batch.size=1", r"^a recipe has no 'batch.size'"),
        ("batch", r"^--set is key=value, got 'batch'"),
        ("batch=1.5", r"^batch is a whole number, got '1.5'"),
        ("batch=0", r"^batch is at least 1, got 0"),
        ("learning_rate=nan", r"^learning_rate is a number, got 'nan'"),
        ("learning_rate=fast", r"^learning_rate is a number, got 'fast'"),
        ("learning_rate=-1", r"^learning_rate is at least 1e-12, got -1"),
        ("warmup=1.5", r"^warmup is a share of at most 1, got 1.5"),
        ("optimiser=adam", r"^optimiser is one of adamw, sgd, rmsprop, lamb, got 'adam'"),
        ("nesterov=perhaps", r"^nesterov is true or false, got 'perhaps'"),
    ],
)
def test_what_cannot_be_set_is_an_error(setting, message):
    with pytest.raises(GossamerError, match=message):
        changed(RECIPE, [setting])


@pytest.mark.parametrize("setting", ["learning_rate=1", "distillation.logits=2", "ema_decay=0", "epochs=3"])
def test_what_does_not_touch_the_pictures_leaves_their_key(setting):
    recipe = Recipe("any", learning_rate=0.1)
    assert changed(recipe, [setting]).of_pictures() == recipe.of_pictures()


@pytest.mark.parametrize(
    "setting", ["batch=7", "mixup=0.2", "augmentation.degrees=3", "start_resolution=1", "precision=bf16"]
)
def test_what_touches_the_pictures_changes_their_key(setting):
    recipe = Recipe("any", learning_rate=0.1)
    assert changed(recipe, [setting]).of_pictures() != recipe.of_pictures()
