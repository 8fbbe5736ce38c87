"""Steps of a whole network by size: met down to the file of zeros, told where that is larger."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.compress.codebook.calibrate import network_tensors
from gossamer.compress.codebook.network_file import folded
from gossamer.compress.codebook.sized import calibrated, choose_steps, coarsest_steps
from gossamer.deploy.runtimes.packed.tensors import pack
from gossamer.testing.networks import tiny_networks


@pytest.fixture(scope="module")
def network():
    """(tensors, what is known of their layers without pictures); one layer is depthwise."""
    whole = folded(tiny_networks()["plain"])
    tensors = network_tensors(whole)
    weights = {name: tensor for name, tensor in tensors.items() if name.endswith("weight")}
    return tensors, calibrated(whole, weights, (), 0)


@pytest.mark.parametrize("coder", ["rans", "huffman"])
def test_the_file_of_zeros_is_the_least_size(network, coder):
    tensors, known = network
    coarse = coarsest_steps(tensors, known, {}, coder)
    assert not any(coarse.tensors[name].any() for name in known.moments)
    assert {name: each.shape for name, each in coarse.tensors.items()} == {
        name: each.shape for name, each in tensors.items()
    }
    floor = coarse.size_bytes
    choice, reached = choose_steps(tensors, floor, known, {}, coder)
    assert (choice.size_bytes, reached) == (floor, True)
    choice, reached = choose_steps(tensors, floor - 1, known, {}, coder)
    assert not reached
    assert floor < choice.size_bytes <= 2 * (floor - 1)


def test_metadata_count(network):
    tensors, known = network
    metadata = {"labels": [f"class {i * i}" for i in range(200)]}
    choice, reached = choose_steps(tensors, 3000, known, metadata)
    assert reached
    assert 0.95 * 3000 < len(pack(choice.tensors, choice.plan, metadata)) == choice.size_bytes <= 3000
    bare, _ = choose_steps(tensors, 3000, known, {})
    assert bare.expected_loss < choice.expected_loss


def test_layers_that_hold_nothing_stay_as_they_are(network):
    tensors, known = network
    empty = {**tensors, "head.3.weight": np.zeros_like(tensors["head.3.weight"])}
    choice, _ = choose_steps(empty, 3000, known, {})
    assert not choice.tensors["head.3.weight"].any()
