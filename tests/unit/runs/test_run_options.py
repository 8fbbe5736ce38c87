"""What runs may be asked for: each option declared once, checked, written down, given as a command again."""

from __future__ import annotations

import inspect
import shlex
from dataclasses import MISSING, replace

import pytest

import gossamer.verbs
from gossamer.cli import app
from gossamer.errors import BudgetError, GossamerError, RunFolderError
from gossamer.fit.config import FitConfig
from gossamer.runs.bench_config import BenchConfig
from gossamer.runs.compress.config import CompressConfig
from gossamer.runs.config import parse_size
from gossamer.runs.export.config import ExportConfig
from gossamer.runs.model_config import parse_input
from gossamer.runs.options import command_line, default_of, options_of, parse_share
from gossamer.runs.train.config import TrainConfig

CONFIG = FitConfig(data='pictures of "forêt"', within="latency<=5ms, size<=1MB", groups="t.csv:site", seed=3)
CONFIGS = {
    "fit": FitConfig,
    "train": TrainConfig,
    "compress": CompressConfig,
    "export": ExportConfig,
    "bench": BenchConfig,
}


def test_yaml_round_trips(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG.to_yaml())
    assert FitConfig.from_yaml(tmp_path / "config.yaml") == CONFIG
    assert "forêt" in CONFIG.to_yaml()
    several = CompressConfig(model="m", method=("prune:macs=50%", "pack:bits=6"))
    (tmp_path / "config.yaml").write_text(several.to_yaml())
    assert CompressConfig.from_yaml(tmp_path / "config.yaml") == several


@pytest.mark.parametrize("verb", CONFIGS)
def test_python_and_the_command_line_take_the_same_words_and_defaults(verb):
    """A function of `gossamer.verbs` has the config's options as keywords, with their defaults."""
    cls = CONFIGS[verb]
    python = inspect.signature(getattr(gossamer.verbs, verb)).parameters
    options = options_of(cls)
    own = [name for name in python if name not in ("out", "resume", "reporter", "quiet")]
    assert sorted(own) == sorted(options)
    for name in own:
        default = default_of(cls, name)
        given = python[name].default
        assert given == (inspect.Parameter.empty if default is MISSING else default), name


@pytest.mark.parametrize("verb", CONFIGS)
def test_every_option_has_help_and_stands_in_the_help_of_its_verb(verb):
    import typer

    command = typer.main.get_command(app).commands[verb]
    flags = {flag for param in command.params for flag in param.opts}
    for name, option in options_of(CONFIGS[verb]).items():
        assert option.help.endswith((".", "...")), name
        assert (option.flag or name) in flags


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"threads": 0}, GossamerError, r"^threads is between 1 and 1,024, got 0; use e\.g\. --threads 1$"),
        ({"threads": 1.5}, GossamerError, r"^--threads is a whole number, got 1\.5"),
        ({"threads": True}, GossamerError, r"^--threads is a whole number, got True"),
        (
            {"minutes": 0.01},
            GossamerError,
            r"^minutes is between 0\.05 and 10,080, got 0\.01; use e\.g\. --minutes 20$",
        ),
        ({"minutes": float("nan")}, GossamerError, r"^minutes is between .*, got nan; use"),
        ({"minutes": float("inf")}, GossamerError, r"^minutes is between .*, got inf; use"),
        ({"minutes": "long"}, GossamerError, r"^--minutes is a number, got 'long'"),
        ({"seed": -1}, GossamerError, r"^seed is between 0 and .*, got -1; use e\.g\. --seed 1$"),
        ({"split_seed": -1}, GossamerError, r"^split-seed is between 0 and 2,147,483,648, got -1"),
        ({"view": "foo"}, GossamerError, r"^--view is auto or aerial or ground, got 'foo'; "),
        ({"on_bad": "ask"}, GossamerError, r"^--on-bad is skip or stop, got 'ask'; "),
        ({"teacher": "x"}, GossamerError, r"^--teacher is auto or none, got 'x'; "),
        ({"data": 3}, GossamerError, r"^data is a text, got 3"),
        ({"within": ""}, GossamerError, r"^--within is a text with something in it, got ''"),
        ({"within": ","}, BudgetError, r"^a budget needs at least one limit"),
        (
            {"families": "MobileNetV33"},
            GossamerError,
            r"^--families .*, got 'MobileNetV33'; did you mean 'mobilenetv3'|'MobileNetV3'",
        ),
        (
            {"sizes": "128,100"},
            GossamerError,
            r"^--sizes are some of 64, 96, .*, got '128,100'; write e\.g\. --sizes 128,160",
        ),
        ({"precision": "int4"}, GossamerError, r"^--precision is auto or fp32 or fp16 or int8, got 'int4'"),
        ({"data": " "}, GossamerError, r"^data is a text with something in it, got ' '"),
        ({"data": "a\0b"}, GossamerError, r"^data is a text with something in it"),
        ({"seed": 10**5000}, GossamerError, r"^seed is between .*, got a whole number of more than 64 bits"),
        ({"within": "speed<1"}, BudgetError, r"^unknown budget metric 'speed'"),
    ],
)
def test_values_that_make_no_sense(change, kind, message):
    CONFIG.check()
    with pytest.raises(kind, match=message):
        replace(CONFIG, **change).check()


