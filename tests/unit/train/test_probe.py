"""The probe: its closed forms against direct solutions and brute force, and what it leaves as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gossamer.deploy.contract import InputContract
from gossamer.errors import DataError
from gossamer.nn.edits import replay
from gossamer.nn.network import last_layer, replace_classifier
from gossamer.tasks import get_task
from gossamer.tasks.classify.objective import OBJECTIVE
from gossamer.testing.networks import tiny_networks
from gossamer.train import probe
from gossamer.train.objective import objective_of
from gossamer.train.probe import RIDGES, fit_ridge, floor_of, linear_probe, probe_network
from gossamer.zoo.build import build

SIDE = 33
CONTRACT = InputContract.of("imagenet", SIDE)


def _set(count, dimensions, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    features = torch.randn(count, dimensions, generator=generator) * 3 + 1
    features[:, 0] += labels
    return features, labels


def _direct(features, labels, classes, ridge, mean, scale):
    """Weights and bias from the normal equations with a bias that is not penalised."""
    inputs = (features.double() - mean) * scale
    count, dimensions = inputs.shape
    extended = torch.cat([inputs, torch.ones(count, 1, dtype=torch.float64)], 1)
    penalty = torch.diag(torch.tensor([ridge] * dimensions + [0.0], dtype=torch.float64))
    targets = F.one_hot(labels, classes).double()
    return torch.linalg.solve(extended.T @ extended + penalty, extended.T @ targets)


@pytest.mark.parametrize(("count", "dimensions"), [(40, 6), (12, 12), (10, 25)])
def test_it_solves_the_normal_equations(count, dimensions):
    features, labels = _set(count, dimensions)
    fitted = fit_ridge(features, OBJECTIVE.encode(labels, 3))
    mean, deviation = features.double().mean(0), features.double().std(0, correction=0)
    assert torch.allclose(fitted.mean, mean)
    assert torch.allclose(fitted.scale, 1 / deviation)
    solution = _direct(features, labels, 3, count * fitted.ridge, mean, 1 / deviation)
    assert torch.allclose(fitted.weights, solution[:-1], atol=1e-9)
    assert torch.allclose(fitted.bias, solution[-1], atol=1e-9)
    scores = (features.double() - mean) / deviation @ solution[:-1] + solution[-1]
    assert torch.allclose(fitted.scores(features), scores, atol=1e-9)


@pytest.mark.parametrize(("count", "dimensions"), [(18, 4), (9, 9), (9, 14)])
def test_the_leave_one_out_error_is_that_of_leaving_one_out(count, dimensions):
    features, labels = _set(count, dimensions, seed=2)
    fitted = fit_ridge(features, OBJECTIVE.encode(labels, 3))
    targets = F.one_hot(labels, 3).double()
    for ridge, error in zip(RIDGES, fitted.errors, strict=True):
        squares = 0.0
        for left_out in range(count):
            rest = torch.arange(count) != left_out
            solution = _direct(features[rest], labels[rest], 3, count * ridge, fitted.mean, fitted.scale)
            inputs = (features[left_out].double() - fitted.mean) * fitted.scale
            said = inputs @ solution[:-1] + solution[-1]
            squares += float((said - targets[left_out]).square().sum())
        assert error == pytest.approx(squares / count, rel=1e-6)
    assert fitted.ridge == RIDGES[int(np.argmin(fitted.errors))]


def test_noise_wants_a_large_ridge_and_a_clean_signal_a_small_one():
    noise, labels = _set(60, 50)
    signal = F.one_hot(labels, 3).float() + 0.01 * noise[:, :3]
    assert fit_ridge(noise, OBJECTIVE.encode(labels.flip(0), 3)).ridge >= 0.1
    assert fit_ridge(signal, OBJECTIVE.encode(labels, 3)).ridge <= 1e-2


def test_constant_features_change_nothing():
    features, labels = _set(30, 4)
    constant = torch.tensor([0.0, 7.5, 1e4]).expand(30, 3).clone()
    constant[:, 2] += torch.linspace(-1e-3, 1e-3, 30)
    with_constants = fit_ridge(torch.cat([constant, features], 1), OBJECTIVE.encode(labels, 3))
    plain = fit_ridge(features, OBJECTIVE.encode(labels, 3))
    assert with_constants.scale[:3].tolist() == [0, 0, 0]
    assert torch.equal(with_constants.weights[:3], torch.zeros(3, 3, dtype=torch.float64))
    assert torch.allclose(with_constants.weights[3:], plain.weights, atol=1e-12)
    assert with_constants.errors == pytest.approx(plain.errors)


def test_features_that_are_all_constant_say_the_most_frequent_class():
    fitted = fit_ridge(torch.full((5, 4), 2.0), OBJECTIVE.encode(torch.tensor([1, 1, 0, 1, 2]), 3))
    assert fitted.scores(torch.randn(6, 4)).argmax(1).tolist() == [1] * 6


@given(st.integers(2, 20), st.integers(1, 20), st.integers(0, 50))
def test_scores_sum_to_one_and_errors_are_finite(count, dimensions, seed):
    features, labels = _set(count, dimensions, seed=seed)
    fitted = fit_ridge(features, OBJECTIVE.encode(labels, 4))
    assert torch.allclose(fitted.scores(features).sum(1), torch.ones(count, dtype=torch.float64))
    assert np.isfinite(fitted.errors).all()


HOW = {"task": get_task("classify"), "objective": OBJECTIVE, "labels": ("red", "green", "blue")}


def _pictures(count, seed):
    """Three colours with noise over them."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 3
    colours = np.eye(3)[labels][:, None, None] * 60 + 60
    pixels = np.clip(colours + generator.normal(0, 30, (count, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    return pixels, labels


def _probe(network, count=90, **options):
    return linear_probe(network, CONTRACT, *_pictures(count, 0), *_pictures(70, 1), **HOW, **options)


@pytest.mark.parametrize("name", sorted(tiny_networks()))
def test_colours_are_told_apart_from_features_of_random_networks(name):
    network = tiny_networks()[name]
    found = _probe(network)
    assert found.score > 0.9
    assert found.seconds > 0
    last = last_layer(network)[1]
    assert found.dimensions == (last.in_features if isinstance(last, nn.Linear) else last.in_channels)
    assert found.ridge in RIDGES


def test_the_features_are_what_the_last_layer_is_given():
    network = tiny_networks()["plain"].eval()
    pixels, labels = _pictures(90, 0)
    val_pixels, val_labels = _pictures(70, 1)
    last = last_layer(network)[1]
    before = network.head[: list(network.head).index(last)]
    with torch.no_grad():
        train, val = (
            before(network.features(torch.from_numpy(CONTRACT.normalise(p)))[-1])
            for p in (pixels, val_pixels)
        )
    fitted = fit_ridge(train, OBJECTIVE.encode(torch.from_numpy(labels), 3))
    found = _probe(network)
    assert found.ridge == fitted.ridge
    assert found.score == (fitted.scores(val).argmax(1).numpy() == val_labels).mean()


@pytest.mark.parametrize(
    "head",
    [
        (nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Dropout(0.5), nn.Linear(6, 3)),
        (nn.Conv2d(6, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(1)),
    ],
)
def test_of_a_module_that_is_not_ours_it_takes_what_the_last_layer_takes(head):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        foreign = nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6), nn.ReLU(), *head)
    foreign[1].eval()
    before = {key: value.clone() for key, value in foreign.state_dict().items()}
    found = _probe(foreign)
    assert found.dimensions == 6
    assert found.score > 0.9
    assert all(torch.equal(before[key], value) for key, value in foreign.state_dict().items())
    assert [module.training for module in foreign[:3]] == [True, False, True]
    assert not any(module._forward_pre_hooks for module in foreign.modules())


def test_of_many_pictures_some_are_drawn_by_the_seed(monkeypatch):
    monkeypatch.setattr(probe, "_MOST_PICTURES", 30)
    taken = []
    fit = probe.fit_ridge
    monkeypatch.setattr(probe, "fit_ridge", lambda *given: taken.append(given[1]) or fit(*given))
    network = tiny_networks()["plain"]
    for seed in (0, 0, 1):
        _probe(network, seed=seed)
    assert [len(labels) for labels in taken] == [30] * 3
    assert torch.equal(taken[0], taken[1])
    assert not torch.equal(taken[0], taken[2])


def test_too_few_pictures():
    pixels, labels = _pictures(2, 0)
    network = tiny_networks()["plain"]
    with pytest.raises(
        DataError,
        match=r"^a linear probe needs two training pictures and one to validate on, got 1 and 2; give it more pictures$",
    ):
        linear_probe(network, CONTRACT, pixels[:1], labels[:1], pixels, labels, **HOW)


def _of_three(name):
    network = tiny_networks()[name]
    replace_classifier(network, 3)
    return network


@pytest.mark.parametrize("name", sorted(tiny_networks()))
def test_the_floor_is_a_network_that_answers_as_the_probe_does(name):
    network = _of_three(name)
    found, (pixels, labels) = _probe(network), _pictures(70, 1)
    floor = floor_of(network, CONTRACT, found.fitted, pixels, labels, **HOW)
    assert floor is not None
    assert floor.score == pytest.approx(found.score, abs=1 / 70 + 1e-9)
    with torch.no_grad():
        said = floor.network(torch.from_numpy(CONTRACT.normalise(pixels)))
    assert float((said.argmax(1).numpy() == labels).mean()) == pytest.approx(floor.score)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_scores_of_a_floor_are_sure_of_themselves():
    network = _of_three("plain")
    found, (pixels, labels) = _probe(network), _pictures(70, 1)
    floor, plain = (
        floor_of(network, CONTRACT, found.fitted, pixels, labels, **HOW).network,
        probe_network(network, found.fitted, OBJECTIVE),
    )
    inputs = torch.from_numpy(CONTRACT.normalise(pixels))
    with torch.no_grad():
        losses = [
            float(OBJECTIVE.loss_sum(each(inputs), torch.from_numpy(labels))) for each in (floor, plain)
        ]
    assert losses[0] < 0.7 * losses[1]


def test_a_last_layer_without_a_bias_holds_no_floor():
    network = _of_three("plain")
    found, (pixels, labels) = _probe(network), _pictures(70, 1)
    last_layer(network)[1].bias = None
    assert floor_of(network, CONTRACT, found.fitted, pixels, labels, **HOW) is None


def test_a_network_of_numbers_is_rescaled_back():
    network = replay(
        build("mobilenet_v2_0.25", num_classes=1), {"edit": "rescale", "scale": [20.0], "offset": [100.0]}
    )
    pixels, _ = _pictures(90, 0)
    targets = pixels.mean((1, 2, 3))[:, None].astype(np.float32)
    how = {"task": get_task("regress"), "objective": objective_of("regress"), "labels": ("grey",)}
    found = linear_probe(network, CONTRACT, pixels, targets, pixels, targets, **how)
    floor = floor_of(network, CONTRACT, found.fitted, pixels, targets, **how)
    assert floor.score == pytest.approx(found.score, abs=0.01)
