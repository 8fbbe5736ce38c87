"""What a fit may be asked for, and how it is written down."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gossamer.errors import BudgetError, GossamerError, RunFolderError
from gossamer.fit.config import FitConfig, TrainConfig, parse_share

CONFIG = FitConfig(data='pictures of "forêt"', within="latency<=5ms, size<=1MB", groups="t.csv:site", seed=3)


def test_yaml_round_trips(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG.to_yaml())
    assert FitConfig.from_yaml(tmp_path / "config.yaml") == CONFIG
    assert "forêt" in CONFIG.to_yaml()


def test_the_defaults_are_the_command_lines():
    assert FitConfig(data="d", within="size<=1MB").model_dump() == {
        "data": "d",
        "within": "size<=1MB",
        "on": "onnxruntime",
        "threads": 1,
        "minutes": 20.0,
        "max_drop": 0.01,
        "on_bad": "skip",
        "groups": None,
        "bands": "auto",
        "view": "auto",
        "teacher": "auto",
        "online": False,
        "seed": 0,
    }


def test_the_budget_is_read():
    assert [limit.metric for limit in CONFIG.budget.limits] == ["latency", "size"]


def test_checked_gives_the_same_back():
    assert CONFIG.checked() is CONFIG


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"threads": 0}, GossamerError, r"^threads is at least 1, got 0; use --threads 1$"),
        (
            {"minutes": 0.01},
            GossamerError,
            r"^minutes is between 0\.05 and 10,080 \(a week\), got 0\.01; use --minutes 20$",
        ),
        ({"minutes": float("nan")}, GossamerError, r"^minutes is between .*, got nan; use"),
        ({"minutes": float("inf")}, GossamerError, r"^minutes is between .*, got inf; use"),
        ({"seed": -1}, GossamerError, r"^seed is at least 0, got -1; use --seed 0$"),
        ({"within": ""}, BudgetError, r"^a budget needs at least one limit"),
        ({"within": "speed<1"}, BudgetError, r"^unknown budget metric 'speed'"),
    ],
)
def test_values_that_make_no_sense(change, kind, message):
    with pytest.raises(kind, match=message):
        CONFIG.model_copy(update=change).checked()


@pytest.mark.parametrize("change", [{"view": "side"}, {"on_bad": "ask"}, {"teacher": "x"}, {"trheads": 2}])
def test_other_words_and_names_are_refused(change):
    with pytest.raises(ValidationError):
        FitConfig.model_validate(CONFIG.model_dump() | change)


@pytest.mark.parametrize("text", [None, "", "a: [", "data: 3", "- x\n- y", "data: d\nwithin: w\nnew: 1"])
def test_a_folder_that_holds_no_run(tmp_path, text):
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(
        RunFolderError, match=r"holds no run that can be resumed \(.*\); start a new one with another --out$"
    ) as caught:
        FitConfig.from_yaml(tmp_path / "config.yaml")
    assert "\n" not in str(caught.value)


def test_differences_are_named_in_order():
    other = CONFIG.model_copy(update={"seed": 4, "threads": 2})
    assert CONFIG.differences(other) == ["threads", "seed"]
    assert CONFIG.differences(CONFIG.model_copy()) == []


@pytest.mark.parametrize(
    ("text", "share"),
    [("1%", 0.01), ("0.01", 0.01), (" 2.5 %", 0.025), ("0", 0.0), ("100%", 1.0), ("1", 1.0)],
)
def test_a_share(text, share):
    assert parse_share(text, "--max-drop") == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "%", "two", "-1%", "101%", "1.5", "nan", "1%%"])
def test_what_is_no_share(text):
    with pytest.raises(
        GossamerError,
        match=r"^--max-drop is a share between 0 and 1 or a percentage, got .*; write e\.g\. 1%$",
    ):
        parse_share(text, "--max-drop")


def test_a_trainings_command_tells_what_is_not_usual():
    config = TrainConfig(
        data="my tiles", model="mobilenet_v2", recipe="small-data", bands="B2,B3", epochs=2.5, seed=3
    )
    assert config.command == (
        'gossamer train "my tiles" --model mobilenet_v2 --recipe small-data --epochs 2.5 --bands B2,B3 --seed 3'
    )
