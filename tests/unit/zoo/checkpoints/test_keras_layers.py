"""Keras's layers in torch's layout and order, whatever file they came in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from gossamer.errors import ModelError
from gossamer.zoo.checkpoints._keras_layers import KerasLayer, read_topology, to_torch

PATH = Path("model.json")


def _layer(name, kind="Conv2D", *inputs):
    return {"class_name": kind, "config": {"name": name}, "inbound_nodes": [[[i, 0, 0, {}] for i in inputs]]}


def _model(*layers):
    return {"class_name": "Functional", "config": {"name": "model", "layers": list(layers)}}


def _convert(weights, *layers):
    return to_torch(list(weights.items()), read_topology(_model(*layers)), PATH)


def _correlate(x, kernel):
    """What Keras computes at every place, spelt out: x (H, W, in), kernel (kh, kw, in, out) -> (H', W', out)."""
    kh, kw, _, out = kernel.shape
    found = torch.zeros(x.shape[0] - kh + 1, x.shape[1] - kw + 1, out)
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            found[row, column] = torch.einsum("hwi,hwio->o", x[row : row + kh, column : column + kw], kernel)
    return found


def _draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_a_kernel_computes_what_keras_computes():
    kernel, x = _draw(2, 3, 4, 5), _draw(6, 7, 4)
    weight = _convert({"conv/kernel": kernel}, _layer("conv"))["conv.weight"]
    assert weight.shape == (5, 4, 2, 3)
    ours = functional.conv2d(x.permute(2, 0, 1)[None], weight)[0].permute(1, 2, 0)
    assert torch.allclose(ours, _correlate(x, kernel), atol=1e-5)


@pytest.mark.parametrize("leaf", ["depthwise_kernel", "kernel"])
def test_a_depthwise_kernel_computes_what_keras_computes(leaf):
    """Keras puts channel c times multiplier m at output c * M + m; Keras 3 calls the kernel just "kernel"."""
    kernel, x = _draw(2, 3, 4, 2), _draw(6, 7, 4)
    weight = _convert({f"dw/{leaf}": kernel}, _layer("dw", "DepthwiseConv2D"))["dw.weight"]
    assert weight.shape == (8, 1, 2, 3)
    ours = functional.conv2d(x.permute(2, 0, 1)[None], weight, groups=4)[0].permute(1, 2, 0)
    full = torch.zeros(2, 3, 4, 8)
    for c in range(4):
        full[:, :, c, 2 * c : 2 * c + 2] = kernel[:, :, c]
    assert torch.allclose(ours, _correlate(x, full), atol=1e-5)


@pytest.mark.parametrize(
    ("leaf", "shape", "expected"),
    [
        ("kernel", (7, 3), (3, 7)),
        ("kernel", (5, 4, 6), (6, 4, 5)),
        ("kernel", (1, 2, 3, 4, 6), (6, 4, 1, 2, 3)),
        ("depthwise_kernel", (5, 4, 2), (8, 1, 5)),
        ("alpha", (1, 1, 6), (1, 1, 6)),
        ("bias", (4,), (4,)),
    ],
)
def test_layouts(leaf, shape, expected):
    (found,) = _convert({f"a/{leaf}": torch.zeros(shape)}, _layer("a")).values()
    assert found.shape == expected
    assert found.is_contiguous()


def test_a_separable_layer_gives_both_kernels():
    weights = {
        "s/bias": torch.ones(3),
        "s/pointwise_kernel": torch.ones(1, 1, 2, 3),
        "s/depthwise_kernel": torch.ones(3, 3, 2, 1),
    }
    found = _convert(weights, _layer("s", "SeparableConv2D"))
    assert {k: tuple(v.shape) for k, v in found.items()} == {
        "s.weight": (2, 1, 3, 3),
        "s.pointwise.weight": (3, 2, 1, 1),
        "s.bias": (3,),
    }


def _norm(name, channels=1):
    return {
        f"{name}/{leaf}": torch.full((channels,), float(i))
        for i, leaf in enumerate(("moving_variance", "moving_mean", "beta", "gamma"))
    }


def test_leaves_are_sorted_and_norms_stand_after_their_convolution():
    """Both branches' convolutions come first in a residual network's topology."""
    layers = (
        _layer("conv", "Conv2D", "input"),
        _layer("shortcut", "Conv2D", "input"),
        _layer("bn", "BatchNormalization", "conv"),
        _layer("bn_of_sum", "BatchNormalization", "add"),
    )
    weights = {
        **_norm("bn_of_sum"),
        **_norm("bn"),
        "shortcut/kernel": torch.ones(1, 1, 1, 1),
        "conv/bias": torch.ones(1),
        "conv/kernel": torch.ones(1, 1, 1, 1),
    }
    norm = [".weight", ".bias", ".running_mean", ".running_var"]
    found = _convert(weights, *layers)
    assert list(found) == [
        "conv.weight",
        "conv.bias",
        *("bn" + leaf for leaf in norm),
        "shortcut.weight",
        *("bn_of_sum" + leaf for leaf in norm),
    ]
    assert [float(found["bn" + leaf]) for leaf in norm] == [3, 2, 1, 0]


def test_a_norm_after_a_norm_stays_where_it_is():
    layers = (_layer("a", "BatchNormalization", "x"), _layer("conv"), _layer("b", "BatchNormalization", "a"))
    weights = {"conv/kernel": torch.ones(1, 1), **_norm("a"), **_norm("b")}
    assert [k for k in _convert(weights, *layers) if k.endswith("weight")] == [
        "a.weight",
        "conv.weight",
        "b.weight",
    ]


def test_a_norm_without_scale_or_centre_gets_ones_and_zeros():
    weights = {"bn/moving_mean": torch.tensor([5.0, 6.0]), "bn/moving_variance": torch.tensor([7.0, 8.0])}
    found = _convert(weights, _layer("bn", "BatchNormalization"))
    assert {k: v.tolist() for k, v in found.items()} == {
        "bn.weight": [1, 1],
        "bn.bias": [0, 0],
        "bn.running_mean": [5, 6],
        "bn.running_var": [7, 8],
    }
    assert list(found) == ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"]


def test_without_a_topology_the_files_order_holds():
    weights = {"b/kernel": torch.ones(1, 1), "a/bias": torch.ones(1), "a/kernel": torch.ones(1, 1)}
    assert list(to_torch(list(weights.items()), {}, PATH)) == ["b.weight", "a.weight", "a.bias"]


def test_models_inside_are_opened_and_scopes_taken_off():
    inner = {"class_name": "Sequential", "name": "body", "config": [_layer("c1"), _layer("c2")]}
    weights = {
        "head/kernel:0": torch.ones(1, 1),
        "body/c2/kernel": torch.ones(1, 1),
        "c1/kernel:0": torch.ones(1, 1),
    }
    assert list(_convert(weights, inner, _layer("head"))) == ["c1.weight", "c2.weight", "head.weight"]


def test_inputs_are_found_in_the_json_of_keras_2_and_3():
    three = [
        {
            "args": [
                {
                    "class_name": "__keras_tensor__",
                    "config": {"shape": [None, 4], "keras_history": ["conv", 0, 0]},
                }
            ],
            "kwargs": {},
        }
    ]
    model = _model(
        _layer("conv"),
        {"class_name": "ReLU", "config": {"name": "act"}, "inbound_nodes": three},
        _layer("add", "Add", "a", "b"),
    )
    found = read_topology(model)
    assert found["act"] == KerasLayer("ReLU", ("conv",))
    assert sorted(found["add"].inputs) == ["a", "b"]


@pytest.mark.parametrize(
    "model", [None, [], "x", {}, {"config": 3}, {"config": {"layers": [None, 3, {"config": {"name": 1}}]}}]
)
def test_no_topology_is_no_layers(model):
    assert read_topology(model) == {}


def test_a_deep_topology_does_not_exhaust_the_stack():
    model = _layer("conv")
    for _ in range(5000):
        model = _model(model)
    assert list(read_topology(model)) == ["conv"]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"lstm/recurrent_kernel": torch.ones(1)}, r"model\.json: weights are kernels, .* got 'lstm/recurrent_kernel'; give a convolutional"),
        ({"conv/kernel": torch.ones(1), "x/conv/kernel": torch.ones(1)}, r"one of each a layer, got 'x/conv/kernel'"),
        ({"other/kernel": torch.ones(1)}, r"every weight belongs to a layer of the model, 'other' is none; save"),
        ({"kernel": torch.ones(1)}, r"every weight belongs to a layer of the model, '' is none"),
    ],
)  # fmt: skip
def test_other_weights_are_refused(weights, message):
    with pytest.raises(ModelError, match=message):
        _convert(weights, _layer("conv"), _layer("lstm", "LSTM"))
