"""A network that can learn is told from one that cannot, and the training is left as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gossamer.deploy.contract import InputContract
from gossamer.tasks import get_task
from gossamer.train.overfit import Overfit, overfit
from gossamer.train.recipes import named_recipe
from gossamer.train.training import Pictures, Steps, Training
from gossamer.zoo.build import build


@pytest.fixture
def training(tmp_path):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 255, (8, 64, 64, 3), dtype=np.uint8)
    targets = np.zeros((8, 1, 7), np.float32)
    targets[:, 0] = [1, 10, 12, 40, 44, 900, 0]
    return Training(
        build("nanodet_plus_m_320", num_classes=2),
        InputContract.of("imagenet", 64),
        named_recipe("from-scratch"),
        Pictures(pixels, targets, pixels, targets),
        tmp_path,
        Steps(10),
        task=get_task("detect"),
        labels=("ship", "tank"),
    )


def test_a_detector_learns_one_batch_and_is_as_it_was(training):
    before = {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
    result = overfit(training)
    assert result.learns
    assert "it learns" in result.told
    assert all(torch.equal(tensor, before[name]) for name, tensor in training.network.state_dict().items())
    assert not any(training.folder.iterdir())


def test_what_does_not_learn_is_told_with_what_to_do():
    result = Overfit(2.0, 1.95, 12, 8)
    assert not result.learns
    assert "gossamer check" in result.told
    assert not Overfit(2.0, float("nan"), 12, 8).learns
