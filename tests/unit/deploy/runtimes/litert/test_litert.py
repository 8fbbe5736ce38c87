"""LiteRT: foreign networks too, the network itself untouched, integers in and out by the file's scales."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import torch
from deploy_samples import CONTRACT, inputs, scores
from torch import nn

from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.litert import run as litert
from gossamer.deploy.runtimes.litert.export import export
from gossamer.errors import BundleError, MissingExtraError, ModelError
from gossamer.types import Size


class _Foreign(nn.Module):
    """No network of the zoo: padded pool, dropout, a shape that is computed."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.pool = nn.Conv2d(3, 8, 3, 2, padding=1), nn.MaxPool2d(3, 2, padding=1)
        self.last, self.drop = nn.Linear(8, 5), nn.Dropout(0.5)

    def forward(self, x):
        return self.last(self.drop(self.pool(self.first(x)).flatten(2).mean(2)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("litert") / "m.tflite"
    network = _Foreign().train()
    export(network, CONTRACT, path)
    return network, path


def test_a_foreign_network_gives_torchs_scores_and_stays_as_it_was(exported):
    network, path = exported
    assert network.training
    session = litert.load(path, threads=1)
    for value in inputs(6):
        assert np.abs(session.run(value)[0] - scores(network.eval(), value)).max() <= 1e-5
    network.train()


def test_a_result_stays_when_the_next_picture_is_run(exported):
    session = litert.load(exported[1], threads=1)
    first = session.run(inputs(2)[0])[0]
    kept = first.copy()
    session.run(inputs(2)[1])
    assert np.array_equal(first, kept)


def test_a_network_that_cannot_be_converted_is_one_line(tmp_path):
    network = nn.Sequential(nn.Conv2d(4, 2, 1))
    with pytest.raises(
        ModelError, match=r"^cannot export Sequential to LiteRT: .*; check that it runs on one picture$"
    ) as caught:
        export(network, InputContract(Size(8, 8)), tmp_path / "m.tflite")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "zero_point"), [(np.int8, -3), (np.uint8, 120)])
def test_integers_stand_for_floats_by_scale_and_zero_point(kind, zero_point):
    port = {"dtype": kind, "quantization": (0.5, zero_point)}
    limits = np.iinfo(kind)
    codes = litert._stored(np.float32([-1000, -0.6, 0, 0.26, 1, 1000]), port)
    assert codes.dtype == kind
    assert codes.tolist() == [limits.min, *(zero_point + step for step in (-1, 0, 1, 2)), limits.max]
    real = litert._real(codes[1:-1], port)
    assert real.dtype == np.float32
    assert real.tolist() == [-0.5, 0, 0.5, 1]


def test_floats_pass_as_they_are():
    port = {"dtype": np.float32, "quantization": (0.0, 0)}
    values = np.float32([1.25, -7])
    assert litert._stored(values, port) is values
    assert litert._real(values, port) is values


@pytest.mark.parametrize(
    ("making", "absent"),
    [(False, "ai_edge_litert"), (True, "litert_torch"), (True, "ai_edge_quantizer")],
)
def test_what_is_missing_is_named(monkeypatch, making, absent):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else found(name))
    named = absent.replace("_", "-")
    assert litert.missing(making=making) == (named, "litert")
    with pytest.raises(MissingExtraError, match=rf"needs {named}, .*pip install 'gossamer\[litert\]'"):
        get_runtime("litert", making=making)


def test_where_parts_cannot_be_imported_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(MissingExtraError, match=r"needs ai-edge-litert, .*'gossamer\[litert\]'"):
        litert.engine()
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with pytest.raises(MissingExtraError, match=r"exporting to litert needs litert-torch"):
        export(_Foreign(), CONTRACT, tmp_path / "m.tflite")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(BundleError, match="no such model file"):
        litert.load(tmp_path, threads=1)
