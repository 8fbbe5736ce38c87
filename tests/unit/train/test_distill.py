"""Losses of distillation: worked values, the formulas once more in numpy, and what leaves them as they are."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import GossamerError
from gossamer.train import distill

SEEDS = st.integers(0, 10_000)


def _draw(seed, *shape, scale=2.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _softmax(rows):
    raised = np.exp(rows - rows.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def _kl(teacher, student):
    return (teacher * np.log(teacher / student)).sum(-1)


def _numpy(*tensors):
    return [tensor.double().numpy() for tensor in tensors]


def _losses(batch, *, classes=4, seed=0, dtype=torch.float32):
    """Name -> (loss of student and teacher, their shape) for every loss."""
    labels = torch.randint(classes, (batch,), generator=torch.Generator().manual_seed(seed))
    scores, maps = (batch, classes), (batch, 3, 4, 5)
    return {
        "soft_scores": (lambda s, t: distill.soft_scores(s, t, 3.0), scores),
        "decoupled": (lambda s, t: distill.decoupled(s, t, labels, 3.0, 8.0), scores),
        "correlated": (lambda s, t: distill.correlated(s, t, 3.0), scores),
        "hint": (distill.hint, maps),
        "attention": (distill.attention, maps),
        "relational": (distill.relational, (batch, 6)),
        "channel_wise": (lambda s, t: distill.channel_wise(s, t, 3.0), maps),
    }


NAMES = list(_losses(1))
WHOLE_BATCH = {"correlated", "relational"}


def test_soft_scores_by_hand():
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2 * math.log(3.0), 0.0]])
    # at a temperature of 2 the teacher says 3/4, 1/4 and the student 1/2, 1/2
    wanted = 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert distill.soft_scores(student, teacher, 2.0).tolist() == pytest.approx([wanted], rel=1e-6)


def test_decoupled_by_hand():
    student, labels = torch.zeros(1, 3), torch.tensor([1])
    teacher = torch.tensor([[math.log(3.0), math.log(4.0), 0.0]])  # 3/8, 1/2, 1/8: the others share 3/4, 1/4
    target = 0.5 * math.log(0.5 / (1 / 3)) + 0.5 * math.log(0.5 / (2 / 3))
    others = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    found = distill.decoupled(student, teacher, labels, 1.0, 8.0)
    assert found.tolist() == pytest.approx([target + 8 * others], rel=1e-5)


def test_decoupled_of_two_classes_is_soft_scores():
    student, teacher = _draw(1, 6, 2), _draw(2, 6, 2)
    found = distill.decoupled(student, teacher, torch.tensor([0, 1, 0, 1, 1, 0]), 2.0, 8.0)
    torch.testing.assert_close(found, distill.soft_scores(student, teacher, 2.0))


def test_pearson_distance_by_hand():
    rows = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 0.0, 1.0], [5.0, 5.0, 5.0]])
    other = torch.tensor([[2.0, 4.0, 6.0], [3.0, 2.0, 1.0], [0.0, 1.0, 2.0], [1.0, 1.0, 1.0]])
    found = distill.pearson_distance(rows, other)
    torch.testing.assert_close(found, torch.tensor([0.0, 2.0, 1.0, 0.0]), atol=1e-6, rtol=0)


def test_hint_by_hand_brings_the_teacher_to_the_students_size():
    teacher = torch.arange(16.0).view(1, 1, 4, 4)  # means of quarters: 2.5, 4.5, 10.5, 12.5
    student = torch.tensor([[[[2.5, 4.5], [10.5, 14.5]]]])
    assert distill.hint(student, teacher).tolist() == [1.0]


def test_attention_by_hand():
    student = torch.tensor([[[[1.0, 0.0]], [[0.0, 0.0]]]])  # sums of squares 1, 0
    teacher = torch.tensor([[[[0.0, 2.0]]]])  # 0, 4
    assert distill.attention(student, teacher).tolist() == pytest.approx([math.sqrt(2)])


def test_channel_wise_by_hand():
    student = torch.zeros(1, 2, 1, 2)
    teacher = torch.tensor([[[[2 * math.log(3.0), 0.0]], [[0.0, 0.0]]]])
    wanted = 4 / 2 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert distill.channel_wise(student, teacher, 2.0).tolist() == pytest.approx([wanted], rel=1e-6)


def test_relational_by_hand():
    student = torch.tensor([[0.0], [1.0], [3.0]])  # distances 1, 3, 2, their mean 2: 0.5, 1.5, 1
    teacher = torch.tensor([[0.0], [1.0], [2.0]])  # 1, 2, 1, their mean 4/3: 0.75, 1.5, 0.75
    pairs = (0.5 * 0.25**2 + 0 + 0.5 * 0.25**2) / 3
    assert float(distill.relational(student, teacher)) == pytest.approx(
        pairs, rel=1e-5
    )  # on a line angles are equal
    bent = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    cosines, straight = (math.sqrt(0.5), 0.0, math.sqrt(0.5)), (1.0, -1.0, 1.0)
    triples = sum(0.5 * (a - b) ** 2 for a, b in zip(cosines, straight, strict=True)) / 3
    assert float(distill.relational(bent, teacher, 0.0, 1.0)) == pytest.approx(triples, rel=1e-5)


def _numpy_pearson(a, b):
    return 1 - np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)])


def _huber(difference):
    size = np.abs(difference)
    return np.where(size < 1, 0.5 * size**2, size - 0.5)


def _numpy_relational(student, teacher):
    def parts(points):
        n = len(points)
        distances = np.array(
            [np.linalg.norm(points[i] - points[j]) for i, j in itertools.permutations(range(n), 2)]
        )
        cosines = []
        for i, j, k in itertools.permutations(range(n), 3):
            a, b = points[i] - points[j], points[k] - points[j]
            cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        return distances / distances.mean(), np.array(cosines)

    (d1, c1), (d2, c2) = parts(student), parts(teacher)
    return _huber(d1 - d2).mean() + 2 * _huber(c1 - c2).mean()


@given(SEEDS, st.integers(2, 6), st.floats(0.5, 5))
def test_losses_on_scores_against_numpy(seed, classes, temperature):
    student, teacher = _draw(seed, 5, classes), _draw(seed + 1, 5, classes)
    labels = torch.arange(5) % classes
    s, t = (_softmax(each / temperature) for each in _numpy(student, teacher))
    wanted = temperature**2 * _kl(t, s)
    np.testing.assert_allclose(
        distill.soft_scores(student, teacher, temperature), wanted, rtol=1e-3, atol=1e-5
    )
    decoupled = []
    for p, q, label in zip(s, t, labels, strict=True):
        rest_p, rest_q = np.delete(p, label), np.delete(q, label)
        target = _kl(np.array([q[label], rest_q.sum()]), np.array([p[label], rest_p.sum()]))
        decoupled.append(temperature**2 * (target + 3 * _kl(rest_q / rest_q.sum(), rest_p / rest_p.sum())))
    found = distill.decoupled(student, teacher, labels, temperature, 3.0)
    np.testing.assert_allclose(found, decoupled, rtol=1e-3, atol=1e-4)
    wanted = temperature**2 * (_numpy_pearson(s, t).mean() + _numpy_pearson(s.T, t.T).mean())
    np.testing.assert_allclose(
        distill.correlated(student, teacher, temperature), wanted, rtol=1e-3, atol=1e-3
    )


@given(SEEDS)
def test_losses_on_maps_against_numpy(seed):
    student, teacher, wider = (
        _draw(seed, 2, 3, 4, 5),
        _draw(seed + 1, 2, 3, 4, 5),
        _draw(seed + 2, 2, 7, 8, 10),
    )
    s, t, w = _numpy(student, teacher, wider)
    np.testing.assert_allclose(distill.hint(student, teacher), ((s - t) ** 2).mean((1, 2, 3)), rtol=1e-4)
    w = w.reshape(2, 7, 4, 2, 5, 2).mean((3, 5))
    q = [(x**2).sum(1).reshape(2, -1) for x in (s, w)]
    a, b = (x / np.sqrt((x**2).sum(1, keepdims=True)) for x in q)
    np.testing.assert_allclose(distill.attention(student, wider), np.sqrt(((a - b) ** 2).sum(1)), rtol=1e-4)
    p, q = (_softmax(x.reshape(2, 3, -1) / 4) for x in (s, t))
    np.testing.assert_allclose(
        distill.channel_wise(student, teacher, 4.0), 16 / 3 * _kl(q, p).sum(1), rtol=1e-3
    )


@given(SEEDS, st.integers(3, 6))
def test_relational_against_numpy(seed, count):
    student, teacher = _draw(seed, count, 4), _draw(seed + 1, count, 9)
    wanted = _numpy_relational(*_numpy(student, teacher))
    np.testing.assert_allclose(distill.relational(student, teacher), wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@given(seed=SEEDS, batch=st.integers(1, 5))
def test_equal_inputs_give_nothing(name, seed, batch):
    loss, shape = _losses(batch, seed=seed)[name]
    x = _draw(seed, *shape)
    found = loss(x, x.clone())
    assert found.shape == (() if name in WHOLE_BATCH else (batch,))
    assert float(found.abs().max()) <= 1e-6


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch", [0, 1, 2, 3])
@pytest.mark.parametrize("classes", [2, 5])
def test_gradients_are_finite_in_batches_of_every_size(name, batch, classes):
    loss, shape = _losses(batch, classes=classes)[name]
    student = _draw(3, *shape).requires_grad_()
    found = loss(student, _draw(4, *shape))
    assert found.shape == (() if name in WHOLE_BATCH else (batch,))
    found.sum().backward()
    assert found.isfinite().all()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("student", [0.0, 1.0], ids=["dead", "same"])
@pytest.mark.parametrize("moving", [False, True])
def test_gradients_are_finite_where_pictures_repeat(name, student, moving):
    loss, shape = _losses(4)[name]
    x = torch.full(shape, student).requires_grad_()
    found = loss(x, _draw(4, *shape) if moving else torch.full(shape, student))
    found.sum().backward()
    assert x.grad.isfinite().all()
    assert found.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_leads_to_the_teacher(name):
    loss, shape = _losses(4)[name]
    student, teacher = _draw(5, *shape).requires_grad_(), _draw(6, *shape)
    before = loss(student, teacher).sum()
    before.backward()
    with torch.no_grad():
        after = loss(student - 1e-2 * student.grad / student.grad.norm(), teacher).sum()
    assert after.item() < before.item()


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_computed_in_full(name):
    loss, shape = _losses(4)[name]
    student, teacher = _draw(7, *shape).bfloat16(), _draw(8, *shape).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(student, teacher)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss(student.float(), teacher.float()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["soft_scores", "decoupled", "correlated"])
@given(seed=SEEDS, constant=st.floats(-50, 50))
def test_a_constant_added_to_scores_changes_nothing(name, seed, constant):
    loss, shape = _losses(4)[name]
    student, teacher = _draw(seed, *shape), _draw(seed + 1, *shape)
    torch.testing.assert_close(
        loss(student + constant, teacher), loss(student, teacher), rtol=1e-3, atol=1e-3
    )
    torch.testing.assert_close(
        loss(student, teacher + constant), loss(student, teacher), rtol=1e-3, atol=1e-3
    )


@given(SEEDS, st.floats(0.01, 100), st.floats(-5, 5))
def test_correlation_is_blind_to_positive_scale_and_offset(seed, scale, offset):
    rows, other = _draw(seed, 4, 6), _draw(seed + 1, 4, 6)
    found = distill.pearson_distance(scale * rows + offset * scale, other)
    torch.testing.assert_close(found, distill.pearson_distance(rows, other), rtol=1e-3, atol=1e-4)


@given(SEEDS, st.floats(0.1, 10))
def test_scaled_scores_at_a_scaled_temperature_correlate_alike(seed, scale):
    student, teacher = _draw(seed, 4, 6), _draw(seed + 1, 4, 6)
    found = distill.correlated(scale * student, scale * teacher, scale) / scale**2
    torch.testing.assert_close(found, distill.correlated(student, teacher, 1.0), rtol=1e-3, atol=1e-4)


@given(SEEDS, st.floats(0.1, 10))
def test_relations_are_blind_to_scale(seed, scale):
    student, teacher = _draw(seed, 5, 4), _draw(seed + 1, 5, 3)
    torch.testing.assert_close(
        distill.relational(scale * student, teacher),
        distill.relational(student, teacher),
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("name", ["soft_scores", "decoupled", "correlated", "channel_wise"])
def test_a_temperature_is_above_zero(name, temperature):
    x = torch.zeros(2, 3, 2, 2) if name == "channel_wise" else torch.zeros(2, 3)
    arguments = {"decoupled": (torch.tensor([0, 1]), temperature, 8.0)}.get(name, (temperature,))
    with pytest.raises(
        GossamerError, match=r"^a temperature is above 0, got .*; 1 leaves the scores as they are"
    ):
        getattr(distill, name)(x, x, *arguments)
