"""Recipes by name, and the papers' figures in them."""

from __future__ import annotations

import pytest

from gossamer.errors import GossamerError
from gossamer.train.recipes import PAPERS, named_recipe, recipe_names
from gossamer.zoo.catalogue import CATALOGUE


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_be_made_and_keeps_its_name(name):
    recipe = named_recipe(name, view="aerial", pictures=100)
    assert recipe.name == name
    assert recipe.augmentation.view == "aerial"
    assert 0 < recipe.rate(0.5) <= 1


def test_pretrained_layers_learn_slower():
    transfer, scratch = named_recipe("small-data"), named_recipe("from-scratch")
    assert transfer.body_rate < 1 == scratch.body_rate
    assert transfer.learning_rate < scratch.learning_rate


def test_many_pictures_come_in_larger_batches():
    few, many = (named_recipe("from-scratch", pictures=n).batch for n in (19_999, 20_000))
    assert few < many


def test_families_are_the_catalogues():
    assert set(PAPERS) <= {entry.family for entry in CATALOGUE.values()}
    assert all(paper.source for paper in PAPERS.values())


def test_a_family_is_found_however_it_is_written():
    assert named_recipe("paper:mobilenet_v2") == named_recipe("paper:MobileNetV2")
    assert named_recipe("paper:pp-lcnet").epochs == 360


def test_steps_are_the_papers():
    shuffle = named_recipe("paper:ShuffleNetV2")
    assert shuffle.epochs * 1_281_167 / shuffle.batch == pytest.approx(300_000)
    squeeze = named_recipe("paper:SqueezeNet")
    assert (squeeze.learning_rate, squeeze.weight_decay, squeeze.batch) == (0.04, 2e-4, 512)
    assert squeeze.rate(0.5) == pytest.approx(0.5)
    cifar = named_recipe("paper:ResNet-CIFAR")
    assert [cifar.rate(p) for p in (0.49, 0.5, 0.75)] == pytest.approx([1, 0.1, 0.01])


@pytest.mark.parametrize("name", ["paper:MoGA", "papers", "small", "paper:"])
def test_an_unknown_recipe_is_an_error(name):
    with pytest.raises(GossamerError, match=f"^no recipe '{name}'; "):
        named_recipe(name)
