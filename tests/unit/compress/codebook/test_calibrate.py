"""Moments and divergence of a network on pictures: by hand on one layer, and what they say of errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gossamer.compress.codebook.calibrate import bias_names, divergence_from, measure_moments, network_tensors
from gossamer.compress.codebook.steps import plan_steps
from gossamer.errors import DataError


@pytest.fixture
def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, 2, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 6, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)).eval()


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(1)
    return [1 + torch.randn(5, 3, 12, 12, generator=generator) for _ in range(4)]


def test_names(network):
    assert list(network_tensors(network)) == list(network.state_dict())
    assert bias_names(network) == {f"{i}.weight": f"{i}.bias" for i in ("0", "3", "6")}


def test_means_and_moments_of_the_inputs(network, batches):
    found = measure_moments(network, batches)
    assert list(found) == ["0.weight", "3.weight", "6.weight"]
    with torch.no_grad():
        inputs = (
            torch.cat([network[:3](batch) for batch in batches]).movedim(1, 3).reshape(-1, 8).double().numpy()
        )
    own = found["3.weight"]
    assert own.mean == pytest.approx(inputs.mean(0), rel=1e-4)
    scale = own.second[0, 0] / np.cov(inputs.T)[0, 0]
    assert own.second == pytest.approx(scale * np.cov(inputs.T), rel=1e-2, abs=1e-2 * own.second.max())
    positions = len(inputs) / 20
    assert own.constant * (len(inputs) - 1) / len(inputs) == pytest.approx(scale, rel=1e-3)
    assert scale > 0
    assert positions == 16


def test_the_same_pictures_give_the_same_and_the_mode_stays(network, batches):
    network.train()
    first, second = (measure_moments(network, batches, seed=3)["0.weight"].second for _ in range(2))
    assert (first == second).all()
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())


def test_divergence_is_nothing_for_its_own_tensors_and_leaves_the_network(network, batches):
    loss = divergence_from(network, batches)
    own = network_tensors(network)
    assert loss(own) == pytest.approx(0.0, abs=1e-6)
    changed = {**own, "6.weight": own["6.weight"] + 1}
    assert loss({**changed, "6.bias": np.float32([9, 0, 0, 0])}) > 0.1
    assert all((network_tensors(network)[name] == own[name]).all() for name in own)


@pytest.mark.isa
def test_steps_of_a_network_from_pictures(network, batches):
    own = network_tensors(network)
    moments = measure_moments(network, batches)
    loss = divergence_from(network, batches)
    choice = plan_steps(own, 720, moments, biases=bias_names(network), loss=loss)
    assert choice.size_bytes <= 720
    zeroed = {**own, **{name: np.zeros_like(own[name]) for name in moments}}
    assert choice.loss < 0.2 * loss(zeroed)


def test_bad_pictures(network):
    with pytest.raises(DataError, match="needs pictures, got none"):
        measure_moments(network, [])
    with pytest.raises(DataError, match="needs pictures, got none"):
        divergence_from(network, [torch.zeros(0, 3, 12, 12)])
    with pytest.raises(DataError, match="gives NaN for calibration pictures"):
        measure_moments(network, [torch.full((2, 3, 12, 12), float("nan"))])


def test_activations_in_place_and_frozen_weights_change_nothing(network, batches):
    plain = measure_moments(network, batches)
    network[1] = nn.ReLU(inplace=True)
    network.requires_grad_(False)
    again = measure_moments(network, batches)
    for name, layer in plain.items():
        assert again[name].second == pytest.approx(layer.second, rel=1e-6)
