"""Which networks are parted, how the seconds are shared out between pieces, and that the probe is the floor."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.e2e.conftest import write_coloured

from gossamer.data.check import check
from gossamer.fit import endings
from gossamer.fit.candidates import Candidate
from gossamer.fit.config import FitConfig
from gossamer.fit.endings import Endings, can_end
from gossamer.runs.folder import RunFolder
from gossamer.runs.reporter import Quiet


def _candidate(name="efficientnet_lite0[:4]", weights="wheel", size=64):
    return Candidate(
        name=name, size=size, weights=weights, preprocessing="lite", params=1, macs=1, promise=1.0
    )


@pytest.mark.parametrize(
    ("candidate", "pictures", "parted"),
    [
        (_candidate(), 100, True),
        (_candidate(weights=None), 100, False),
        (_candidate("espnet_v2_0.5"), 100, False),
        (_candidate(size=224), 10_000, True),
        (_candidate(size=224), 100_000, False),
    ],
    ids=["weights", "no weights", "looks again", "fits on disk", "does not"],
)
def test_what_is_parted(candidate, pictures, parted):
    assert can_end([candidate], pictures) is parted


@pytest.fixture
def trainer(tmp_path):
    report = check(write_coloured(tmp_path / "data", count=12, side=40))
    config = FitConfig(data=str(tmp_path / "data"), within="size<=1MB")
    run = RunFolder(tmp_path / "run", config, resume=False)
    yield Endings(config, report, run, Quiet(), view="ground")
    run.close()


def _shared(trainer, monkeypatch, left, own=1.0):
    monkeypatch.setattr(trainer, "_pass_seconds", lambda *_: own)
    part = trainer._part(_candidate())
    maps = endings._AllMaps(
        np.zeros((2, 30, 2, 2, 1), np.float16),
        np.zeros(30),
        np.zeros((2, 10, 2, 2, 1), np.float16),
        np.zeros(10),
    )
    return trainer._plan(part, maps, left)


def test_seconds_go_to_the_ending_then_to_all_pictures_then_to_all_layers(trainer, monkeypatch):
    few = _shared(trainer, monkeypatch, 6.0)
    assert (few.ending, few.refit, few.thawed) == (6.0, 0, 0)
    some = _shared(trainer, monkeypatch, 14.0)
    assert (some.ending, some.refit, some.thawed) == (pytest.approx(6.0), pytest.approx(8.0), 0)
    many = _shared(trainer, monkeypatch, 200.0)
    assert (many.ending, many.refit) == (pytest.approx(12.0), pytest.approx(16.0))
    assert many.thawed == pytest.approx(172.0)


@pytest.mark.slow
def test_where_training_ends_below_the_probe_the_probe_ships(trainer, monkeypatch):
    monkeypatch.setattr(endings, "_LEAST_SHARE", 0.0)
    monkeypatch.setattr(trainer, "_plan", lambda *_: endings._Plan(ending=0.01, refit=0, thawed=0))
    monkeypatch.setattr(endings, "ending_recipe", lambda **how: _spoiled(**how))
    trained = trainer.train([_candidate()], 5.0)
    network = trained.networks[0]
    assert network.score == trained.probe > 0.5
    assert any("the probe's network ships" in note for note in trained.notes)
    assert network.rungs == 0
    assert trainer.refit(_candidate(), network, 5.0) is None
    assert json.loads(network.model_dump_json())["score"] == trained.probe


def _spoiled(**how):
    """A rate at which one step ruins everything."""
    from dataclasses import replace

    from gossamer.train.recipes import ending_recipe

    return replace(ending_recipe(**how), learning_rate=1.0, warmup=0.0, ema_decay=0.0)
