"""Which int8 file is kept, by a judge whose answers are made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from gossamer.errors import ModelError
from gossamer.runs.export import file as export_file
from gossamer.runs.export.config import ExportConfig, Target
from gossamer.runs.export.file import Files
from gossamer.runs.reporter import Quiet
from gossamer.tasks import get_task
from gossamer.types import within


class _Judge:
    """Loses what the file's name says."""

    calibration = ()
    task = get_task("classify")

    def drop(self, _runtime, _exact, path):
        return float(path.stem)

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
    assert not within(told[-1].drop, makes.config.max_drop)


def test_nothing_made_is_an_error(files):
    makes, _ = files()
    with pytest.raises(ModelError, match="no int8 file could be made for onnxruntime; take onnxruntime:fp32"):
        makes._int8(TARGET, Path("fp32.onnx"))
    makes, _ = files(0.0, judge=False)
    with pytest.raises(ModelError, match="calibrated on pictures, none were given"):
        makes._int8(TARGET, Path("fp32.onnx"))
