"""The finders: a curve that is a function of its arguments, a batch that fits and pays, and weights left alone."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gossamer.data.augment import Augmentation
from gossamer.deploy.contract import InputContract
from gossamer.errors import GossamerError, ModelError
from gossamer.tasks.classify.objective import OBJECTIVE
from gossamer.testing.networks import tiny_networks
from gossamer.train import finders
from gossamer.train.finders import find_batch, find_learning_rate, steepest
from gossamer.train.recipe import Recipe

SIDE = 32
CONTRACT = InputContract.of("imagenet", SIDE)
HOW = {"objective": OBJECTIVE, "width": 3}
RECIPE = Recipe("test", learning_rate=1e-3, batch=12, augmentation=Augmentation(degrees=5))


def _pictures(count=48):
    generator = np.random.default_rng(0)
    labels = np.arange(count, dtype=np.int64) % 3
    colours = np.eye(3)[labels][:, None, None] * 120 + 60
    noise = generator.normal(0, 30, (count, SIDE, SIDE, 3))
    return np.clip(colours + noise, 0, 255).astype(np.uint8), labels


def _curve(recipe=RECIPE, **options):
    return find_learning_rate(
        tiny_networks(num_classes=3)["plain"], CONTRACT, recipe, *_pictures(), **HOW, **options
    )


def test_the_curve_falls_and_the_suggestion_is_on_it():
    curve = _curve(high=10.0)
    assert curve.rates[0] == pytest.approx(1e-6)
    ratios = np.diff(np.log(curve.rates))
    assert np.allclose(ratios, np.log(1e7) / 59)
    assert min(curve.losses) < 0.7 * curve.losses[0]
    assert curve.suggestion in curve.rates
    assert 1e-5 < curve.suggestion <= curve.rates[int(np.argmin(curve.losses))]
    assert json.loads(json.dumps(curve.to_json())) == {
        "rates": list(curve.rates),
        "losses": list(curve.losses),
        "suggestion": curve.suggestion,
    }


def test_it_is_a_function_of_its_arguments_and_touches_nothing():
    network = tiny_networks(num_classes=3)["plain"]
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    curves = [
        find_learning_rate(network, CONTRACT, RECIPE, *_pictures(), **HOW, steps=10, seed=s)
        for s in (3, 3, 4)
    ]
    assert curves[0] == curves[1] != curves[2]
    assert torch.equal(torch.get_rng_state(), state)
    assert not network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_it_ends_where_the_loss_is_four_times_its_best():
    wild = replace(RECIPE, optimiser="sgd", clip_norm=0.0, weight_decay=0.0)
    curve = _curve(wild, high=1e6)
    assert len(curve.rates) < 60
    assert max(curve.losses) <= 4 * min(curve.losses)


def test_rates_keep_the_shares_of_the_recipe(monkeypatch):
    seen = []
    real = finders._step

    def step(network, contract, recipe, optimiser, *rest):
        seen.append({group["lr"] / group["base_lr"] for group in optimiser.param_groups})
        return real(network, contract, recipe, optimiser, *rest)

    monkeypatch.setattr(finders, "_step", step)
    curve = _curve(replace(RECIPE, body_rate=0.1), steps=10, high=1e-2)
    for rate, ratios in zip(curve.rates, seen, strict=True):
        assert list(ratios) == pytest.approx([rate / RECIPE.learning_rate] * len(ratios))


@pytest.mark.parametrize(
    "change",
    [
        {"balance": "loss", "mixup": 0.2, "cutmix": 1.0},
        {"balance": "sampling", "freeze_norm": True, "optimiser": "lamb"},
        {"optimiser": "sgd", "channels_last": False, "clip_norm": 0.0},
    ],
)
def test_recipes_of_every_kind(change):
    curve = _curve(replace(RECIPE, **change), steps=10, high=1e-2)
    assert len(curve.losses) == 10
    assert np.isfinite(curve.losses).all()


def test_the_steepest_is_where_the_loss_falls_fastest_before_its_least():
    rates = [10.0**power for power in range(-6, 4)]
    losses = [2.0, 2.0, 1.9, 1.7, 1.2, 0.9, 0.8, 0.9, 3.0, 2.0]
    assert steepest(rates, losses) == 10.0**-2  # (1.7 - 0.9) / 2 there, (1.9 - 1.2) / 2 before
    assert steepest(rates, sorted(losses)) is None
    assert steepest([], []) is None


def test_where_the_loss_never_falls_the_recipes_rate_is_suggested():
    pictures, labels = _pictures()
    network = tiny_networks(num_classes=3)["plain"]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(float("nan"))
    curve = find_learning_rate(network, CONTRACT, RECIPE, pictures, labels, **HOW)
    assert curve.rates == curve.losses == ()
    assert curve.suggestion == RECIPE.learning_rate


@pytest.mark.parametrize("options", [{"low": 0.0}, {"low": 1.0, "high": 0.1}, {"steps": 9}])
def test_a_test_that_cannot_be(options):
    with pytest.raises(GossamerError, match=r"^a range test goes from a rate above 0 .* write e.g. low=1e-6"):
        _curve(**options)


class Costed(nn.Module):
    """A network that takes `seconds(batch)` of a clock of its own, and at most `room` pictures."""

    clock = 0.0

    def __init__(self, seconds, *, room=10**9, error=None):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.seconds, self.room, self.error = seconds, room, error

    def forward(self, x):
        if len(x) > self.room:
            raise self.error
        Costed.clock += self.seconds(len(x))
        return self.layer(x.mean((2, 3)))


@pytest.fixture
def _own_clock(monkeypatch):
    monkeypatch.setattr(finders.time, "process_time", lambda: Costed.clock)


@pytest.mark.usefixtures("_own_clock")
@pytest.mark.parametrize(
    ("overhead", "batch"),
    [(0.0, 8), (1.0, 16), (10.0, 128), (1e9, 1024)],  # (o + 2b) / (o + b) * 1/2 must be under 1 / 1.05
)
def test_batches_double_while_a_picture_gets_cheaper(overhead, batch):
    network = Costed(lambda count: overhead + count)
    assert find_batch(network, CONTRACT, size=8) == batch
    assert find_batch(network, CONTRACT, size=8, most=64) == min(batch, 64)
    assert all(parameter.grad is None for parameter in network.parameters())


SHORT = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("not enough memory: you tried to allocate"),
]


@pytest.mark.usefixtures("_own_clock")
@pytest.mark.parametrize("error", SHORT, ids=["gpu", "cpu", "windows"])
def test_the_last_batch_that_fits(error):
    assert find_batch(Costed(lambda _: 1.0, room=70, error=error), CONTRACT, size=8) == 64
    with pytest.raises(ModelError, match=r"and 8 pictures of 8 x 8 pixels do not; choose a smaller size"):
        find_batch(Costed(lambda _: 1.0, room=7, error=error), CONTRACT, size=8)


@pytest.mark.usefixtures("_own_clock")
def test_no_more_than_free_memory_holds(monkeypatch):
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), Costed(lambda _: 1.0))
    network[2].layer = nn.Linear(4, 2)
    inputs = torch.zeros(1, 3, 8, 8)
    kept = finders._kept_bytes(network, inputs)
    assert 4 * (3 + 4) * 64 <= kept < 4 * (3 + 4 + 4) * 64 + 100
    monkeypatch.setattr(finders, "_free_bytes", lambda: 40 * kept)
    assert find_batch(network, CONTRACT, size=8) == 32


@pytest.mark.usefixtures("_own_clock")
def test_any_other_error_is_passed_on():
    with pytest.raises(RuntimeError, match=r"^shapes do not fit$"):
        find_batch(Costed(lambda _: 1.0, room=7, error=RuntimeError("shapes do not fit")), CONTRACT, size=8)


def test_a_network_of_ours():
    network = tiny_networks()["plain"].requires_grad_(False)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert find_batch(network, CONTRACT, size=20, most=16) in (8, 16)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not network.training
