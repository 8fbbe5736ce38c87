"""The table of structural edits: each is replayed from JSON, damage is named, the network given is left as it is."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.edits import EDITS, replay
from gossamer.nn.edits.edit import Edit
from gossamer.testing.networks import noise, scores, tiny_networks


def _edits(network):
    last = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    bits = {"weights": "uniform", "bits": 8, "per_channel": True, "activation_bits": 8}
    return {
        "truncate": {"edit": "truncate", "stages": 1},
        "fuse": {"edit": "fuse"},
        "prune": {
            "edit": "prune",
            "kept": {f"{last}.weight": {"0": [[0, 2]]}, f"{last}.bias": {"0": [[0, 2]]}},
        },
        "factorise": {"edit": "factorise", "layers": {last: {"kind": "svd", "ranks": [2]}}},
        "quantize": {"edit": "quantize", "layers": {last: bits}},
        "rescale": {"edit": "rescale", "scale": [2.0] * 5, "offset": [1.0] * 5},
    }


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_is_replayed_and_leaves_its_network(name):
    network = tiny_networks()["plain"]
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert isinstance(EDITS.load(name), Edit)
    edited = replay(network, json.loads(json.dumps(_edits(network)[name])))
    assert edited is not network
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    if name in ("fuse", "prune", "factorise", "quantize"):
        assert scores(edited, noise(1, (3, 33, 33))).shape == (1, 2 if name == "prune" else 5)


def test_the_table_is_of_these():
    assert list(EDITS) == ["truncate", "fuse", "prune", "factorise", "quantize", "rescale"]


@pytest.mark.parametrize("document", [{"edit": "melt"}, {}, {"edit": None}])
def test_an_unknown_edit_is_told_with_those_there_are(document):
    with pytest.raises(
        ModelError, match=r"unknown structural edit .*; this version knows: truncate, fuse, prune"
    ):
        replay(tiny_networks()["plain"], document)


@pytest.mark.parametrize("name", ["prune", "factorise", "quantize"])
def test_an_edit_without_its_keys_is_damaged(name):
    with pytest.raises(ModelError, match=rf"^a {name} edit tells .*; write it with \w+\.to_json$"):
        replay(tiny_networks()["plain"], {"edit": name})
