"""Zeros grow in training and are there at the end; channels shrink as wholes; only what is settled is kept."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from gossamer.compress.sparse.plan import plan_zeros
from gossamer.compress.sparse.shaping import Gradual, Shrink
from gossamer.compress.trace.channels import find_channels
from gossamer.data.augment import Augmentation
from gossamer.deploy.contract import InputContract
from gossamer.train.loop import train_until
from gossamer.train.recipe import Recipe
from gossamer.train.training import Pictures, Steps, Training
from gossamer.zoo.build import build
from gossamer.zoo.checkpoints import read_checkpoint

SHAPE = (1, 3, 32, 32)


@pytest.fixture
def network():
    return build("resnet20_cifar", num_classes=4, seed=0)


def _share(network, plan):
    layers = dict(network.named_modules())
    return sum(int((layers[name].weight == 0).sum()) for name in plan.layers) / sum(
        each.weights for each in plan.layers.values()
    )


class TestGradual:
    def test_follows_the_cubic_schedule(self, network):
        plan = plan_zeros(network, share=0.8)
        shaping, average = Gradual(plan.layers, until=0.5), copy.deepcopy(network)
        found = []
        for progress in (0.0, 0.125, 0.25, 0.5, 0.9):
            shaping.after_step(network, average, progress, 0.1)
            found.append(_share(network, plan))
        wanted = [0.8 * (1 - (1 - min(1, p / 0.5)) ** 3) for p in (0.0, 0.125, 0.25, 0.5, 0.9)]
        assert np.allclose(found, wanted, atol=1e-3)

    def test_gives_the_average_the_same_zeros(self, network):
        plan = plan_zeros(network, pattern=(2, 4))
        average = build("resnet20_cifar", num_classes=4, seed=1)
        Gradual(plan.layers).after_step(network, average, 1.0, 0.1)
        ours, theirs = (dict(each.named_modules()) for each in (network, average))
        assert all(torch.equal(ours[k].weight == 0, theirs[k].weight == 0) for k in plan.layers)

    def test_a_training_ends_with_all_zeros_and_keeps_no_earlier_network(self, network, tmp_path):
        rng = np.random.default_rng(0)
        labels = np.arange(48) % 4
        pixels = rng.integers(0, 255, (48, 32, 32, 3), dtype=np.uint8)
        plan = plan_zeros(network, share=0.7)
        training = Training(
            network=network,
            contract=InputContract.of("imagenet", 32),
            recipe=Recipe("test", 1e-2, batch=8, ema_decay=0.5, augmentation=Augmentation(erase=0.0)),
            pictures=Pictures(pixels, labels, pixels[:16], labels[:16]),
            folder=tmp_path,
            length=Steps(24),
            shaping=Gradual(plan.layers),
        )
        result = train_until(training, 24)
        kept = build("resnet20_cifar", num_classes=4)
        kept.load_state_dict(read_checkpoint(tmp_path / "best.safetensors"))
        assert _share(kept, plan) == pytest.approx(0.7, abs=1e-3)
        assert result.counts_from is not None
        assert 0 < result.counts_from <= result.best_at


class TestShrink:
    def test_takes_the_proximal_step_of_each_scale(self, network):
        channels = find_channels(network, SHAPE)
        shrink = Shrink(channels, network, "norms", strength=2.0)
        alone = next(name for name in shrink.rows if "stages.0" in name)
        with torch.no_grad():
            for name in shrink.rows:
                network.get_parameter(name).uniform_(0.01, 1.0, generator=torch.Generator().manual_seed(3))
        squares = np.zeros(channels.count)
        for name, sets in shrink.rows.items():
            there = sets.numpy() >= 0
            np.add.at(squares, sets.numpy()[there], network.get_parameter(name).detach().numpy()[there] ** 2)
        before = network.get_parameter(alone).detach().clone()
        shrink.after_step(network, network, progress=1.0, rate=0.1)
        sets = shrink.rows[alone].numpy()
        factor = np.where(sets >= 0, np.maximum(0, 1 - 0.2 / np.sqrt(squares[np.maximum(sets, 0)])), 1.0)
        assert np.allclose(network.get_parameter(alone).detach(), before.numpy() * factor, atol=1e-6)
        assert (factor < 1).any()

    def test_sets_in_with_the_schedule(self, network):
        shrink = Shrink(find_channels(network, SHAPE), network, "norms", strength=1.0)
        before = {name: network.get_parameter(name).detach().clone() for name in shrink.rows}
        shrink.after_step(network, network, progress=0.0, rate=0.1)
        assert all(torch.equal(network.get_parameter(name), value) for name, value in before.items())

    def test_empties_whole_filters_of_weights(self, network):
        shrink = Shrink(find_channels(network, SHAPE), network, "weights", strength=1.0)
        assert all(network.get_parameter(name).dim() == 4 for name in shrink.rows)
        for _ in range(200):
            shrink.after_step(network, network, progress=1.0, rate=0.01)
        for name, sets in shrink.rows.items():
            sums = network.get_parameter(name).detach().flatten(1).abs().sum(1)
            assert (sums[sets >= 0] == 0).all()
            assert (sums[sets < 0] > 0).all()

    def test_leaves_networks_without_norms_to_weights(self):
        plain = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        assert not Shrink(find_channels(plain, SHAPE), plain, "norms", 1.0).rows
        assert Shrink(find_channels(plain, SHAPE), plain, "weights", 1.0).rows
