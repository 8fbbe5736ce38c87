"""Which int8 file is kept, by a judge whose answers are made up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gossamer.deploy.contract import InputContract
from gossamer.errors import ModelError
from gossamer.runs.export import file as export_file
from gossamer.runs.export.config import ExportConfig, Target
from gossamer.runs.export.file import PARITY, FileJudge, Files
from gossamer.runs.reporter import Quiet
from gossamer.tasks import get_task
from gossamer.tasks.paired import Paired
from gossamer.timing.latency import measure_latency
from gossamer.types import Size, within


class _Judge:
    """Loses what the file's name says."""

    calibration = ()
    task = get_task("classify")

    allowed = 0.02

    def compared(self, _runtime, _exact, path):
        loss = float(path.stem)
        return Paired(drop=loss, interval=(loss, loss), agreement=1.0, pictures=100)

    def score(self, _runtime, path, _split="val"):
        return 1 - float(path.stem)


@pytest.fixture
def files(monkeypatch):
    """`files(*losses)`: int8 files that lose so much, in the order in which they are tried."""

    def build(*losses, judge=True):
        tried = []

        def made(*_arguments, **_keywords):
            for loss in losses:
                tried.append(loss)
                yield Path(f"{loss}.onnx"), f"loses {loss}"

        monkeypatch.setattr(export_file, "int8_files", made)
        config = ExportConfig(model="any", to="onnxruntime:int8", data="some", max_drop=0.02)

        class _Model:
            network = contract = None

        return Files(config, _Model(), (), _Judge() if judge else None, None, Quiet()), tried

    return build


TARGET = Target("onnxruntime", "int8")


def test_the_first_file_within_the_guard_is_kept(files):
    makes, tried = files(0.3, 0.02, 0.0)
    path, told = makes._int8(TARGET, Path("fp32.onnx"))
    assert (path.name, tried) == ("0.02.onnx", [0.3, 0.02])
    assert [each.setting for each in told] == ["loses 0.3", "loses 0.02"]


def test_where_none_is_the_one_that_loses_least_is(files):
    makes, tried = files(0.3, 0.05, 0.1)
    path, told = makes._int8(TARGET, Path("fp32.onnx"))
    assert (path.name, tried) == ("0.05.onnx", [0.3, 0.05, 0.1])
    assert told[-1].drop == 0.05
    assert not within(told[-1].drop, makes.judge.allowed)


def test_nothing_made_is_an_error(files):
    makes, _ = files()
    with pytest.raises(ModelError, match="no int8 file could be made for onnxruntime; take onnxruntime:fp32"):
        makes._int8(TARGET, Path("fp32.onnx"))
    makes, _ = files(0.0, judge=False)
    with pytest.raises(ModelError, match="calibrated on pictures, none were given"):
        makes._int8(TARGET, Path("fp32.onnx"))


class _Off:
    """A runtime whose files give the scores of `sum over H and W` times `1 + off`; a drop is in the file's name."""

    def __init__(self, off):
        self._off = off

    def load(self, _path, *, threads):
        return SimpleNamespace(run=lambda batch: (batch.sum((2, 3)) * np.float32(1 + self._off),))


class _Sum(torch.nn.Module):
    def forward(self, inputs):
        return inputs.sum((2, 3))


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """`measured(off, drop)`: what is said of a file whose scores are off by a share, or that loses so much."""

    def build(off, drop=None):
        figure = measure_latency({"run": lambda: None}, seconds=0.0)["run"]
        monkeypatch.setattr(export_file, "get_runtime", lambda *_: _Off(off))
        monkeypatch.setattr(export_file, "measure_together", lambda files, **_: dict.fromkeys(files, figure))
        path = tmp_path / "model.onnx"
        path.write_bytes(b"file")
        model = SimpleNamespace(network=_Sum(), contract=InputContract(Size(4, 4)))
        config = ExportConfig(model="any", to="onnxruntime", data="some", max_drop=0.02)
        judge = SimpleNamespace(score=lambda *_: 0.5, allowed=0.02)
        makes = Files(config, model, (), judge, SimpleNamespace(path=tmp_path), Quiet())
        tried = [] if drop is None else [export_file.Tried(setting="halves", drop=drop)]
        target = Target("onnxruntime", "fp32" if drop is None else "fp16")
        return makes._measured(target, path, path, path, tried)

    return build


def test_an_exact_file_has_the_networks_scores(measured):
    file = measured(PARITY / 2)
    assert file.met
    assert file.difference == pytest.approx(PARITY / 2, rel=0.01)
    assert (file.setting, file.drop, file.size_ratio) == ("as trained", None, 1.0)
    assert file.verdict.endswith("of the largest")


def test_an_exact_file_with_other_scores_is_not_what_was_asked_for(measured):
    file = measured(2 * PARITY)
    assert not file.met
    assert file.verdict == (
        "onnxruntime:fp32: scores differ from the network's by 2.0e-03 of the largest, more than the 0.001 that is allowed"
    )


@pytest.mark.parametrize(("drop", "met"), [(0.0, True), (0.02, True), (0.03, False)])
def test_a_lossy_file_is_judged_by_its_drop_alone(measured, drop, met):
    file = measured(0.5, drop)
    assert (file.met, file.drop, file.difference) == (met, drop, None)
    assert "fp16 takes 1.00 of the time" in file.verdict


class _Scored(FileJudge):
    """Right answers by the file's name; counts what was run."""

    def __init__(self, **right):
        self._right, self._exact, self.ran = right, {}, []
        self.task, self._labels = get_task("classify"), ("a", "b")
        self._splits = {"val": (None, np.zeros(20, np.int64))}

    def outputs(self, runtime, path, split="val"):
        self.ran.append((runtime, path.stem, split))
        said = np.arange(20) >= self._right[path.stem]
        return (np.stack([~said, said], 1).astype(np.float32),)


def test_a_loss_is_from_the_runtimes_own_exact_file():
    judge = _Scored(exact=16, int8=15, better=17, other=12, worse=10)
    exact = Path("onnxruntime/exact.onnx")
    assert judge.compared("onnxruntime", exact, Path("int8.onnx")).drop == pytest.approx(0.05)
    assert judge.compared("onnxruntime", exact, Path("better.onnx")).drop == pytest.approx(-0.05)
    assert judge.compared("litert", Path("litert/other.tflite"), Path("worse.tflite")).drop == pytest.approx(
        0.1
    )
    assert [name for _, name, _ in judge.ran].count("exact") == 1, "the exact file is run once"
    assert {split for _, _, split in judge.ran} == {"val"}
