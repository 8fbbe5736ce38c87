"""Training in pieces: a tiny network learns, is stopped, goes on where it was, and says when it diverges."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from gossamer.data.augment import Augmentation
from gossamer.deploy.contract import InputContract
from gossamer.errors import ModelError, RunFolderError
from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import ConvNormAct, init_convolutional
from gossamer.nn.network import Network, Stage, classifier
from gossamer.train import loop
from gossamer.train.loop import Pictures, Training, TrainResult, train_until
from gossamer.train.module import ClassifierModule
from gossamer.train.recipe import Recipe
from gossamer.zoo.checkpoints import read_checkpoint

SIDE = 32


def _network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stage = Stage([InvertedResidual(8, 8, 16)], channels=8, reduction=2)
        network = Network(ConvNormAct(3, 8, 3, 2), [stage], classifier(8, 3))
        init_convolutional(network)
    return network


def _pictures(count, seed):
    """Three colours with noise over them."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 3
    colours = np.eye(3)[labels][:, None, None] * 120 + 60
    pixels = np.clip(colours + rng.normal(0, 30, (count, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    return pixels, labels


@pytest.fixture
def training(tmp_path):
    recipe = Recipe(
        "test", learning_rate=1e-2, body_rate=1.0, batch=12, ema_decay=0.9, patience=1000,
        augmentation=Augmentation(degrees=5, erase=0.0),
    )  # fmt: skip
    return Training(
        network=_network(),
        contract=InputContract.of("imagenet", SIDE),
        recipe=recipe,
        pictures=Pictures(*_pictures(48, 0), *_pictures(18, 1)),
        folder=tmp_path / "net",
        total_seconds=4.0,
        decay_from=0.5,
    )


def _progress(training):
    return json.loads((training.folder / "progress.json").read_text())


def test_it_learns_is_stopped_and_goes_on(training):
    pulses = []
    first = train_until(training, 1.5, pulse=pulses.append)
    assert 1.5 <= first.seconds < 4
    assert first.steps > 0
    assert {p.name for p in training.folder.iterdir()} == {
        "best.safetensors",
        "last.ckpt",
        "logs",
        "progress.json",
    }
    assert _progress(training) == first.to_json()
    assert pulses
    assert all(math.isfinite(p.loss) and p.pictures_per_second > 0 for p in pulses)

    second = train_until(replace(training, network=_network(9)), 3.0)
    assert second.steps > first.steps
    assert second.seconds >= 3.0 > first.seconds
    assert second.points[: len(first.points)] == first.points
    steps = [round(p.passes * 48 / 12) for p in second.points]
    assert steps == sorted(set(steps)), "no step is trained twice"
    assert second.best_accuracy >= 0.9, "three colours are easy"
    assert second.best_accuracy == max(p.val_accuracy for p in second.points)

    again = train_until(training, 2.0)
    assert again == second, "what was trained that long is not trained again"


def test_the_best_weights_are_the_networks(training):
    result = train_until(training, 1.5)
    network = _network(7)
    network.load_state_dict(read_checkpoint(training.folder / "best.safetensors"))
    pixels, labels = training.pictures.val, training.pictures.val_labels
    with torch.no_grad():
        predicted = network.eval()(torch.from_numpy(training.contract.normalise(pixels))).argmax(1).numpy()
    assert (predicted == labels).mean() == pytest.approx(result.best_accuracy, abs=1 / len(labels))


def test_a_training_killed_before_its_first_validation_begins_anew(training):
    training.folder.mkdir(parents=True)
    (training.folder / "last.ckpt").write_bytes(b"half")
    (training.folder / "progress.json").write_text('{"seconds": 1')
    result = train_until(training, 1.0)
    assert result.steps > 0
    assert result.points[0].seconds <= 1.5


def test_a_loss_that_is_no_number_is_an_error(training):
    wild = replace(training, recipe=replace(training.recipe, learning_rate=1e30, warmup=0.0, clip_norm=1e30))
    with pytest.raises(
        ModelError,
        match=r"^training diverged \(loss (nan|inf) after \d+ steps\); lower the learning rate of 1e\+30$",
    ):
        train_until(wild, 3.0)


def test_a_plateau_skips_to_the_end_of_the_decay(training, monkeypatch):
    def worse(module, batch, batch_index):
        rates.append(module.progress)
        module.log("val_loss", 1.0, batch_size=1)
        module.log("val_accuracy", 1 / (1 + module.updates), batch_size=1)

    rates = []
    monkeypatch.setattr(ClassifierModule, "validation_step", worse)
    monkeypatch.setattr(loop, "_chunk_steps", lambda *_: 4)
    still = replace(training, recipe=replace(training.recipe, patience=2), total_seconds=20.0)
    result = train_until(still, 20.0)
    assert result.stopped_early
    assert result.seconds < 15
    assert result.position >= 20.0
    assert max(rates[:3]) < 0.5
    assert min(rates[4:]) >= 0.8
    assert result.best_accuracy == result.points[0].val_accuracy
    assert train_until(still, 20.0) == result


def test_a_teacher_is_followed_and_stays_as_it_is(training):
    teacher = _network(3).eval()
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    result = train_until(replace(training, teacher=teacher), 1.0)
    assert result.steps > 0
    assert all(torch.equal(before[k], v) for k, v in teacher.state_dict().items())
    keys = torch.load(training.folder / "last.ckpt", weights_only=True)["state_dict"]
    assert not any(key.startswith("teacher.") for key in keys)
    more = train_until(replace(training, network=_network(9), teacher=teacher), 2.0)
    assert more.steps > result.steps


def test_a_folder_that_cannot_be_written(training, tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        RunFolderError, match="the disk is full; free some space and run the same command with --resume"
    ):
        train_until(training, 1.0)


def test_a_result_survives_json():
    empty = TrainResult()
    assert TrainResult.from_json(json.loads(json.dumps(empty.to_json()))) == empty
