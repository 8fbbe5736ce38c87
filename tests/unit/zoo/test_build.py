"""Building: every name, widths and bands, seeds, edits, other zoos, and what a typo is told."""

from __future__ import annotations

import random
import socket

import numpy as np
import pytest
import torch

from gossamer.errors import MissingExtraError, ModelError
from gossamer.nn.network import Network
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CLASSIFIERS
from gossamer.zoo.spec import ModelSpec

SMALL = "shufflenet_v2_0.25"
ONE_A_FAMILY = [
    "mobilenet_v2_0.25",
    "mobilenet_v3_small_0.5",
    "mobilenet_v3_large_0.75",
    SMALL,
    "squeezenet_1.1",
    "squeezenet_1.0",
    "efficientnet_lite0_0.5",
]


def _scores(network, bands=3, side=64):
    with torch.no_grad():
        return network.eval()(torch.linspace(-1, 1, bands * side * side).view(1, bands, side, side))


@pytest.mark.parametrize("name", sorted(CLASSIFIERS))
def test_every_name_of_the_catalogue_builds(name):
    with torch.device("meta"):
        network = build(name, num_classes=6)
        assert isinstance(network, Network)
        assert network.eval()(torch.empty(2, 3, 64, 64)).shape == (2, 6)
    assert network.spec.label == name


@pytest.mark.parametrize("name", ONE_A_FAMILY)
@pytest.mark.parametrize("bands", [1, 4, 13])
def test_any_number_of_bands(name, bands):
    network = build(name, num_classes=5, in_channels=bands)
    assert _scores(network, bands).shape == (1, 5)
    assert network.spec.arguments["in_channels"] == bands


@pytest.mark.parametrize("name", ONE_A_FAMILY)
def test_one_training_step_reaches_every_weight(name):
    network = build(name, num_classes=5, dropout=0.0)
    x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    network.train()(x).square().sum().backward()
    assert [k for k, p in network.named_parameters() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("name", ["mobilenet_v2_0.25", SMALL, "squeezenet_1.1"])
def test_the_seed_decides_the_weights(name):
    first, again, other = (build(name, num_classes=3, seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)


def test_global_generators_are_left_alone():
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    build(f"{SMALL}[:2]", num_classes=3, seed=9)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


@pytest.mark.parametrize(
    "text", ["mobilenet_v2_0.25", f"{SMALL}[:2]", "efficientnet_lite0_0.5[:5]", "squeezenet_1.1[:1]"]
)
def test_the_spec_rebuilds_the_network(text):
    network = build(text, num_classes=4, in_channels=2, seed=3)
    again = build(ModelSpec.from_json(network.spec.to_json()), seed=4)
    assert again.spec == network.spec
    assert again.spec.label == text
    again.load_state_dict(network.state_dict())
    assert torch.equal(_scores(again, 2), _scores(network, 2))


def test_a_cut_has_fewer_weights_and_the_same_classes():
    counts = [
        sum(p.numel() for p in build(f"efficientnet_lite0_0.5[:{k}]", num_classes=4).parameters())
        for k in (2, 4, 6)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_a_spec_takes_further_arguments():
    spec = build(SMALL, num_classes=4).spec
    network = build(spec, num_classes=9, width=0.5)
    assert network.spec.arguments == {"width": 0.5, "num_classes": 9}
    assert _scores(network).shape == (1, 9)
    assert spec.arguments["num_classes"] == 4


def test_typos_get_the_nearest():
    with pytest.raises(
        ModelError,
        match=r"no network 'mobilnet_v3'; did you mean '\S+', '\S+' or '\S+'\? `gossamer zoo` lists all",
    ):
        build("mobilnet_v3")
    with pytest.raises(ModelError, match=r"mobilenet_v2 has no argument 'widht'; did you mean 'width'\?"):
        build("mobilenet_v2", widht=0.5)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("squeezenet_1.0", {"version": "2.0"}),
        ("mobilenet_v2", {"dropout": 3}),
    ],
)
def test_values_that_cannot_be_built(name, arguments):
    with pytest.raises(ModelError, match=rf"{name} cannot be built with .*; check the values"):
        build(name, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, r"num_classes is a whole number from 1, got 0 for mobilenet_v2$"),
        ({"num_classes": "many"}, r"num_classes is a whole number from 1, got 'many'"),
        ({"in_channels": 2.5}, r"in_channels is a whole number from 1, got 2\.5"),
        ({"width": 0}, r"width is a number above 0, got 0 for mobilenet_v2; 1\.0 is the paper's network"),
        ({"width": float("nan")}, r"width is a number above 0, got nan"),
        ({"width": None}, r"width is a number above 0, got None"),
    ],
)
def test_numbers_that_no_network_takes(arguments, message):
    with pytest.raises(ModelError, match=message):
        build("mobilenet_v2", **arguments)


