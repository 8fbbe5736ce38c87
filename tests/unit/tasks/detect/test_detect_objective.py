"""Training for boxes: what is refused, what is moved, and runs that were killed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gossamer.data.augment import Augmentation
from gossamer.deploy.contract import InputContract
from gossamer.errors import GossamerError
from gossamer.tasks import get_task
from gossamer.tasks.detect.objective import OBJECTIVE
from gossamer.train.finders import find_batch, find_learning_rate
from gossamer.train.loop import train_until
from gossamer.train.recipe import Recipe
from gossamer.train.training import Pictures, Steps, Training
from gossamer.types import Size
from gossamer.zoo.build import build
from gossamer.zoo.checkpoints import read_checkpoint

SIDE, LABELS = 64, ("boat", "car")
RECIPE = Recipe(
    "test",
    learning_rate=1e-3,
    batch=4,
    label_smoothing=0.0,
    augmentation=Augmentation(degrees=3, erase=0.0, mosaic=0.5, beyond="grey"),
)


def _network(seed=0):
    return build("nanodet_m_320", num_classes=len(LABELS), seed=seed)


def _pictures(count, seed, bare=()):
    """Two bright squares on noise; pictures of `bare` have no box."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 90, (count, SIDE, SIDE, 3)).astype(np.uint8)
    targets = np.zeros((count, 2, 7), np.float32)
    for picture in range(count):
        for label in range(2):
            left, top = rng.integers(0, 40, 2)
            pixels[picture, top : top + 20, left : left + 20, label] = 250
            targets[picture, label] = [label, left, top, left + 20, top + 20, 400, 0]
    targets[list(bare), :, 0] = -1
    return pixels, targets


def _training(folder, *, bare=(), **recipe):
    return Training(
        network=_network(),
        contract=InputContract.of("imagenet", SIDE),
        recipe=replace(RECIPE, **recipe),
        pictures=Pictures(*_pictures(12, 0, bare), *_pictures(4, 1)),
        folder=folder,
        length=Steps(6),
        labels=LABELS,
        task=get_task("detect"),
    )


@pytest.mark.parametrize(
    "setting", [{"mixup": 0.4}, {"cutmix": 1.0}, {"label_smoothing": 0.1}, {"balance": "sampling"}]
)
def test_what_means_nothing_for_boxes_is_refused(setting):
    OBJECTIVE.check_recipe(RECIPE)
    with pytest.raises(GossamerError, match=f"got {next(iter(setting))}="):
        OBJECTIVE.check_recipe(replace(RECIPE, **setting))


def test_a_run_with_mosaics_ends_in_the_same_weights_however_often_it_was_stopped(tmp_path):
    train_until(_training(tmp_path / "whole"), 6)
    for until in (1, 3, 4, 6):
        train_until(_training(tmp_path / "parts"), until)
    whole, parts = (read_checkpoint(tmp_path / name / "final.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize("setting", [{"batch": 1}, {"precision": "bf16"}, {"accumulate": 2}])
def test_batches_without_any_box_are_learnt_from(tmp_path, setting):
    """Eleven of twelve pictures are bare, so that most batches are."""
    result = train_until(_training(tmp_path / "net", bare=range(1, 12), **setting), 4)
    assert result.steps == 4
    final = read_checkpoint(tmp_path / "net" / "best.safetensors")
    assert all(bool(torch.isfinite(values).all()) for values in final.values() if values.is_floating_point())


def test_rate_and_batch_are_found_for_networks_that_give_predictions():
    network, contract = _network(), InputContract.of("imagenet", SIDE)
    curve = find_learning_rate(
        network, contract, RECIPE, *_pictures(12, 0), objective=OBJECTIVE, width=2, steps=10
    )
    assert len(curve.rates) >= 3
    assert all(map(np.isfinite, curve.losses))
    assert find_batch(network, contract, size=Size(SIDE, SIDE), most=2) in (1, 2)
