"""A detector follows a detector: by its answers, and by the levels of its neck."""

from __future__ import annotations

import pytest
import torch

from gossamer.deploy.contract import InputContract
from gossamer.errors import ModelError
from gossamer.tasks.detect.objective import OBJECTIVE
from gossamer.tasks.detect.parts.detector import Predictions
from gossamer.train.distill import channel_wise
from gossamer.train.recipe import Distillation
from gossamer.train.taps import dry_run
from gossamer.train.teachers import Ensemble, Teaching
from gossamer.types import Size
from gossamer.zoo.build import build

CONTRACT = InputContract(Size(64, 96))
NAME = "detector:mobilenet_v2_0.35+ghost_pan+gfl"
TARGETS = torch.tensor([[[1.0, 8.0, 8.0, 40.0, 48.0, 1280.0, 0.0]], [[-1.0] + [0.0] * 6]])


def _detector(seed=0, classes=3, channels=16):
    return build(NAME, num_classes=classes, seed=seed, channels=channels)


def _teaching(teacher, student, **losses):
    return Teaching(teacher, student, Distillation(**losses), width=3, objective=OBJECTIVE, contract=CONTRACT)


def _followed(teaching, student):
    batch = torch.rand(2, 3, *CONTRACT.size, generator=torch.Generator().manual_seed(0))
    return teaching.follow(student.train(), batch, TARGETS, 0, 0)


def test_the_maps_of_a_detector_are_the_levels_of_its_neck():
    detector = _detector(channels=24)
    answers, sites = dry_run(detector, torch.zeros(1, 3, 128, 128))
    assert answers.shape[2] == 7
    assert list(sites) == [3, 4, 5, 6]
    assert [site.pick for site in sites.values()] == [0, 1, 2, 3]
    assert {site.channels for site in sites.values()} == {24}
    assert all(site.module is detector.neck for site in sites.values())


def test_a_student_is_told_a_loss_a_picture_and_learns_by_it():
    student = _detector(seed=1)
    outputs, losses = _followed(_teaching(_detector(), student), student)
    assert isinstance(outputs, Predictions)
    assert losses.shape == (2,)
    assert (losses > 0).all()
    losses.sum().backward()
    grads = [p.grad for p in student.parameters() if p.grad is not None]
    assert any(g.abs().sum() > 0 for g in grads)
    assert all(torch.isfinite(g).all() for g in grads)


def test_channels_are_held_against_the_teacher_s_on_every_level():
    teacher, student = _detector(), _detector(seed=1)
    teaching = _teaching(teacher, student, logits=0.0, channel=1.0, temperature=4.0)
    assert len(teaching.adaptors) == 0
    _, losses = _followed(teaching, student)
    batch = torch.rand(2, 3, *CONTRACT.size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = student.neck(student.backbone.features(batch))
        theirs = teaching.teacher.neck(teaching.teacher.backbone.features(batch))
    apart = [channel_wise(a, b, 4.0) for a, b in zip(ours, theirs, strict=True)]
    assert len(apart) == 4
    torch.testing.assert_close(losses.detach(), torch.stack(apart).mean(0), rtol=1e-4, atol=1e-5)


def test_levels_of_other_channels_have_an_adaptor_each():
    student = _detector(seed=1, channels=8)
    teaching = _teaching(_detector(), student, logits=0.0, channel=1.0)
    assert sorted(teaching.adaptors) == ["0", "1", "2", "last"]
    _, losses = _followed(teaching, student)
    losses.sum().backward()
    assert all(layer.weight.grad.abs().sum() > 0 for layer in teaching.adaptors.values())


def test_a_teacher_of_other_classes_is_no_teacher():
    with pytest.raises(ModelError, match=r"the student's 3 classes apart, the teacher has 5"):
        _teaching(_detector(classes=5), _detector())


def test_detectors_of_other_priors_are_not_followed():
    anchors = build("detector:mobilenet_v2_0.35+ghost_pan+anchors", num_classes=3, channels=16)
    student = _detector()
    with pytest.raises(ModelError, match="follows one with the same priors"):
        _followed(_teaching(anchors, student), student)


def test_several_detectors_teach_as_one():
    first, second = _detector().eval(), _detector(seed=1).eval()
    batch = torch.rand(1, 3, *CONTRACT.size)
    with torch.no_grad():
        answers = Ensemble([(first, CONTRACT), (second, CONTRACT)], OBJECTIVE).eval()(batch)
        torch.testing.assert_close(answers, (first(batch) + second(batch)) / 2)
    other = Ensemble([(first, CONTRACT), (_detector(classes=5).eval(), CONTRACT)], OBJECTIVE).eval()
    with pytest.raises(ModelError, match=r"the same classes, got \[3, 5\] of them"):
        other(batch)
