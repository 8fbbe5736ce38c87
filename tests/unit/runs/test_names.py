"""What a training is told by name; and that it goes on by the recipe that it began with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gossamer.errors import GossamerError, ModelError, RunFolderError
from gossamer.runs.folder import RunFolder
from gossamer.runs.names import check_names, write_recipe
from gossamer.runs.train.config import TrainConfig
from gossamer.train.recipe import Recipe

CONFIG = TrainConfig(data="nowhere", model="shufflenet_v2_0.25")


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"model": "nothing"}, ModelError, "the catalogue has no network 'nothing'"),
        ({"recipe": "large-data"}, GossamerError, "large-data"),
        ({"recipe": "nowhere.yaml"}, GossamerError, r"^nowhere\.yaml is no recipe"),
        ({"set": ("bach=3",)}, GossamerError, "a recipe has no 'bach'; did you mean 'batch'"),
        ({"teacher": "nowhere"}, ModelError, "the catalogue has no network 'nowhere'"),
        ({"metric": "happiness"}, GossamerError, "--metric is loss or a figure of"),
        ({"epochs": 0.0}, GossamerError, "epochs is between"),
    ],
)
def test_names_are_checked_without_the_data(change, kind, message):
    with pytest.raises(kind, match=message):
        check_names(replace(CONFIG, **change))


@pytest.mark.parametrize("metric", ["auto", "loss", "accuracy", "map", "r2"])
def test_a_figure_of_any_task_may_be_meant(metric):
    check_names(replace(CONFIG, metric=metric))


def test_a_recipe_that_changed_is_another_training(tmp_path):
    recipe = Recipe("mine", 0.01)
    run = RunFolder(tmp_path / "run", CONFIG, resume=False)
    write_recipe(recipe, run)
    run.close()
    run = RunFolder(tmp_path / "run", CONFIG, resume=True)
    write_recipe(recipe, run)
    with pytest.raises(
        RunFolderError, match=r"^--resume continues the same training, the recipe is no longer that of "
    ):
        write_recipe(replace(recipe, batch=7), run)
    assert Recipe.from_yaml(tmp_path / "run" / "recipe.yaml") == recipe
    run.close()
