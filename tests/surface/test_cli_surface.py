"""The command line, frozen: verbs, flags, and what printing help loads."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest
import typer

from gossamer.cli import app
from gossamer.cli._common import run

SURFACE: dict[str, tuple[list[str], list[str]]] = {
    "bench": (
        ["models"],
        [
            "--compare",
            "--debug",
            "--input",
            "--json",
            "--on",
            "--online",
            "--out",
            "--seconds",
            "--seed",
            "--sort",
            "--threads",
            "-o",
        ],
    ),
    "check": (
        ["data"],
        ["--bands", "--convert", "--debug", "--groups", "--json", "--on-bad", "--out", "--split-seed"],
    ),
    "compress": (
        ["model"],
        [
            "--apply",
            "--bands",
            "--config",
            "--data",
            "--debug",
            "--groups",
            "--input",
            "--json",
            "--max-drop",
            "--method",
            "--minutes",
            "--on",
            "--on-bad",
            "--online",
            "--out",
            "--plan",
            "--resume",
            "--seed",
            "--split-seed",
            "--threads",
            "--view",
        ],
    ),
    "doctor": ([], ["--debug", "--json"]),
    "export": (
        ["model"],
        [
            "--bands",
            "--config",
            "--data",
            "--debug",
            "--groups",
            "--input",
            "--json",
            "--max-drop",
            "--nms",
            "--on-bad",
            "--online",
            "--out",
            "--resume",
            "--seed",
            "--split-seed",
            "--threads",
            "--to",
            "--uint8",
            "--view",
        ],
    ),
    "fit": (
        ["data"],
        [
            "--bands",
            "--config",
            "--debug",
            "--families",
            "--groups",
            "--json",
            "--max-drop",
            "--minutes",
            "--on",
            "--on-bad",
            "--online",
            "--out",
            "--precision",
            "--resume",
            "--seed",
            "--sizes",
            "--split-seed",
            "--teacher",
            "--threads",
            "--view",
            "--within",
        ],
    ),
    "measure": (
        ["models"],
        [
            "--calibrate",
            "--debug",
            "--fused",
            "--input",
            "--json",
            "--latency",
            "--layers",
            "--new-peaks",
            "--on",
            "--online",
            "--out",
            "--picture",
            "--precision",
            "--predict",
            "--profile",
            "--roofline",
            "--seed",
            "--sizes",
            "--sort",
            "--table",
            "--threads",
            "-o",
        ],
    ),
    "predict": (
        ["model", "inputs"],
        [
            "--debug",
            "--draw",
            "--every",
            "--json",
            "--on",
            "--out",
            "--overlap",
            "--region",
            "--region-rule",
            "--rows",
            "--threads",
            "--threshold",
            "--tile",
            "--top",
            "--track",
            "-o",
        ],
    ),
    "report": (["run"], ["--debug", "--json", "--out", "-o"]),
    "train": (
        ["data"],
        [
            "--bands",
            "--config",
            "--debug",
            "--devices",
            "--epochs",
            "--find",
            "--groups",
            "--json",
            "--metric",
            "--minutes",
            "--model",
            "--nodes",
            "--on",
            "--on-bad",
            "--online",
            "--out",
            "--print-recipe",
            "--recipe",
            "--resize",
            "--resume",
            "--seed",
            "--set",
            "--size",
            "--split-seed",
            "--strategy",
            "--teacher",
            "--threads",
            "--view",
        ],
    ),
    "zoo": (["name"], ["--debug", "--descending", "--family", "--json", "--sort", "--task", "--within"]),
}


@pytest.fixture(scope="module")
def commands():
    return typer.main.get_command(app).commands


def test_the_verbs_are_these(commands):
    assert sorted(commands) == sorted(SURFACE)


@pytest.mark.parametrize("verb", SURFACE)
def test_the_flags_are_these(commands, verb):
    parameters = commands[verb].params
    arguments = [p.name for p in parameters if p.param_type_name == "argument"]
    options = [o for p in parameters if p.param_type_name == "option" for o in [*p.opts, *p.secondary_opts]]
    assert (arguments, sorted(options)) == (SURFACE[verb][0], sorted(SURFACE[verb][1]))


@pytest.mark.parametrize("verb", SURFACE)
def test_every_flag_says_what_it_does(commands, verb):
    assert commands[verb].help.endswith(".")
    assert [p.name for p in commands[verb].params if not p.help] == []


@pytest.mark.parametrize("verb", SURFACE)
def test_every_verb_takes_json_and_debug(verb):
    assert {"--json", "--debug"} <= set(SURFACE[verb][1])


def test_a_seed_is_taken_where_something_is_drawn():
    takers = {verb for verb, (_, options) in SURFACE.items() if "--seed" in options}
    assert takers == {"bench", "compress", "export", "fit", "measure", "train"}


@pytest.mark.parametrize("verb", SURFACE)
def test_help(verb, capsys):
    assert run(app, [verb, "--help"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith("Usage: ")
    assert f" {verb} [OPTIONS]" in shown.out.splitlines()[0]
    assert all(flag in shown.out for flag in SURFACE[verb][1])


def test_the_shell_completes_verbs_and_options(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gossamer"])
    monkeypatch.setenv("_GOSSAMER_COMPLETE", "complete_bash")
    for words, at, shown in (("gossamer com", "1", "compress"), ("gossamer fit --mi", "2", "--minutes")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", at)
        with pytest.raises(SystemExit, match=r"^0$"):
            run(app, [])
        assert capsys.readouterr().out.split() == [shown]


def test_version(capsys):
    from gossamer import __version__

    assert run(app, ["--version"]) == 0
    assert capsys.readouterr() == (f"gossamer {__version__}\n", "")


def test_no_verb_shows_the_help(capsys):
    assert run(app, []) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Usage: ")
    assert "\n  predict  " in shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fitt"], "No such command 'fitt'"),
        (["fit"], "Missing argument 'data'"),
        (["fit", "x", "--within"], "Option '--within' requires an argument"),
        (["fit", "x", "--within", "size<=1MB", "--threads", "two"], "Invalid value for '--threads'"),
        (["zoo", "--jsn"], "No such option: --jsn"),
        (["fitt"], "No such command 'fitt'. Did you mean 'fit'?"),
    ],
)
def test_bad_usage_is_one_line(arguments, message, capsys):
    assert run(app, arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("error: ")
    assert message in shown.err
    assert shown.err.endswith("--help\n")


def _fresh(*arguments):
    code = (
        "import sys, json\n"
        "from gossamer.cli import app\n"
        "from gossamer.cli._common import run\n"
        f"code = run(app, {list(arguments)!r})\n"
        "heavy = {'torch', 'lightning', 'numpy', 'onnx', 'onnxruntime', 'timm'} & set(sys.modules)\n"
        "sys.stderr.write(json.dumps([code, sorted(heavy)]))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(result.stderr)


@pytest.mark.parametrize("arguments", [("--help",), ("fit", "--help"), ("predict", "--help")], ids=" ".join)
def test_help_loads_nothing_heavy(arguments):
    assert _fresh(*arguments) == [0, []]


@pytest.mark.parametrize(
    "arguments", [(), ("--json",), ("--within", "macs<=300M, accuracy>=70%")], ids=" ".join
)
def test_the_list_of_the_zoo_loads_nothing_heavy(arguments):
    assert _fresh("zoo", *arguments) == [0, []]


def test_help_is_cheap():
    """Loosely: the benchmark holds the figure of 0.3 s."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "gossamer", "--help"], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5
