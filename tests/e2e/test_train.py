"""gossamer train, end to end on pictures that a colour tells apart: done, killed and gone on with, taught, in two processes."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from gossamer.deploy.bundle import load
from gossamer.deploy.predict import predict
from gossamer.zoo.checkpoints import read_checkpoint

pytestmark = pytest.mark.slow
NETWORK = ("--model", "shufflenet_v2_0.25", "--size", "32", "--set", "batch=6", "--set", "learning_rate=0.01")


def _command(data, out, *arguments):
    return [
        sys.executable,
        "-m",
        "gossamer",
        "train",
        str(data),
        *NETWORK,
        "--out",
        str(out),
        *map(str, arguments),
    ]


def _run(data, out, *arguments):
    done = subprocess.run(
        _command(data, out, *arguments), capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from tests.e2e.conftest import write_coloured

    return write_coloured(tmp_path_factory.mktemp("train") / "data", count=12)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """An undisturbed run of 24 passes, and its document."""
    out = tmp_path_factory.mktemp("train") / "whole"
    return out, json.loads(_run(data, out, "--epochs", 24, "--json").stdout)


def _rows(run):
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_bundle_comes_out(whole, data):
    run, document = whole
    assert set(document) == {
        "headline", "run", "bundle", "report", "model", "input", "probe_accuracy", "problems", "starved", "measured",
    }  # fmt: skip
    assert document["probe_accuracy"] is None
    assert document["measured"]["accuracy"] > 0.6, "colours are easy"
    bundle = load(run / "bundle")
    assert bundle.files[0].precision == "fp32"
    named = predict(run / "bundle", [data])
    assert np.mean([p.labels[0] == p.file.parent.name for p in named]) > 0.7
    report = (run / "report.html").read_text()
    assert "gossamer train" in report
    assert "accuracy" in report.lower()
    assert yaml.safe_load((run / "recipe.yaml").read_text())["batch"] == 6
    assert not (run / "cache").exists()


def _final(run):
    return read_checkpoint(run / "train" / "final.safetensors")


def test_killed_and_resumed_it_ends_in_the_same_weights(whole, data, tmp_path):
    run, _ = whole
    out, draws = tmp_path / "killed", random.Random(os.getpid())
    for kill in range(2):
        arguments = ["--epochs", 24, *(["--resume"] if kill else [])]
        process = subprocess.Popen(
            _command(data, out, *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        checkpoint = out / "train" / "last.ckpt"
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if checkpoint.exists() and checkpoint.stat().st_mtime_ns != before:
                break
            time.sleep(0.01)
        time.sleep(draws.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
    _run(data, out, "--epochs", 24, "--resume")
    ours, theirs = _final(run), _final(out)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name].numpy(), theirs[name].numpy()) for name in ours)


def test_a_teacher_is_followed_and_its_scores_are_kept(whole, data, tmp_path, monkeypatch):
    run, _ = whole
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    taught = ("--epochs", 2, "--teacher", run / "bundle")
    for name in ("one", "two"):
        _run(data, tmp_path / name, *taught)
    kept = list((tmp_path / "cache").rglob("*.done"))
    assert len(kept) == 1
    assert np.fromfile(kept[0], np.uint8).all()
    one, two = _final(tmp_path / "one"), _final(tmp_path / "two")
    assert all(np.array_equal(one[name].numpy(), two[name].numpy()) for name in one)


def test_two_processes_learn_what_one_does(whole, data, tmp_path):
    """From trained weights, norms frozen: the curve of one process with the whole batch, to 1e-4."""
    run, _ = whole
    more = ("--model", run / "bundle", "--epochs", 3, "--set", "freeze_norm=true", "--set", "optimiser=sgd")
    _run(data, tmp_path / "one", *more)
    _run(data, tmp_path / "two", *more, "--strategy", "ddp", "--devices", 2)
    one, two = _rows(tmp_path / "one"), _rows(tmp_path / "two")
    assert len(one) == len(two) > 1
    for name in ("passes", "train_loss", "val_loss", "val_accuracy"):
        assert [float(row[name]) for row in one] == pytest.approx([float(row[name]) for row in two], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--set", "learning_rat=1"), "a recipe has no 'learning_rat'; did you mean 'learning_rate'"),
        (("--recipe", "small"), "no recipe 'small'"),
        (("--recipe", "paper:MoGA"), "no recipe 'paper:MoGA'"),
        (("--epochs", "2", "--minutes", "1"), "a run is so many epochs or so many minutes"),
        (("--epochs", "0"), "epochs is between 0.01 and 100,000, got 0"),
        (("--size", "4"), "size is between 16 and 4,096, got 4"),
        (
            ("--metric", "f1"),
            "--metric is loss or a figure of classify that grows with right answers, got 'f1'; known: accuracy, auto, balanced, loss",
        ),
        (("--teacher", "none"), "none"),
        (("--teacher", "mobilenet_v1"), "train it first"),
        (("--model", "shufflenet_v9"), "the catalogue has no network 'shufflenet_v9'"),
        (("--find", "speed"), "--find is rate or batch, got 'speed'"),
        (("--devices", "0"), "devices is between 1 and 1,024, got 0"),
    ],
)
def test_bad_input_is_one_line(gossamer, data, tmp_path, arguments, words):
    code, out, err = gossamer("train", data, *NETWORK, "--out", tmp_path / "run", *arguments)
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith("error: ")
    assert words in last
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_one_line(gossamer, data, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = gossamer("train", data, *NETWORK, "--out", tmp_path / "file")
    assert code == 2
    assert "is not empty and nothing is overwritten" in err.splitlines()[-1]


def test_a_teacher_of_other_classes_is_one_line(gossamer, whole, coloured, tmp_path):
    run, _ = whole
    other = coloured(tmp_path / "other")
    (other / "field").rename(other / "fields")
    code, _, err = gossamer("train", other, *NETWORK, "--out", tmp_path / "run", "--teacher", run / "bundle")
    assert code == 2
    assert "a teacher knows the same classes in the same order" in err.splitlines()[-1]


@pytest.mark.parametrize("role", ["--teacher", "--model"])
def test_a_network_that_has_seen_the_test_pictures_is_one_line(gossamer, whole, data, tmp_path, role):
    bundle = whole[0] / "bundle"
    network = NETWORK if role == "--teacher" else ()
    code, _, err = gossamer(
        "train", data, *network, role, bundle, "--epochs", "1", "--split-seed", "1", "--out", tmp_path / "run"
    )
    assert code == 2
    assert "as split seed 0 parts them" in err
    assert "use --split-seed 0" in err


def test_recipes_are_printed(gossamer, data):
    code, out, err = gossamer("train", data, *NETWORK, "--recipe", "paper:mobilenet_v2", "--print-recipe")
    assert (code, err) == (0, "")
    recipe = yaml.safe_load(out)
    assert (recipe["optimiser"], recipe["batch"], recipe["learning_rate"]) == ("rmsprop", 6, 0.01)
    code, out, _ = gossamer("train", data, *NETWORK, "--print-recipe", "--json")
    assert json.loads(out)["name"] == "from-scratch"


@pytest.mark.parametrize("what", ["rate", "batch"])
def test_finders_give_a_setting(gossamer, data, what):
    code, out, _ = gossamer("train", data, *NETWORK, "--find", what, "--json")
    assert code == 0
    assert "--set " in json.loads(out)["advice"]


def test_pictures_of_other_bands_train_and_are_predicted_by_name(tmp_path):
    rng = np.random.default_rng(0)
    for number, label in enumerate(("dry", "wet")):
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(24):
            values = rng.normal(1000, 100, (8, 8, 5)).repeat(4, 0).repeat(4, 1)
            values[:, :, 3] += 2500 * number  # only this band tells the classes apart
            np.save(tmp_path / "data" / label / f"{i}.npy", values.astype(np.float32))
    told = json.loads(_run(tmp_path / "data", tmp_path / "run", "--epochs", 30, "--json").stdout)
    assert told["input"] == [5, 32, 32]
    assert told["measured"]["accuracy"] >= 0.8
    bundle = load(told["bundle"])
    assert bundle.contract.bands == ("band1", "band2", "band3", "band4", "band5")
    named = [each.labels[0] for each in predict(told["bundle"], [tmp_path / "data" / "wet"])]
    assert len(named) == 24
    assert named.count("wet") >= 20
    np.save(tmp_path / "less.npy", np.zeros((32, 32, 3)))
    assert "band5" in str(predict(told["bundle"], [tmp_path / "less.npy"])[0].error)
