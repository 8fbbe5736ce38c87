"""The teacher cut to the budget: within it as measured, rebuilt from what is written, or a reason."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gossamer.cost.meter import measure
from gossamer.fit.candidates import Candidate
from gossamer.fit.config import FitConfig
from gossamer.fit.rival import cut_to_budget
from gossamer.nn.objective import CLASS_SCORES
from gossamer.runs.pictures import SplitPictures
from gossamer.zoo.build import build
from gossamer.zoo.checkpoints import read_checkpoint

NAME = "mobilenet_v2_0.35"


@pytest.fixture
def teacher():
    network = build(NAME, num_classes=3).eval()
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
    return network, candidate


def _cut(teacher, within, folder):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (48, 32, 32, 3), dtype=np.uint8)
    pictures = SplitPictures(pixels, np.arange(48) % 3, [])
    config = FitConfig(data="demo", within=within)
    return cut_to_budget(
        *teacher,
        config,
        pictures,
        folder / "rival",
        width=3,
        objective=CLASS_SCORES,
        below=lambda p: str(p.relative_to(folder)),
    )


def test_its_files_are_within_the_budget_and_it_is_rebuilt(teacher, tmp_path):
    rival = _cut(teacher, "size<=450kB", tmp_path)
    found = rival.candidate
    assert found is not None, rival.note
    assert (tmp_path / "rival" / "int8-minmax.onnx").stat().st_size <= 450_000
    assert found.params < 0.9 * teacher[1].params
    assert (found.key, found.variant, found.weights) == (f"{NAME}-pruned@32", "pruned", None)
    again = build(found.spec(3))
    again.load_state_dict(read_checkpoint(tmp_path / found.start))
    assert measure(again, (1, 3, 32, 32)).params == found.params
    with torch.no_grad():
        assert torch.isfinite(again.eval()(torch.zeros(1, 3, 32, 32))).all()


def test_a_budget_that_leaves_nothing_says_so(teacher, tmp_path):
    rival = _cut(teacher, "size<=70kB", tmp_path)
    assert rival.candidate is None
    assert rival.note == f"{NAME}@32 does not fit the budget at a tenth of its params"
    assert not (tmp_path / "rival" / "start.safetensors").exists()
