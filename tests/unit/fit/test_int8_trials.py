"""int8 is backed off step by step: other ranges, the edited network, its worst layers in fp32; what is kept is said."""

from __future__ import annotations

import pytest
from tests.e2e.conftest import write_coloured

from gossamer.cost.meter import measure
from gossamer.data.check import check
from gossamer.fit import compression
from gossamer.fit.candidates import Candidate
from gossamer.fit.compression import _Files
from gossamer.fit.config import FitConfig
from gossamer.fit.folder import RunFolder
from gossamer.fit.reporter import Quiet
from gossamer.fit.training import TrainedNetwork
from gossamer.train.pace import save_average
from gossamer.zoo.build import build

NAME = "mobilenet_v1_0.25"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A network's files, whose accuracy is what the test says of each in turn."""
    report = check(write_coloured(tmp_path / "data", count=9, side=32))
    network = build(NAME, num_classes=3, seed=0).eval()
    cost = measure(network, (1, 3, 32, 32))
    candidate = Candidate(
        name=NAME,
        size=32,
        weights=None,
        preprocessing="imagenet",
        params=cost.params,
        macs=cost.macs,
        promise=1.0,
    )
    config = FitConfig(data=str(tmp_path / "data"), within="latency<=1s")
    run = RunFolder(tmp_path / "run", config, resume=False)
    (run.path / "train").mkdir()
    save_average(run.path / "train" / "best.safetensors", network)
    trained = TrainedNetwork(
        candidate=candidate, folder="train", accuracy=0.9, seconds=1.0, rungs=1, points=[], recipe={}
    )
    made = _Files(config, report, trained, run, Quiet())

    def told(accuracies):
        answers = iter(accuracies)
        monkeypatch.setattr(made, "_accuracy", lambda _path, _precision: next(answers))
        return made

    yield told
    run.close()


def test_the_first_int8_file_that_loses_little_is_taken(files):
    made = files([0.9, 0.5, 0.895])
    scores = made.scored()
    assert [score.precision for score in scores] == ["fp32", "int8"]
    assert [row.setting for row in made.rows] == ["as trained", "minmax", "percentile"]
    assert made.rows[1].reason == "refused: 40.0 points lost"


def test_at_last_the_worst_layers_stay_fp32(files):
    """fp32; three settings and the edited network lose; the guard's fp32, plain int8, one and two layers in fp32."""
    made = files([0.9, 0.5, 0.5, 0.5, 0.5, 0.9, 0.5, 0.7, 0.9, 0.9])
    scores = made.scored()
    assert scores[-1].precision == "int8"
    assert made.rows[-1].setting == "minmax, 2 layers in fp32"
    assert scores[-1].path.name == "int8-mixed.onnx"
    assert sum(row.reason.startswith("refused") for row in made.rows) == 4


def test_int8_is_given_up_where_nothing_helps(files):
    made = files([0.9] + [0.5] * 4 + [0.9] + [0.5] * 9)
    assert [score.precision for score in made.scored()] == ["fp32"]
    assert made.rows[-1].reason == "refused: 40.0 points lost"


def test_int8_that_buys_nothing_is_said_with_the_reason(files, monkeypatch):
    verdict = compression.judge_int8

    def slow(fp32, int8, *, threads):
        found = verdict(fp32, int8, threads=threads, seconds=0.05)
        return type(found)(
            False, found.runtime, 1.0, 2.0, found.float_operators, "fp32 is faster on onnxruntime"
        )

    monkeypatch.setattr(compression, "judge_int8", slow)
    made = files([0.9, 0.9])
    made.scored()
    assert made.notes == [f"{NAME}@32: fp32 is faster on onnxruntime"]
