"""Training in pieces: a tiny network learns, is stopped, goes on where it was, and says when it diverges."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from gossamer.data.augment import Augmentation, Moved
from gossamer.deploy.contract import InputContract
from gossamer.errors import ModelError, RunFolderError
from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import ConvNormAct, init_convolutional
from gossamer.nn.network import Network, Stage, classifier
from gossamer.tasks.classify.objective import OBJECTIVE
from gossamer.train import loop, module
from gossamer.train.loop import steps_of, train_until
from gossamer.train.module import TrainingModule
from gossamer.train.pace import Listener
from gossamer.train.recipe import Distillation, Recipe
from gossamer.train.teachers import Teaching
from gossamer.train.training import Pictures, Seconds, Steps, Training, TrainResult
from gossamer.zoo.build import build
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
        length=Seconds(4.0),
        decay_from=0.5,
        labels=("red", "green", "blue"),
    )


class _Ear(Listener):
    def __init__(self):
        self.pulses, self.points, self.problems = [], [], []

    def pulse(self, now):
        self.pulses.append(now)

    def point(self, point):
        self.points.append(point)

    def problem(self, problem):
        self.problems.append(problem)


def _progress(training):
    return json.loads((training.folder / "progress.json").read_text())


def test_it_learns_is_stopped_and_goes_on(training):
    ear = _Ear()
    first = train_until(training, 1.5, listener=ear)
    pulses = ear.pulses
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
    assert ear.points == first.points

    second = train_until(replace(training, network=_network(9)), 3.0)
    assert second.steps > first.steps
    assert second.seconds >= 3.0 > first.seconds
    assert second.points[: len(first.points)] == first.points
    steps = [round(p.passes * 48 / 12) for p in second.points]
    assert steps == sorted(set(steps)), "no step is trained twice"
    assert second.best_score >= 0.9, "three colours are easy"
    assert second.best_score == max(p.val_score for p in second.points)

    again = train_until(training, 2.0)
    assert again == second, "what was trained that long is not trained again"


def test_the_best_weights_are_the_networks(training):
    result = train_until(training, 1.5)
    network = _network(7)
    network.load_state_dict(read_checkpoint(training.folder / "best.safetensors"))
    pixels, labels = training.pictures.val, training.pictures.val_targets
    with torch.no_grad():
        predicted = network.eval()(torch.from_numpy(training.contract.normalise(pixels))).argmax(1).numpy()
    assert (predicted == labels).mean() == pytest.approx(result.best_score, abs=1 / len(labels))


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
        match=r"^training diverged \(loss (nan|inf) after \d+ steps\); lower the learning rate of 1e\+30, e.g. --set learning_rate=2e\+29$",
    ):
        train_until(wild, 3.0)


def test_a_plateau_skips_to_the_end_of_the_decay(training, monkeypatch):
    def worse(running):
        rates.append(running.progress)
        running.log("val_loss", 1.0)
        running.log("val_accuracy", 1 / (1 + running.updates))
        running.log("val_balanced", 0.0)
        running.figures = ("accuracy", "balanced")

    rates = []
    monkeypatch.setattr(TrainingModule, "on_validation_epoch_end", worse)
    still = replace(training, recipe=replace(training.recipe, patience=2), length=Steps(400))
    monkeypatch.setattr(loop, "_MOST_VALIDATIONS", 100)
    result = train_until(still, 400)
    assert result.stopped_early
    assert result.steps < 200
    assert result.position(still.length) >= 400
    assert max(rates[:3]) < 0.5
    assert min(rates[4:]) >= 0.8
    assert result.best == result.points[0]
    assert train_until(still, 400) == result


def _teaching(training, network, teacher, **how):
    return Teaching(
        teacher, network, Distillation(**how), width=3, objective=OBJECTIVE, contract=training.contract
    )


def test_a_teacher_is_followed_and_stays_as_it_is(training):
    teacher, network = _network(3).eval(), _network()
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    taught = replace(training, network=network, teaching=_teaching(training, network, teacher, hints=0.5))
    result = train_until(taught, 1.0)
    assert result.steps > 0
    assert all(torch.equal(before[k], v) for k, v in teacher.state_dict().items())
    keys = torch.load(training.folder / "last.ckpt", weights_only=True)["state_dict"]
    assert not any(key.startswith("teaching.teacher.") for key in keys)
    assert any(key.startswith("teaching.adaptors.") for key in keys)
    other = _network(9)
    again = replace(taught, network=other, teaching=_teaching(training, other, teacher, hints=0.5))
    assert train_until(again, 2.0).steps > result.steps


def _stepped(training, folder, **more):
    recipe = replace(training.recipe, mixup=0.3, cutmix=0.5, multi_scale=0.2, ema_decay=0.9)
    return replace(training, network=_network(), recipe=recipe, folder=folder, length=Steps(24), **more)


def _final(folder):
    return read_checkpoint(folder / "final.safetensors")


def test_a_run_of_steps_ends_in_the_same_weights_however_often_it_was_stopped(training, tmp_path):
    whole = train_until(_stepped(training, tmp_path / "whole"), 24)
    assert (whole.steps, len(whole.points)) == (24, 6)
    for until in (1, 5, 6, 14, 24):
        parts = train_until(_stepped(training, tmp_path / "parts"), until)
    without_clock = [[replace(point, seconds=0.0) for point in result.points] for result in (whole, parts)]
    assert without_clock[1][-1] == without_clock[0][-1]
    ours, theirs = _final(tmp_path / "whole"), _final(tmp_path / "parts")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_seed_decides(training, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train_until(_stepped(training, tmp_path / name, seed=seed), 24)
    a, b, c = (_final(tmp_path / name)["head.2.weight"] for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_steps_of_epochs():
    assert steps_of(1680, batch=32, epochs=2) == Steps(106)
    assert steps_of(5, batch=32, epochs=0.1) == Steps(1)


def test_accumulated_gradients_are_those_of_the_larger_batch(training, tmp_path, monkeypatch):
    """Nothing random, no norms in training mode: four batches of 12 in one step are one batch of 48."""
    monkeypatch.setattr(module, "augment_raw", lambda pictures, *_, **__: Moved(pictures, None))
    recipe = replace(
        training.recipe, optimiser="sgd", momentum=0.0, freeze_norm=True, clip_norm=0.0, ema_decay=0.0,
        start_resolution=1.0, warmup=0.0, schedule="constant", label_smoothing=0.0,
    )  # fmt: skip
    for name, batch, accumulate, steps in (("one", 48, 1, 3), ("four", 12, 4, 12)):
        run = replace(
            training, network=_network(), folder=tmp_path / name, length=Steps(steps),
            recipe=replace(recipe, batch=batch, accumulate=accumulate),
        )  # fmt: skip
        train_until(run, steps)
    one, four = _final(tmp_path / "one"), _final(tmp_path / "four")
    start = _network().state_dict()
    moved = max(float((one[name] - start[name]).abs().max()) for name in one if one[name].is_floating_point())
    assert moved > 1e-3
    for name in (name for name in one if one[name].is_floating_point()):
        assert torch.allclose(one[name].float(), four[name].float(), atol=1e-5), name


def test_frozen_norms_keep_their_statistics(training):
    frozen = replace(
        training, network=_network(), length=Steps(8), recipe=replace(training.recipe, freeze_norm=True)
    )
    before = {k: v.clone() for k, v in frozen.network.state_dict().items() if ".1." in k or "running" in k}
    train_until(frozen, 8)
    after = frozen.network.state_dict()
    norms = [name for name in before if "running" in name]
    assert norms
    assert all(torch.equal(before[name], after[name]) for name in norms)


@pytest.mark.parametrize("balance", ["loss", "sampling"])
def test_a_rare_class_is_learned_when_balanced(training, balance):
    pixels, labels = _pictures(90, 0)
    keep = np.concatenate([np.flatnonzero(labels != 2), np.flatnonzero(labels == 2)[:1]])
    rare = replace(
        training,
        pictures=replace(training.pictures, train=pixels[keep], train_targets=labels[keep]),
        recipe=replace(training.recipe, balance=balance, optimiser="sgd", learning_rate=0.05),
        length=Steps(60),
        metric="balanced",
    )
    result = train_until(rare, 60)
    assert result.best.figures["balanced"] > 0.6
    assert result.best.worth("balanced") == max(point.worth("balanced") for point in result.points)


def test_when_memory_runs_out_the_batch_is_halved(training, monkeypatch):
    sizes = []
    real = TrainingModule.training_step

    def small(running, batch, batch_index):
        sizes.append(len(batch.targets))
        if len(batch.targets) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(running, batch, batch_index)

    monkeypatch.setattr(TrainingModule, "training_step", small)
    result = train_until(replace(training, length=Steps(4)), 4)
    assert result.halvings == 2
    assert sizes == [12, 6] + [3] * 16
    assert result.steps == 16


def test_no_memory_for_one_picture_is_an_error(training, monkeypatch):
    def never(running, batch, batch_index):
        raise RuntimeError(
            "[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes"
        )

    monkeypatch.setattr(TrainingModule, "training_step", never)
    with pytest.raises(ModelError, match=r"^a batch of 1 does not fit into memory; take a smaller"):
        train_until(replace(training, length=Steps(4)), 4)


def test_labels_out_of_range_are_an_error(training):
    wrong = replace(training.pictures, train_targets=training.pictures.train_targets + 1)
    with pytest.raises(
        ModelError, match=r"^labels are 0 to 2 for 3 classes, the training split has 3; check"
    ):
        train_until(replace(training, pictures=wrong), 1.0)


def test_an_empty_split_is_an_error(training):
    data = training.pictures
    empty = replace(data, val=data.val[:0], val_targets=data.val_targets[:0])
    with pytest.raises(
        ModelError, match=r"^training needs pictures in both splits, the validation split is empty"
    ):
        train_until(replace(training, pictures=empty), 1.0)


def test_a_checkpoint_of_another_network_is_an_error(training):
    train_until(replace(training, length=Steps(4)), 4)
    other = build("mobilenet_v2_0.35", num_classes=3)
    with pytest.raises(RunFolderError, match="holds a checkpoint of another network"):
        train_until(replace(training, network=other, length=Steps(8)), 8)


def test_batches_of_one_class_and_of_one_picture(training):
    pixels, labels = _pictures(48, 0)
    order = np.argsort(labels)[:17]
    one_class = replace(training.pictures, train=pixels[order], train_targets=labels[order])
    for batch in (8, 1):
        small = replace(
            training, network=_network(), pictures=one_class, length=Steps(6), folder=training.folder / str(batch),
            recipe=replace(training.recipe, batch=batch),
        )  # fmt: skip
        assert train_until(small, 6).steps == 6


def test_what_goes_wrong_is_said(training):
    ear = _Ear()
    flat = replace(training.pictures, train=np.full_like(training.pictures.train, 128))
    recipe = replace(training.recipe, learning_rate=1e-9)
    train_until(replace(training, pictures=flat, recipe=recipe, length=Steps(40)), 40, listener=ear)
    codes = [problem.code for problem in ear.problems]
    assert "class-never-predicted" in codes
    assert len(codes) == len(set(codes))


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
