"""int8 is backed off step by step: other ranges, the edited network, its worst layers in fp32; what is kept is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.e2e.conftest import write_coloured

from gossamer.cost.meter import measure
from gossamer.data.check import check
from gossamer.deploy.runtimes.convert import post_training
from gossamer.errors import ModelError
from gossamer.fit import compression
from gossamer.fit.candidates import Candidate
from gossamer.fit.compression import _Files
from gossamer.fit.config import FitConfig
from gossamer.runs import int8 as int8_files
from gossamer.runs.choice import preferred
from gossamer.runs.folder import RunFolder
from gossamer.runs.reporter import Quiet
from gossamer.runs.trained import TrainedNetwork
from gossamer.tasks.paired import allowance
from gossamer.timing.latency import Ratio
from gossamer.train.pace import save_average
from gossamer.zoo.build import build

NAME = "mobilenet_v1_0.25"
PICTURES = 1000
REFUSED = "refused: 400 of 1000 pictures lost, beyond chance; only 60.0 % of the answers are the same"


def _right(accuracy):
    """Scores that name the first of three classes for so many of the pictures."""
    scores = np.zeros((PICTURES, 3), np.float32)
    scores[:, 1] = 0.5
    scores[: round(accuracy * PICTURES), 0] = 1
    return (scores,)


@pytest.fixture
def files(tmp_path, monkeypatch, request):
    """A network's files, on the runtime of the parameter, whose accuracy is what the test says of each in turn."""
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
    on = getattr(request, "param", "onnxruntime")
    config = FitConfig(data=str(tmp_path / "data"), within="latency<=1s", on=on)
    run = RunFolder(tmp_path / "run", config, resume=False)
    (run.path / "train").mkdir()
    save_average(run.path / "train" / "best.safetensors", network)
    trained = TrainedNetwork(
        network=candidate.value(3), folder="train", score=0.9, seconds=1.0, rungs=1, points=[], recipe={}
    )
    made = _Files(config, report, trained, run, Quiet())

    def told(accuracies):
        answers = iter(accuracies)
        monkeypatch.setattr(made, "_outputs", lambda _path, _precision: _right(next(answers)))
        made.val = made.val._replace(targets=np.zeros(PICTURES, np.int64))
        made.allowed = allowance(config.max_drop, PICTURES)
        return made

    yield told
    run.close()


def test_the_first_int8_file_that_loses_little_is_taken(files):
    made = files([0.9, 0.5, 0.895])
    scores = made.scored()
    assert [score.precision for score in scores] == ["fp32", "int8"]
    assert [row.setting for row in made.rows] == ["as trained", "minmax", "percentile"]
    assert made.rows[1].reason == REFUSED


def test_a_setting_that_cannot_be_made_is_passed_over_unless_it_is_the_first(files, monkeypatch):
    makes = int8_files.convert

    def fails_on(label):
        def convert(source, precision, calibration, how, *, on):
            if how is not None and how.label == label:
                raise ModelError(f"cannot quantize at {label}")
            return makes(source, precision, calibration, how, on=on)

        return convert

    monkeypatch.setattr(int8_files, "convert", fails_on("percentile"))
    made = files([0.9, 0.5, 0.895])
    assert [score.precision for score in made.scored()] == ["fp32", "int8"]
    assert [row.setting for row in made.rows][1:] == ["minmax", "minmax, first and last layer fp32"]
    monkeypatch.setattr(int8_files, "convert", fails_on("minmax"))
    made = files([0.9])
    assert [score.precision for score in made.scored()] == ["fp32"]


@pytest.mark.slow
@pytest.mark.parametrize("files", ["openvino"], indirect=True)
def test_another_runtime_goes_down_its_own_ladder_and_keeps_no_layers(files):
    made = files([0.9, *[0.5] * 5])
    assert [score.precision for score in made.scored()] == ["fp32"]
    ladder = [how.label for how in post_training("openvino").ladder]
    assert [row.setting for row in made.rows][1:-1] == ladder
    assert made.rows[-1].setting.startswith(f"{ladder[0]}, ")
    assert all(row.reason == REFUSED for row in made.rows[1:])


@pytest.mark.parametrize("files", ["openvino"], indirect=True)
def test_the_verdict_is_of_the_runtime_that_was_asked_for(files, monkeypatch):
    verdict, asked = compression.decide, []

    def judge(runtime, **ratios):
        found = verdict(runtime, **ratios)
        asked.append(found.runtime)
        return found

    monkeypatch.setattr(compression, "decide", judge)
    made = files([0.9, 0.9])
    assert [score.precision for score in made.scored()] == ["fp32", "int8"]
    assert asked == ["openvino"]


@pytest.mark.slow
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
    assert made.rows[-1].reason == REFUSED


def test_int8_that_buys_nothing_is_said_with_the_reason(files, monkeypatch):
    monkeypatch.setattr(compression, "compare", lambda *_: Ratio(2.0, 2.0, 2.0))
    made = files([0.9, 0.9])
    scores = made.scored()
    (note,) = made.notes
    assert note.startswith(f"{NAME}@32: fp32 is faster on onnxruntime: int8 takes 2.00 of the time and 0.")
    kept = preferred(scores, made.fits(), 0.01, on="onnxruntime")
    assert kept.precision == "fp32", "what is said of int8 and what ships are one rule"


def test_a_lossy_file_is_timed_in_the_rounds_of_the_fp32_file(files, monkeypatch):
    real, asked = compression.measure_together, []

    def together(paths, **how):
        asked.append(sorted(paths))
        return real(paths, **{**how, "seconds": 0.02})

    monkeypatch.setattr(compression, "measure_together", together)
    scores = files([0.9, 0.9]).scored()
    assert asked == [["fp32"], ["fp32", "int8"]]
    assert scores[1].size_ratio == pytest.approx(scores[1].size_bytes / scores[0].size_bytes)
    assert scores[0].latency_ratio == scores[0].size_ratio == 1.0


@pytest.mark.parametrize("files", ["reference"], indirect=True)
@pytest.mark.parametrize("within", ["latency<=100s", "size<=10kB"], ids=["fits", "fits not"])
def test_a_runtime_that_has_fp32_alone_gives_its_fp32_file(files, within):
    made = files([0.9])
    made.config = replace(made.config, within=within)
    assert [score.precision for score in made.scored()] == ["fp32"]
    assert [(row.precision, row.fits) for row in made.rows] == [("fp32", within.startswith("latency"))]
    assert made.notes == []
