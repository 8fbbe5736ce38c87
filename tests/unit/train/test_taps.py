"""Where networks have maps, and what is taken there."""

from __future__ import annotations

import torch
from torch import nn

from gossamer.train.taps import dry_run, tapped
from gossamer.zoo.build import build

SIDE, CLASSES = 32, 3


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


def test_the_maps_of_foreign_networks_are_found():
    network = _foreign()
    scores, sites = dry_run(network, torch.zeros(1, 3, SIDE, SIDE))
    assert scores.shape == (1, CLASSES)
    assert {level: (site.module, site.channels) for level, site in sites.items()} == {
        1: (network[0], 4),
        2: (network[1], 6),
    }


def test_blocks_within_a_stage_are_not_its_map():
    resnet = build("torchvision:resnet18", num_classes=CLASSES)
    _, sites = dry_run(resnet, torch.zeros(1, 3, 64, 64))
    names = {module: name for name, module in resnet.named_modules()}
    found = {level: names[site.module] for level, site in sites.items()}
    assert found == {1: "relu", 2: "layer1", 3: "layer2", 4: "layer3", 5: "layer4"}


def test_stages_that_are_not_called_whole_are_tapped():
    network = build("espnet_v2_0.5", num_classes=CLASSES)
    _, sites = dry_run(network, torch.zeros(1, 3, 64, 64))
    assert tuple(site.channels for site in sites.values()) == network.channels


def test_the_last_call_counts():
    layer = nn.Identity()
    with tapped([layer]) as outputs:
        layer(torch.zeros(1))
        layer(torch.ones(1))
    assert outputs[0].item() == 1