def test_a_wrong_value_in_python_is_one_line_and_a_wrong_word_a_type_error():
    with pytest.raises(GossamerError, match=r"^--view is auto or aerial or ground, got 'foo'; known: aerial"):
        gossamer.fit("demo", within="size<=1MB", view="foo")
    with pytest.raises(GossamerError, match=r"^max_drop is a share between 0 and 1 or a percentage"):
        gossamer.fit("demo", within="size<=1MB", max_drop="two")
    with pytest.raises(TypeError, match="trheads"):
        gossamer.fit("demo", within="size<=1MB", trheads=2)


@pytest.mark.parametrize("text", [None, "", "a: [", "data: 3", "- x\n- y", "data: d\nwithin: w\nnew: 1"])
def test_a_folder_that_holds_no_run(tmp_path, text):
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(
        RunFolderError, match=r"holds no run that can be resumed \(.*\); start a new one with another --out$"
    ) as caught:
        FitConfig.from_yaml(tmp_path / "config.yaml")
    assert "\n" not in str(caught.value)


def test_differences_are_named():
    other = replace(CONFIG, seed=4, threads=2)
    assert sorted(CONFIG.differences(other)) == ["seed", "threads"]
    assert CONFIG.differences(replace(CONFIG)) == []


@pytest.mark.parametrize(
    ("text", "share"),
    [("1%", 0.01), ("0.01", 0.01), (" 2.5 %", 0.025), ("0", 0.0), ("100%", 1.0), ("1", 1.0), (0.5, 0.5)],
)
def test_a_share(text, share):
    assert parse_share(text, "--max-drop") == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "%", "two", "-1%", "101%", "1.5", "nan", "1%%", float("nan"), 2.0])
def test_what_is_no_share(text):
    with pytest.raises(
        GossamerError,
        match=r"^--max-drop is a share between 0 and 1 or a percentage, got .*; write e\.g\. 1%$",
    ):
        parse_share(text, "--max-drop")


@pytest.mark.parametrize(
    ("text", "size"), [("128", (128, 128)), ("96x160", (96, 160)), ("16X4096", (16, 4096))]
)
def test_a_size(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "12", "96x", "1x2x3", "-32", "²56", "8000", "1e3", "64.0"])
def test_what_is_no_size(text):
    with pytest.raises(GossamerError, match="--size"):
        parse_size(text)


@pytest.mark.parametrize(
    "text", ["", "3x224", "3x224x224x1", "0x2x2", "axbxc", "3x-1x4", "3x²x4", "3x9999999x1"]
)
def test_what_is_no_input(text):
    with pytest.raises(GossamerError, match=r"^--input is BANDSxHEIGHTxWIDTH, got "):
        parse_input(text)


def test_a_command_tells_what_is_not_usual():
    config = TrainConfig(
        data="my tiles", model="mobilenet_v2", recipe="small-data", bands="B2,B3", epochs=2.5, seed=3
    )
    assert command_line("train", config) == (
        'gossamer train "my tiles" --bands B2,B3 --seed 3 --model mobilenet_v2 --recipe small-data --epochs 2.5'
    )


def test_a_command_leaves_nothing_out():
    """Also --on-bad, --strategy, --devices and --nodes, which earlier commands forgot."""
    config = TrainConfig(
        data="d",
        model="m",
        on_bad="stop",
        strategy="ddp",
        devices=2,
        nodes=3,
        set=("batch=8", "mixup=0.2"),
        split_seed=5,
        online=True,
    )
    words = shlex.split(command_line("train", config))
    for flag, value in (("--on-bad", "stop"), ("--strategy", "ddp"), ("--devices", "2"), ("--nodes", "3")):
        assert words[words.index(flag) + 1] == value
    assert [words[i + 1] for i, word in enumerate(words) if word == "--set"] == ["batch=8", "mixup=0.2"]
    assert words[words.index("--split-seed") + 1] == "5"
    assert "--online" in words


@pytest.mark.parametrize("config", [CONFIG, FitConfig(data="$HOME `x`", within="size<=1MB", max_drop=0.025)])
def test_a_command_is_the_same_for_a_shell(config):
    words = shlex.split(command_line("fit", config))
    assert words[:3] == ["gossamer", "fit", config.data]
    assert words[words.index("--within") + 1] == config.within
    assert ("--max-drop" in words) == (config.max_drop != 0.01)


def test_a_choice_of_networks_is_read_as_a_person_writes_it():
    config = replace(CONFIG, families="mobilenetv3, SqueezeNet", sizes="160,128", precision="int8")
    config.check()
    assert config.chosen_families == {"MobileNetV3", "SqueezeNet"}
    assert config.chosen_sizes == (128, 160)
    assert [each for each in ("fp32", "fp16", "int8") if config.ships(each)] == ["int8"]
    assert CONFIG.chosen_sizes is None
    assert len(CONFIG.chosen_families) > 20
    assert all(CONFIG.ships(each) for each in ("fp32", "fp16", "int8"))