@pytest.mark.parametrize("name", sorted({entry.family: name for name, entry in CLASSIFIERS.items()}.values()))
def test_a_width_that_leaves_a_stage_without_channels(name):
    with (
        pytest.raises(ModelError, match=r"at least 1 channel|must be wider than the stem"),
        torch.device("meta"),
    ):
        build(name, width=0.005)


@pytest.mark.parametrize("stages", [0, 4])
def test_cuts_outside_the_network(stages):
    with pytest.raises(ModelError, match=rf"cut after stage 1 to 3, got {stages}"):
        build(f"{SMALL}[:{stages}]")


def test_unknown_edits_and_origins():
    with pytest.raises(
        ModelError, match=r"unknown structural edit 'melt'; this version knows: truncate, fuse, prune"
    ):
        build(ModelSpec(SMALL, {}, ({"edit": "melt"},)))
    with pytest.raises(ModelError, match=r"a prune edit tells what is kept, got"):
        build(ModelSpec(SMALL, {}, ({"edit": "prune"},)))
    with pytest.raises(
        ModelError,
        match=r"comes from the catalogue, timm, torchvision or of parts, got 'keras:x'; write e\.g\. 'timm:x'",
    ):
        build("keras:x")


def test_timm_by_name():
    network = build("timm:mobilenetv3_small_050", num_classes=3, in_channels=4)
    assert _scores(network, 4).shape == (1, 3)
    assert network.spec.to_json() == {
        "name": "timm:mobilenetv3_small_050", "arguments": {"num_classes": 3, "in_channels": 4}, "edits": [],
    }  # fmt: skip
    again = build(network.spec, seed=7)
    again.load_state_dict(network.state_dict())
    assert torch.equal(_scores(again, 4), _scores(network, 4))


def test_torchvision_by_name():
    network = build("torchvision:squeezenet1_1", num_classes=3, in_channels=3)
    assert _scores(network).shape == (1, 3)
    with pytest.raises(
        ModelError, match="torchvision networks take 3 bands, got in_channels=4; use a zoo network"
    ):
        build("torchvision:squeezenet1_1", in_channels=4)


@pytest.mark.parametrize("name", ["timm:no_such_net", "torchvision:no_such_net"])
def test_names_that_other_zoos_do_not_hold(name):
    origin = name.partition(":")[0]
    with pytest.raises(ModelError, match=rf"{origin} cannot build 'no_such_net' with "):
        build(name)


def test_only_our_networks_can_be_cut():
    with pytest.raises(
        ModelError, match=r"only the zoo's networks can be cut after a stage, got SqueezeNet; leave out"
    ):
        build("torchvision:squeezenet1_1[:2]")


def test_a_zoo_that_is_not_installed(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"timm:x needs timm, .*pip install 'gossamer\[weights\]'"):
        build("timm:x")


@pytest.fixture
def no_hub(monkeypatch):
    """Whoever looks up a host, connects or unpickles fails the test."""

    def refuse(*arguments, **_):
        raise AssertionError(f"reached out to {arguments}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(torch, "load", refuse)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("timm:resnet18", {"checkpoint_path": "/nowhere/evil.pt"}),
        ("timm:resnet18", {"pretrained": True}),
        ("timm:resnet18", {"pretrained_cfg_overlay": {"url": "http://127.0.0.1:9/x", "hf_hub_id": None}}),
        ("timm:resnet18", {"pretrained_cfg": {"file": "/nowhere/evil.pt"}}),
        ("timm:resnet18", {"cache_dir": "/tmp/x"}),
        ("timm:resnet18", {"num_classes": {"a": 1}}),
        ("timm:hf-hub:somebody/model", {}),
        ("timm:local-dir:/nowhere", {}),
        ("torchvision:resnet18", {"weights": "DEFAULT"}),
        ("torchvision:resnet18", {"pretrained": True}),
        ("torchvision:resnet18", {"progress": True}),
    ],
)
def test_a_spec_reaches_for_no_file_and_no_hub(no_hub, name, arguments):
    with pytest.raises(ModelError):
        build(ModelSpec(name, {"num_classes": 3, **arguments}))


def test_a_backbone_of_torchvision_comes_without_weights(no_hub):
    assert build(ModelSpec("torchvision:lraspp_mobilenet_v3_large", {"num_classes": 3})) is not None
