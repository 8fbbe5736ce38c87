"""Teaching: what is tapped and followed, kept scores, ensembles, and who cannot teach."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from gossamer.deploy.contract import InputContract
from gossamer.errors import ModelError
from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import ConvNormAct
from gossamer.nn.network import Network, Stage, classifier
from gossamer.tasks.classify.objective import OBJECTIVE
from gossamer.train import distill
from gossamer.train.recipe import Distillation
from gossamer.train.teachers import Ensemble, ScoreCache, Teaching
from gossamer.types import Size

SIDE, CLASSES = 32, 3
CONTRACT = InputContract.of("imagenet", SIDE)


def _network(channels=8, seed=0, classes=CLASSES, min_input=None):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stages = [
            Stage([InvertedResidual(channels, channels, channels)], channels=channels, reduction=2),
            Stage(
                [InvertedResidual(channels, 2 * channels, channels, stride=2)],
                channels=2 * channels,
                reduction=4,
            ),
        ]
        head = classifier(2 * channels, classes)
        return Network(ConvNormAct(3, channels, 3, 2), stages, head, min_input=min_input)


def _foreign():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(inplace=True)),
            nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1), nn.ReLU(inplace=True)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(1),
            nn.Linear(6, CLASSES),
        )


class _Counting(nn.Module):
    """A teacher that counts its forwards."""

    def __init__(self, network):
        super().__init__()
        self.network, self.count = network, 0

    def forward(self, x):
        self.count += 1
        return self.network(x)


def _encoded(labels):
    return OBJECTIVE.encode(labels, CLASSES)


def _encoded_inputs(**how):
    inputs, labels = _inputs(**how)
    return inputs, _encoded(labels)


def _teaching(how, *, teacher=None, student=None, **rest):
    given = {"width": CLASSES, "objective": OBJECTIVE, "contract": CONTRACT, **rest}
    student = _network().train() if student is None else student
    return Teaching(_network(12, 1) if teacher is None else teacher, student, how, **given), student


def _inputs(count=4, seed=0, side=SIDE):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, side, side, generator=generator), torch.arange(count) % CLASSES


def _hooks(*networks):
    return sum(len(module._forward_hooks) for network in networks for module in network.modules())


def test_scores_are_followed_as_the_weights_say():
    how = Distillation(logits=0.5, temperature=3.0, dkd=0.25, dkd_beta=2.0, dist=0.125)
    teaching, student = _teaching(how)
    inputs, labels = _inputs()
    scores, follow = teaching.follow(student.eval(), inputs, _encoded(labels), 0, 0)
    theirs = teaching.teacher(inputs)
    wanted = (
        0.5 * distill.soft_scores(scores, theirs, 3.0)
        + 0.25 * distill.decoupled(scores, theirs, labels, 3.0, 2.0)
        + 0.125 * distill.correlated(scores, theirs, 3.0)
    )
    torch.testing.assert_close(scores, student(inputs))
    torch.testing.assert_close(follow, wanted)


def test_maps_are_followed_as_the_weights_say():
    how = Distillation(logits=0.0, temperature=2.0, hints=0.5, attention=0.25, relational=0.125, channel=2.0)
    teaching, student = _teaching(how)
    inputs, labels = _inputs()
    _, follow = teaching.follow(student.eval(), inputs, _encoded(labels), 0, 0)
    ours, theirs = student.features(inputs), teaching.teacher.features(inputs)
    adapted = teaching.adaptors["last"](ours[-1])
    wanted = (
        0.5 * distill.hint(adapted, theirs[-1])
        + 0.25 * sum(distill.attention(a, b) for a, b in zip(ours, theirs, strict=True))
        + 0.125 * distill.relational(ours[-1].mean((2, 3)), theirs[-1].mean((2, 3)))
        + 2.0 * distill.channel_wise(adapted, theirs[-1], 2.0)
    )
    torch.testing.assert_close(follow, wanted)


def test_channels_that_agree_need_no_adaptor():
    teaching, student = _teaching(Distillation(logits=0.0, channel=1.0), teacher=_network(8, 1))
    assert len(teaching.adaptors) == 0
    inputs, labels = _inputs()
    _, follow = teaching.follow(student.eval(), inputs, _encoded(labels), 0, 0)
    wanted = distill.channel_wise(student.features(inputs)[-1], teaching.teacher.features(inputs)[-1], 2.0)
    torch.testing.assert_close(follow, wanted)


def test_a_foreign_student_is_followed_by_its_maps():
    how = Distillation(logits=0.0, hints=1.0, attention=1.0)
    teaching, student = _teaching(how, student=_foreign())
    _, follow = teaching.follow(student, *_encoded_inputs(), 0, 0)
    assert follow.shape == (4,)
    assert (follow > 0).all()


def test_nothing_is_tapped_for_scores_alone():
    seen = []
    teaching, student = _teaching(Distillation())
    teaching.follow(
        lambda x: seen.append(_hooks(student, teaching.teacher)) or student(x), *_encoded_inputs(), 0, 0
    )
    assert seen == [0]
    assert len(teaching.adaptors) == 0


def test_hooks_are_gone_after_a_step_that_fails_too():
    teaching, student = _teaching(Distillation(hints=1.0))
    seen = []

    def run(x):
        seen.append(_hooks(student))
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        teaching.follow(run, *_encoded_inputs(), 0, 0)
    assert seen == [1]
    assert _hooks(student, teaching.teacher) == 0


def test_the_student_and_the_adaptor_learn_and_the_teacher_does_not():
    teaching, student = _teaching(Distillation(logits=0.0, hints=1.0))
    teaching.train()
    before = copy.deepcopy(teaching.teacher.state_dict())
    inputs, labels = _inputs(8)
    optimiser = torch.optim.Adam([*student.parameters(), *teaching.adaptors.parameters()], 1e-2)
    losses = []
    for step in range(30):
        _, follow = teaching.follow(student, inputs, _encoded(labels), step, 0)
        optimiser.zero_grad()
        follow.mean().backward()
        optimiser.step()
        losses.append(float(follow.mean().detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert teaching.adaptors["last"].weight.grad.abs().sum() > 0
    assert not teaching.teacher.training
    assert not any(p.requires_grad for p in teaching.teacher.parameters())
    after = teaching.teacher.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_dry_run_leaves_the_student_as_it_was():
    student = _network().train()
    student.stages[0].eval()
    before, modes = copy.deepcopy(student.state_dict()), [m.training for m in student.modules()]
    teaching, _ = _teaching(Distillation(attention=1.0), student=student)
    assert [m.training for m in student.modules()] == modes
    assert all(torch.equal(before[key], value) for key, value in student.state_dict().items())
    assert not any(key.startswith(("student", "_student")) for key in teaching.state_dict())
    assert {key.split(".")[0] for key in teaching.state_dict()} <= {"teacher", "adaptors"}


def test_adaptors_are_the_same_every_time():
    first, _ = _teaching(Distillation(hints=1.0))
    torch.rand(3)
    second, _ = _teaching(Distillation(hints=1.0))
    assert torch.equal(first.adaptors["last"].weight, second.adaptors["last"].weight)


def test_a_compiled_student_is_tapped_at_every_step_and_compiled_once():
    from torch._dynamo.utils import counters

    teaching, student = _teaching(Distillation(hints=1.0))
    run = torch.compile(student.eval(), backend="eager")
    counters.clear()
    for step in range(3):
        inputs, labels = _inputs(seed=step)
        found = teaching.follow(run, inputs, _encoded(labels), step, 0)
        wanted = teaching.follow(student, inputs, _encoded(labels), step, 0)
        torch.testing.assert_close(found, wanted)
    assert counters["stats"]["unique_graphs"] == 1
    torch._dynamo.reset()


def test_a_network_without_maps_cannot_be_followed_by_maps():
    flat = nn.Sequential(nn.Flatten(1), nn.Linear(3 * SIDE * SIDE, CLASSES))
    with pytest.raises(
        ModelError, match=r"^hints, channel follow maps \(B, C, H, W\), the student Sequential has none; set"
    ):
        _teaching(Distillation(hints=1.0, channel=1.0), student=flat)
    with pytest.raises(ModelError, match=r"^attention follow maps .* the teacher Sequential has none"):
        _teaching(Distillation(attention=1.0), teacher=flat)
    teaching, student = _teaching(Distillation(), teacher=flat)
    assert teaching.follow(student, *_encoded_inputs(), 0, 0)[1].shape == (4,)


def test_a_teacher_of_other_classes_is_refused():
    with pytest.raises(
        ModelError,
        match=r"^a teacher tells the student's 3 classes apart, the teacher has 7; train it .*`gossamer train DATA",
    ):
        _teaching(Distillation(), teacher=_network(classes=7))


def test_a_teacher_that_cannot_take_the_pictures_is_refused():
    fixed = nn.Sequential(nn.Flatten(1), nn.Linear(3 * 16 * 16, CLASSES))
    with pytest.raises(
        ModelError, match=r"^a teacher takes the student's pictures \(1, 3, 32, 32\), this one does not: "
    ):
        _teaching(Distillation(), teacher=fixed)


def test_pictures_are_normalised_as_the_teacher_wants_them():
    seen = []

    class Looking(nn.Module):
        def forward(self, x):
            seen.append(x)
            return torch.zeros(len(x), CLASSES)

    wanted = InputContract(
        Size(SIDE, SIDE), bands=("blue", "red"), scale=0.5, offset=3.0, mean=(1.0, 2.0), std=(4.0, 5.0)
    )
    teaching, student = _teaching(Distillation(), teacher=Looking(), teacher_contract=wanted)
    raw = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.uint8)
    teaching.follow(student, torch.from_numpy(CONTRACT.normalise(raw)), _encoded(torch.tensor([0, 1])), 0, 0)
    np.testing.assert_allclose(seen[-1], wanted.normalise(raw[..., [2, 0]]), rtol=1e-4, atol=1e-4)
    infrared = InputContract(Size(SIDE, SIDE), bands=("red", "nir"), mean=(0.0, 0.0), std=(1.0, 1.0))
    with pytest.raises(ModelError, match="this one also wants nir beside red, green, blue; train one"):
        _teaching(Distillation(), teacher=Looking(), teacher_contract=infrared)


def test_pictures_are_enlarged_only_below_the_teachers_least():
    seen = []
    teacher = _network(12, 1, min_input=24)
    teacher.stem.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape[2:])))
    teaching, student = _teaching(
        Distillation(), teacher=teacher, teacher_contract=InputContract.of("imagenet", 64)
    )
    for side in (32, 24, 16):
        teaching.follow(student, *_encoded_inputs(side=side), 0, 0)
    assert seen[1:] == [(32, 32), (24, 24), (64, 64)]


def _cache(path):
    return ScoreCache(path / "scores.f16", steps=3, batch=4, width=CLASSES, key="a")


def test_kept_scores_stand_in_for_the_teacher(tmp_path):
    teacher = _Counting(_network(12, 1))
    teaching, student = _teaching(Distillation(), teacher=teacher, cache=_cache(tmp_path))
    student.eval()
    plain, _ = _teaching(Distillation())
    at_start = teaching.teacher.count
    inputs, labels = _inputs()
    first = teaching.follow(student, inputs, _encoded(labels), 1, 0)
    again = teaching.follow(student, inputs, _encoded(labels), 1, 0)
    assert teaching.teacher.count == at_start + 1
    assert torch.equal(first[1], again[1])  # a resumed run is told the same, to the bit
    torch.testing.assert_close(
        first[1],
        plain.follow(student, inputs, _encoded(labels), 1, 0)[1],
        rtol=1e-2,
        atol=1e-4,
    )

    second = _Counting(_network(12, 2))  # another network: what it says is not asked for
    later, _ = _teaching(Distillation(), teacher=second, cache=_cache(tmp_path))
    at_start = later.teacher.count
    assert torch.equal(later.follow(student, inputs, _encoded(labels), 1, 0)[1], first[1])
    assert torch.equal(later.follow(student, inputs[2:], _encoded(labels[2:]), 1, 2)[1], first[1][2:])
    assert later.teacher.count == at_start
    later.follow(student, inputs, _encoded(labels), 2, 0)
    assert later.teacher.count == at_start + 1


def test_no_cache_where_maps_are_followed(tmp_path):
    teacher = _Counting(_network(12, 1))
    how = Distillation(attention=1.0)
    teaching, student = _teaching(how, teacher=teacher, cache=_cache(tmp_path))
    at_start = teaching.teacher.count
    for _ in range(2):
        teaching.follow(student, *_encoded_inputs(), 0, 0)
    assert teaching.teacher.count == at_start + 2


def test_an_ensemble_says_the_mean_of_what_its_teachers_say():
    other = InputContract.of("inception", SIDE)
    networks = [_network(12, 1).eval(), _network(8, 2).eval()]
    ensemble = Ensemble([(networks[0], CONTRACT), (networks[1], other)], OBJECTIVE).eval()
    raw = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3)).astype(np.uint8)
    pictures = [torch.from_numpy(contract.normalise(raw)) for contract in (CONTRACT, other)]
    wanted = sum(network(x).softmax(1) for network, x in zip(networks, pictures, strict=True)) / 2
    found = ensemble(pictures[0])
    torch.testing.assert_close(found.exp(), wanted, rtol=1e-4, atol=1e-5)
    teaching, student = _teaching(Distillation(dist=1.0), teacher=ensemble)
    assert teaching.follow(student, *_encoded_inputs(), 0, 0)[1].shape == (4,)
    with pytest.raises(
        ModelError, match=r"^hints follow the maps of one teacher, got 2 teachers; set them to 0"
    ):
        _teaching(Distillation(hints=1.0), teacher=ensemble)


def test_an_ensemble_knows_the_same_classes():
    ensemble = Ensemble([(_network(), CONTRACT), (_network(classes=7), CONTRACT)], OBJECTIVE)
    with pytest.raises(ModelError, match=r"know the same classes, got \[3, 7\] of them"):
        ensemble(_inputs()[0])


def test_a_network_that_taught_can_still_be_trained():
    network = _network(12, 1)
    _teaching(Distillation(), teacher=network)
    assert all(parameter.requires_grad for parameter in network.parameters())
