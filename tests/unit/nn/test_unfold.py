"""Norms get the statistics of what comes to them, and give what they gave."""

from __future__ import annotations

import torch
from torch import nn

from gossamer.nn.layers import ConvNormAct
from gossamer.nn.unfold import has_plain_norms, unfold_norms


def _network():
    torch.manual_seed(0)
    network = nn.Sequential(ConvNormAct(3, 8, 3), ConvNormAct(8, 8, 3, groups=8), ConvNormAct(8, 4))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.fill_((1 + module.eps) ** 0.5)
            module.bias.data.normal_()
    return network.eval()


def test_outputs_stay_and_statistics_are_those_of_the_inputs():
    network, inputs = _network(), torch.randn(20, 3, 16, 16)
    assert has_plain_norms(network)
    with torch.no_grad():
        before = network(inputs)
        unfold_norms(network, inputs)
        after = network(inputs)
        convolved = network[0][0](inputs)
    assert not has_plain_norms(network)
    assert torch.allclose(after, before, atol=1e-4)
    assert torch.allclose(network[0][1].running_mean, convolved.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(
        network[0][1].running_var, convolved.var((0, 2, 3), correction=0), rtol=1e-3, atol=1e-5
    )
    network.train()
    assert torch.allclose(network(inputs), before, atol=2e-2), "now the norms of training say nearly the same"


def test_a_channel_in_which_nothing_varies_stays():
    network, inputs = _network(), torch.randn(4, 3, 16, 16)
    network[0][0].weight.data[2] = 0
    unfold_norms(network, inputs)
    assert float(network[0][1].running_var[2]) == 1.0
    assert torch.isfinite(network(inputs)).all()


def test_a_network_without_norms_has_no_plain_ones():
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    assert not has_plain_norms(network)
    unfold_norms(network, torch.randn(2, 3, 8, 8))
