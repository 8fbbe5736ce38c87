"""Tensors find their places: rules, kinds, what is left over, and files that are sorted by name."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.edits.fuse import fuse
from gossamer.zoo import mapping
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CATALOGUE
from gossamer.zoo.mapping import RULES, Drop, Join, Last, load_in_order

SMALL = "mnasnet_b1_0.5"


def _names(rule, names):
    return [name for name, _ in mapping._apply(rule, [(name, torch.zeros(2, 1)) for name in names])]


def test_every_rule_is_of_a_family_of_the_catalogue():
    assert set(RULES) <= {entry.family for entry in CATALOGUE.values()}


def test_what_only_training_needs_is_dropped():
    assert _names(Drop(r"aux\d\..*"), ["a.weight", "aux1.conv.weight", "auxiliary.weight"]) == [
        "a.weight",
        "auxiliary.weight",
    ]


def test_a_projection_goes_behind_its_own_block():
    names = ["stem", "b1.proj.w", "b1.f.w", "b1.f.v", "b2.f.w", "b3.proj.w", "b3.f.w", "fc"]
    assert _names(Last(r"b\d\.", r"proj\."), names) == [
        "stem", "b1.f.w", "b1.f.v", "b1.proj.w", "b2.f.w", "b3.f.w", "b3.proj.w", "fc",
    ]  # fmt: skip


def test_groups_are_joined_along_their_outputs():
    tensors = [(f"b.conv.{i}.weight", torch.full((2, 3, 1, 1), float(i))) for i in range(3)]
    joined = mapping._apply(Join(r"(.*\.conv)\.\d+\.weight"), [*tensors, ("b.bias", torch.zeros(6))])
    assert [name for name, _ in joined] == ["b.conv.weight", "b.bias"]
    assert joined[0][1][:, 0, 0, 0].tolist() == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]


def test_what_is_left_over_and_what_stays_empty_is_listed():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 1))
    state = {f"their.{k}": v for k, v in network.state_dict().items()}
    state["their.extra.weight"] = torch.zeros(9, 9)
    del state["their.2.weight"], state["their.2.bias"]
    with pytest.raises(
        ModelError,
        match=r"^x: weights hold 7 tensors, the network 8; unused: their\.extra\.weight; unfilled: 2\.weight, 2\.bias; ",
    ):
        load_in_order(network, state, "x")


def test_long_lists_are_cut():
    network = nn.Linear(2, 2)
    state = {f"k{i}": torch.zeros(7 + i) for i in range(9)}
    with pytest.raises(
        ModelError, match=r"unused: k0, k1, k2, k3, k4, k5 and 3 more; unfilled: weight, bias; "
    ):
        load_in_order(network, state, "x")


def test_a_sorted_norm_is_not_taken_for_an_unsorted_one():
    network = nn.BatchNorm2d(4)
    state = {k: network.state_dict()[k] for k in ("bias", "running_mean", "running_var", "weight")}
    with pytest.raises(
        ModelError, match=r"x: bias stands where the network has weight; the file does not keep the order"
    ):
        load_in_order(network, state, "x")


def test_a_convolution_over_the_whole_map_is_a_linear_layer():
    network = nn.Linear(4 * 2 * 2, 3)
    state = {"fc.weight": torch.randn(3, 4, 2, 2), "fc.bias": torch.zeros(3)}
    load_in_order(network, state, "x")
    assert torch.equal(network.weight, state["fc.weight"].flatten(1))


def test_a_safetensors_file_of_our_own_is_read_by_name(tmp_path):
    state = build(SMALL, seed=3).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    network = build(f"{SMALL}@{tmp_path / 'w.safetensors'}", seed=9)
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())


def test_a_safetensors_file_of_timm_is_put_in_timms_order(tmp_path):
    theirs = timm.create_model("mnasnet_100").eval()
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")
    network = build(f"mnasnet_b1@{tmp_path / 'w.safetensors'}").eval()
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert (network(x) - theirs(x)).abs().max() <= 1e-5 * theirs(x).abs().max()


def test_a_sorted_file_of_unknown_names_is_refused(tmp_path):
    state = {f"x.{i:04d}.{k}": v for i, (k, v) in enumerate(build(SMALL).state_dict().items())}
    state = {k.replace(".", "_"): v for k, v in state.items()}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"sorts its tensors by name .* give the original state dict"):
        build(f"{SMALL}@{tmp_path / 'w.safetensors'}")


def test_names_of_ours_with_other_shapes_are_refused(tmp_path):
    torch.save(build("mnasnet_b1_0.75").state_dict(), tmp_path / "w.pth")
    with pytest.raises(
        ModelError, match=r"mnasnet_b1_0\.5@w\.pth: .* has shape .*, the network's .*; they are of another"
    ):
        build(f"{SMALL}@{tmp_path / 'w.pth'}")


def test_imagenet_is_the_best_source_known(monkeypatch):
    asked = []

    def fetch(identifier):
        asked.append(identifier)
        return build("mobilenet_v2").state_dict()

    monkeypatch.setattr("gossamer.zoo.weights._read_torchvision", fetch)
    build("mobilenet_v2", weights="imagenet")
    assert asked == ["MobileNet_V2_Weights.IMAGENET1K_V2"]
    with pytest.raises(ModelError, match="sources of fbnet_a: none, or give a path"):
        build("fbnet_a@imagenet")


# --- norms that are folded in, pixels laid side by side --------------------------------------------


def _folded(network):
    """What a runtime's file keeps of it: kernels and biases, in order."""
    state = {}
    for name, module in fuse(network).named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            state[f"{name}.weight"] = module.weight.detach()
            state[f"{name}.bias"] = module.bias.detach()
    return state


def test_weights_with_their_norms_folded_in_fill_a_network_that_has_norms():
    inputs = torch.rand(2, 3, 64, 64)
    theirs = build("mobilenet_v2_0.35", num_classes=7, seed=3).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    ours = build("mobilenet_v2_0.35", num_classes=7, seed=4).eval()
    load_in_order(ours, _folded(theirs), "a file")
    with torch.no_grad():
        assert torch.allclose(ours(inputs), theirs(inputs), atol=1e-4)
    norms = [module for module in ours.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(not module.running_mean.any() and (module.running_var == 1).all() for module in norms)


def test_a_file_of_another_network_is_still_refused():
    state = _folded(build("mobilenet_v2_0.35", num_classes=7))
    with pytest.raises(ModelError, match="they are of another network or variant"):
        load_in_order(build("mobilenet_v2_0.25", num_classes=7), state, "a file")


def test_a_kernel_on_pixels_laid_side_by_side_is_one_of_twice_the_side():
    (rule,) = RULES["YOLOX"]
    kernel, picture = torch.randn(5, 12, 3, 3), torch.randn(2, 3, 16, 16)
    laid = torch.cat([picture[:, :, row::2, column::2] for row, column in rule.places], 1)
    expected = torch.nn.functional.conv2d(laid, kernel, padding=1)
    network = nn.Sequential(nn.Conv2d(3, 5, 6, 2, 2, bias=False))
    load_in_order(network, {"stem.weight": kernel}, "a file", family="YOLOX")
    assert torch.allclose(network(picture), expected, atol=1e-4)
