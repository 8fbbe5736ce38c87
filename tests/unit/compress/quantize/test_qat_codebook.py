"""Codebooks of layers without training, and norms that move only where that is better."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.compress.quantize.qat_codebook import better_norms, share_weights
from gossamer.errors import DataError, ModelError
from gossamer.testing.networks import noise, tiny_networks

SHAPE = (3, 33, 33)


def _statistics(network):
    return torch.cat([m.running_mean for m in network.modules() if isinstance(m, nn.BatchNorm2d)])


def test_each_layer_has_so_many_values_and_skipped_ones_their_own():
    network = tiny_networks()["plain"]
    shared = share_weights(network, 3, skip=("stem.0",))
    for name, layer in shared.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            own = network.get_submodule(name).weight.detach()
            if name == "stem.0":
                assert torch.equal(layer.weight, own)
                continue
            assert layer.weight.unique().numel() <= 8
            assert float((layer.weight.detach() - own).norm() / own.norm()) < 0.3
    errors = [
        float((share_weights(network, bits).stem[0].weight - network.stem[0].weight).detach().norm())
        for bits in (2, 4, 6)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_norms_go_as_far_as_is_best_and_no_further():
    network = tiny_networks()["plain"]
    batches = [(torch.from_numpy(noise(16, SHAPE, seed=3)) * 2, None)]
    before = _statistics(network)
    mended, share = better_norms(network, batches, lambda n: float(torch.equal(_statistics(n), before)))
    assert share == 0.0
    assert mended is network
    seen = []

    def metric(candidate):
        seen.append(_statistics(candidate))
        return len(seen) if len(seen) < 4 else 0.0

    half, share = better_norms(network, batches, metric, shares=(0.25, 0.5, 1.0))
    assert share == 0.5
    assert torch.allclose(_statistics(half), (seen[0] + seen[3]) / 2, atol=1e-6)
    assert torch.equal(_statistics(network), before)
    assert not torch.allclose(seen[3], before, atol=1e-3)


def test_what_is_refused():
    network = tiny_networks()["plain"]
    for bits in (0, 9):
        with pytest.raises(ModelError, match=f"a codebook of a layer has 1 to 8 bits, got {bits}"):
            share_weights(network, bits)
    with pytest.raises(DataError, match="statistics of norms are taken from pictures, got none"):
        better_norms(network, [], lambda n: 1.0)
    with torch.no_grad():
        network.stem[0].weight[0] = float("nan")
    with pytest.raises(ModelError, match=r"NaN or infinity in stem\.0\.weight"):
        share_weights(network, 4)
