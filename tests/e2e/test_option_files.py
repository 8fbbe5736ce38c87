"""Options and recipes read back from the files that are written of them."""

from __future__ import annotations

import pytest
import yaml

from gossamer.errors import GossamerError
from gossamer.fit.config import FitConfig
from gossamer.runs.train.config import TrainConfig

TRAIN = TrainConfig(data="pictures", model="shufflenet_v2_0.25", set=("batch=8", "epochs=2"), size="64")


@pytest.fixture
def recipe_of(gossamer):
    """`recipe_of(*arguments)`: what `train --print-recipe` prints."""

    def call(*arguments):
        code, out, err = gossamer("train", *arguments, "--print-recipe")
        assert (code, err) == (0, "")
        return out

    return call


def test_a_runs_config_is_read_back_and_the_command_line_wins(recipe_of, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(TRAIN.to_yaml())
    recipe = yaml.safe_load(recipe_of("--config", file))
    assert (recipe["batch"], recipe["epochs"]) == (8, 2.0)
    recipe = yaml.safe_load(recipe_of("--config", file, "--set", "batch=4"))
    assert recipe["batch"] == 4
    assert recipe["epochs"] != 2.0


def test_every_option_comes_back_as_it_was(tmp_path, monkeypatch, gossamer):
    config = FitConfig(
        data="pictures",
        within="size<=1MB",
        minutes=3.5,
        max_drop=0.02,
        online=True,
        on="reference",
        threads=2,
        bands="B4,B3",
    )
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    kept = []

    def refuse(asked, **_keywords):
        kept.append(asked)
        raise GossamerError("nothing is fitted here")

    monkeypatch.setattr("gossamer.fit.api.fit_data", refuse)
    monkeypatch.setattr("gossamer.runs.checking.name_of", lambda data, config: data)
    assert gossamer("fit", "--config", tmp_path / "config.yaml")[0] == 2
    assert kept == [config]
    gossamer("fit", "others", "--config", tmp_path / "config.yaml", "--max-drop", "1%")
    assert kept[1].differences(config) == ["data", "max_drop"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("minuts: 1", "names 'minuts', which is no option here; did you mean 'minutes'?"),
        ("minutes: [1]", "--minutes is a number, got (1,)"),
        ("minutes: yes", "--minutes is a number, got True"),
        ("threads: 0", "threads is between 1 and 1,024, got 0"),
        ("- minutes", "options are names with values"),
        ("a: [", "holds no options ("),
        ("on: tpu", "unknown runtime 'tpu'"),
        ("max_drop: 2", "--max-drop is a share between 0 and 1"),
    ],
)
def test_a_file_of_no_options(gossamer, tmp_path, text, message):
    (tmp_path / "options.yaml").write_text(text)
    code, out, err = gossamer("fit", "x", "--within", "size<=1MB", "--config", tmp_path / "options.yaml")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_a_size_may_be_a_bare_number(recipe_of, tmp_path):
    (tmp_path / "c.yaml").write_text("data: x\nmodel: shufflenet_v2_0.25\nsize: 64\non: onnxruntime\n")
    assert "learning_rate" in recipe_of("--config", tmp_path / "c.yaml")


def test_a_printed_recipe_is_read_back_number_for_number(recipe_of, tmp_path):
    printed = recipe_of(
        "x", "--model", "shufflenet_v2_0.25", "--recipe", "paper:MobileNetV2", "--set", "mixup=0.3"
    )
    (tmp_path / "mine.yaml").write_text(printed)
    arguments = ("x", "--model", "resnet20_cifar", "--recipe", tmp_path / "mine.yaml")
    assert yaml.safe_load(recipe_of(*arguments)) == yaml.safe_load(printed)
    changed = yaml.safe_load(recipe_of(*arguments, "--set", "batch=7"))
    assert changed == {**yaml.safe_load(printed), "batch": 7}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch: 1e30", "batch is at most 65536, got 1e+30"),
        ("bach: 4", "a recipe has no 'bach'; did you mean 'batch'?"),
        ("learning_rate: [1]", "learning_rate is a number, got [1]"),
        ("milestones: [.nan]", "mine.yaml is no recipe (numbers are finite"),
        ("momentum: true", "momentum is a number, got True"),
        ("3: 4", "a recipe is keys with values"),
        ("- 3", "a recipe is keys with values"),
    ],
)
def test_a_file_of_no_recipe(gossamer, tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    code, out, err = gossamer(
        "train", "x", "--model", "resnet20_cifar", "--recipe", tmp_path / "mine.yaml", "--print-recipe"
    )
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
