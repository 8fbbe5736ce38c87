"""Groups by depth, rates by schedule and thawing, and LAMB against its own definition."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.train.optimisers import Lamb, make_optimiser, set_rates
from gossamer.train.recipe import Recipe
from gossamer.zoo.build import build


def _recipe(**more):
    return Recipe("r", learning_rate=0.1, **{"warmup": 0.0, "schedule": "constant", **more})


@pytest.fixture(scope="module")
def network():
    return build("mobilenet_v2_0.35", num_classes=3)


def test_every_parameter_is_in_one_group(network):
    groups = make_optimiser(network, _recipe()).param_groups
    found = [id(p) for group in groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in network.parameters())


def test_norms_and_biases_are_not_decayed(network):
    for group in make_optimiser(network, _recipe(weight_decay=0.3)).param_groups:
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] == 0.3}


def test_rates_fall_towards_the_stem(network):
    groups = make_optimiser(network, _recipe(body_rate=0.5, layer_decay=0.8)).param_groups
    rates = {group["depth"]: group["base_lr"] for group in groups}
    deepest = len(network.stages) + 2
    assert sorted(rates) == list(range(deepest + 1))
    assert rates[0] == 0.1
    assert rates[1] == pytest.approx(0.05)
    assert rates[deepest] == pytest.approx(0.05 * 0.8 ** (deepest - 1))


def test_stages_thaw_from_the_last_to_the_first(network):
    recipe = _recipe(unfreeze=0.5)
    optimiser = make_optimiser(network, recipe)
    moving = {}
    for progress in (0.0, 0.25, 0.5):
        set_rates(optimiser, recipe, progress, 0.0)
        moving[progress] = {g["depth"] for g in optimiser.param_groups if g["lr"] > 0}
    assert moving[0.0] == {0}
    assert {0, 1} < moving[0.25] < moving[0.5]
    assert moving[0.5] == {g["depth"] for g in optimiser.param_groups}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adamw", torch.optim.AdamW),
        ("sgd", torch.optim.SGD),
        ("rmsprop", torch.optim.RMSprop),
        ("lamb", Lamb),
    ],
)
def test_every_optimiser_lowers_a_loss(name, kind):
    torch.manual_seed(0)
    layer = nn.Linear(4, 2)
    inputs, targets = torch.randn(64, 4), torch.randint(2, (64,))
    recipe = Recipe("r", learning_rate=0.02, optimiser=name, warmup=0.0)
    optimiser = make_optimiser(layer, recipe)
    assert type(optimiser) is kind
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(layer(inputs), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_momentum_follows_the_schedule():
    layer = nn.Linear(2, 2)
    recipe = Recipe("r", learning_rate=0.1, optimiser="sgd", schedule="one-cycle", warmup=0.5, momentum=0.95)
    optimiser = make_optimiser(layer, recipe)
    set_rates(optimiser, recipe, 0.5, 0.0)
    assert [g["momentum"] for g in optimiser.param_groups] == [pytest.approx(0.85)] * 2


def test_the_first_step_of_lamb_is_as_long_as_the_weights():
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    weight.grad = torch.tensor([0.5, -2.0])
    Lamb([weight], lr=0.1).step()
    first = torch.tensor([1.0, -1.0]) / (1 + 1e-6)  # of Adam, whatever the gradient's size
    expected = torch.tensor([3.0, 4.0]) - 0.1 * 5 * first / first.norm()
    assert torch.allclose(weight.detach(), expected, atol=1e-4)


def test_weights_of_zero_still_move_under_lamb():
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.ones(2)
    Lamb([weight], lr=0.1).step()
    assert torch.allclose(weight.detach(), torch.full((2,), -0.1), atol=1e-4)
