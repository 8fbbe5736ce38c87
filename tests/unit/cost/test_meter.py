"""Counts worked out by hand, held against torch's own counter, and what cannot be counted is named."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gossamer.cost.meter import measure, measure_sizes
from gossamer.errors import ModelError
from gossamer.nn.layers import SqueezeExcite
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CLASSIFIERS

FLOAT = 4


def test_a_convolution():
    cost = measure(nn.Conv2d(3, 8, 3, stride=2, padding=1), (1, 3, 16, 16))
    assert cost.macs == 8 * 8 * 8 * (3 * 3 * 3)
    assert cost.params == 8 * 3 * 9 + 8
    assert cost.param_bytes == FLOAT * 224
    assert cost.activation_bytes_read == FLOAT * 3 * 16 * 16
    assert cost.activation_bytes_written == FLOAT * 8 * 8 * 8
    assert cost.peak_bytes == FLOAT * (3 * 16 * 16 + 8 * 8 * 8)
    assert cost.uncounted == ()


def test_a_depthwise_convolution():
    cost = measure(nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), (2, 8, 8, 8))
    assert cost.macs == 2 * 8 * 8 * 8 * 9
    assert cost.params == 72
    assert cost.activation_bytes_read == cost.activation_bytes_written == FLOAT * 2 * 8 * 64


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer(bias):
    cost = measure(nn.Linear(32, 10, bias=bias), (1, 32))
    assert cost.macs == 320
    assert cost.params == 320 + 10 * bias
    assert cost.activation_bytes_read == FLOAT * 32
    assert cost.activation_bytes_written == FLOAT * 10
    assert cost.peak_bytes == FLOAT * 42


def test_a_transposed_convolution_meets_its_kernel_once_an_input_pixel():
    cost = measure(nn.ConvTranspose2d(4, 6, 2, stride=2, bias=False), (1, 4, 5, 5))
    assert cost.macs == 5 * 5 * (4 * 6 * 2 * 2)
    assert cost.activation_bytes_written == FLOAT * 6 * 10 * 10


class _Product(nn.Module):
    def forward(self, x):
        return x @ x.transpose(1, 2)


def test_a_product_of_activations():
    cost = measure(_Product(), (2, 3, 5))
    assert cost.macs == 2 * 3 * 5 * 3
    assert cost.activation_bytes_written == FLOAT * 2 * 9


class _Residual(nn.Module):
    """x -> 16 channels -> 4 channels, + x."""

    def __init__(self):
        super().__init__()
        self.widen, self.narrow = nn.Conv2d(4, 16, 1, bias=False), nn.Conv2d(16, 4, 1, bias=False)

    def forward(self, x):
        return x + self.narrow(self.widen(x))


def test_the_peak_of_a_residual_block():
    plane = FLOAT * 8 * 8
    cost = measure(_Residual(), (1, 4, 8, 8))
    assert cost.peak_bytes == (4 + 16 + 4) * plane
    assert cost.activation_bytes_read == (4 + 16 + 4 + 4) * plane
    assert cost.activation_bytes_written == (16 + 4 + 4) * plane
    assert [(layer.name, layer.kind, layer.macs) for layer in cost.layers] == [
        ("", "_Residual", 0),
        ("widen", "Conv2d", 64 * 64),
        ("narrow", "Conv2d", 64 * 64),
    ]


def test_memory_that_is_let_go_counts_no_more():
    chain = nn.Sequential(*(nn.Conv2d(4, 4, 1) for _ in range(6)))
    plane = FLOAT * 4 * 8 * 8
    assert measure(chain, (1, 4, 8, 8)).peak_bytes == 3 * plane


class _Odd(nn.Module):
    def forward(self, x):
        return torch.cumsum(torch.relu(x), 1).sort(1)[0]


def test_what_has_no_formula_is_listed():
    cost = measure(_Odd(), (1, 8))
    assert cost.uncounted == ("cumsum", "sort")
    assert cost.macs == 0


def test_views_cost_nothing():
    cost = measure(nn.Flatten(1), (1, 4, 8, 8))
    assert (cost.activation_bytes_read, cost.activation_bytes_written) == (0, 0)
    assert cost.peak_bytes == FLOAT * 4 * 64
    assert cost.layers == ()


@pytest.mark.parametrize("name", sorted(CLASSIFIERS))
def test_macs_are_torchs(name):
    with torch.device("meta"):
        network = build(name, num_classes=10).eval()
    with FlopCounterMode(display=False) as theirs, torch.no_grad():
        network(torch.empty(1, 3, 64, 64, device="meta"))
    cost = measure(network, (1, 3, 64, 64))
    assert cost.macs == theirs.get_total_flops() // 2
    assert cost.macs > 5e5
    assert cost.uncounted == ()


@pytest.mark.parametrize(
    "name", ["mobilenet_v3_small_0.5", "shufflenet_v2_0.25", "efficientnet_lite0_0.5", "squeezenet_1.1"]
)
def test_layers_add_up(name):
    with torch.device("meta"):
        network = build(name, num_classes=10)
    cost = measure(network, (1, 3, 64, 64))
    assert sum(layer.macs for layer in cost.layers) == cost.macs
    assert (
        sum(layer.params for layer in cost.layers)
        == cost.params
        == sum(p.numel() for p in network.parameters())
    )
    assert sum(layer.bytes_read for layer in cost.layers) == cost.activation_bytes_read
    assert sum(layer.bytes_written for layer in cost.layers) == cost.activation_bytes_written
    assert cost.peak_bytes < cost.activation_bytes_written


def test_a_then_b_costs_a_plus_b():
    a = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6())
    b = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Hardswish())
    first, second = measure(a, (2, 3, 16, 16)), measure(b, (2, 8, 8, 8))
    both = measure(nn.Sequential(a, b), (2, 3, 16, 16))
    for figure in ("macs", "params", "param_bytes", "activation_bytes_read", "activation_bytes_written"):
        assert getattr(both, figure) == getattr(first, figure) + getattr(second, figure) > 0
    assert both.peak_bytes <= first.peak_bytes + second.peak_bytes


def test_the_batch_multiplies_all_but_params():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    one, four = measure(network, (1, 3, 16, 16)), measure(network, (4, 3, 16, 16))
    assert (four.macs, four.peak_bytes) == (4 * one.macs, 4 * one.peak_bytes)
    assert four.params == one.params


def test_the_network_is_left_as_it_was():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    measure(network, torch.zeros(2, 3, 8, 8))
    assert network.training
    assert next(network.parameters()).device.type == "cpu"
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_another_shape_is_an_error():
    with pytest.raises(
        ModelError,
        match=r"^Conv2d does not run on an input of shape \(1, 4, 8, 8\): .*channel.*; give another --input$",
    ):
        measure(nn.Conv2d(3, 4, 3), (1, 4, 8, 8))


class _Uncopyable(nn.Module):
    def __deepcopy__(self, memo):
        raise TypeError("no copies")


def test_what_cannot_be_copied_is_an_error():
    with pytest.raises(ModelError, match=r"^cannot copy _Uncopyable for counting: no copies; remove what"):
        measure(_Uncopyable(), (1, 3))


def test_the_document():
    cost = measure(nn.Conv2d(3, 4, 3), (1, 3, 8, 8))
    document = cost.to_json()
    assert list(document) == [
        "input",
        "params",
        "macs",
        "param_bytes",
        "activation_bytes_read",
        "activation_bytes_written",
        "peak_bytes",
        "uncounted",
        "elementwise",
        "receptive_field",
        "notes",
        "intensity",
    ]
    tables = json.loads(json.dumps(cost.to_json(layers=True)))
    moved = {"bytes_read": FLOAT * 192, "bytes_written": FLOAT * 144}
    work = {"macs": 36 * 108, "elementwise": 0}
    assert tables["layers"] == [
        {
            "name": "",
            "kind": "Conv2d",
            "output": [1, 4, 6, 6],
            "params": 112,
            "param_bytes": FLOAT * 112,
            **work,
            **moved,
            "receptive_field": [3, 3],
            "intensity": 36 * 108 / (FLOAT * (192 + 144 + 112)),
        }
    ]
    assert tables["operators"] == [{"kind": "Conv k x k", "runs": 1, **work, **moved}]


def test_elementwise_operations():
    network = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Sigmoid())
    cost = measure(network, (2, 3, 8, 8))
    assert {operator.kind: operator.elementwise for operator in cost.operators} == {
        "relu": 2 * 3 * 64,
        "max_pool2d_with_indices": 2 * 3 * 16 * 4,
        "mean": 2 * 3 * 16,
        "sigmoid": 6,
    }
    assert cost.elementwise == sum(layer.elementwise for layer in cost.layers)


@pytest.mark.parametrize("name", ["mobilenet_v2", "ghostnet_1.0", "squeezenet_1.0"])
def test_operators_add_up(name):
    cost = measure(build(name), (1, 3, 96, 96))
    assert sum(o.macs for o in cost.operators) == cost.macs
    assert sum(o.elementwise for o in cost.operators) == cost.elementwise
    assert sum(o.bytes_read for o in cost.operators) == cost.activation_bytes_read


@pytest.mark.parametrize(
    ("name", "side"), [("alexnet", 195), ("vgg16", 212), ("resnet18", 435), ("mobilenet_v1", 315)]
)
def test_receptive_fields_are_those_published(name, side):
    """Araujo et al., Distill 2019 (AlexNet, ResNet and MobileNet, before the head's pool); VGG: 16 + (212 - 196)."""
    layers = measure(build(name), (1, 3, 224, 224)).layers
    last = [layer for layer in layers if layer.kind == "Conv2d" and layer.receptive_field is not None][-1]
    pools = [layer for layer in layers if layer.kind == "MaxPool2d"]
    found = pools[-1].receptive_field if name in ("alexnet", "vgg16") else last.receptive_field
    assert found == (side, side)


def test_the_field_of_dilation_a_narrow_kernel_and_a_gate():
    narrow = measure(nn.Conv2d(1, 1, (1, 7), dilation=2), (1, 1, 32, 32))
    assert narrow.receptive_field == (1, 13)
    up = nn.Sequential(nn.Conv2d(1, 1, 3, 2), nn.ConvTranspose2d(1, 1, 2, 2), nn.Conv2d(1, 1, 3))
    assert measure(up, (1, 1, 32, 32)).receptive_field == (5, 5)
    gate = SqueezeExcite(8, 2)
    assert measure(nn.Sequential(nn.Conv2d(3, 8, 3), gate), (1, 3, 16, 16)).receptive_field == (3, 3)


class _Deciding(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        return self.a(x) if x.abs().max() > 100 else self.b(x)


def test_a_network_that_decides_by_values_is_counted_in_one_run():
    cost = measure(_Deciding(), (1, 3, 8, 8))
    assert cost.macs == 64 * 108
    assert len(cost.notes) == 1
    assert cost.notes[0].startswith("cannot run without values (")
    assert cost.notes[0].endswith("): counted in one run on random numbers, others may differ")


def test_a_network_that_decides_by_values_and_has_none_is_an_error():
    with pytest.raises(
        ModelError, match=r"^_Deciding does not run on an input of shape \(1, 3, 8, 8\) without"
    ):
        measure(_Deciding().to("meta"), (1, 3, 8, 8))


@torch.library.custom_op("gossamer_test::double", mutates_args=())
def _double(x: torch.Tensor) -> torch.Tensor:
    return x * 2


class _Custom(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return torch.ops.gossamer_test.double(self.conv(x))


def test_a_custom_operator_is_listed():
    cost = measure(_Custom(), (1, 3, 8, 8))
    assert (cost.macs, cost.uncounted) == (64 * 12, ("double",))
    assert "cannot run without values" in cost.notes[0]


class _Two(nn.Module):
    def forward(self, left, right):
        return left @ right


def test_several_inputs():
    cost = measure(_Two(), [(1, 5, 7), torch.empty(1, 7, 3)])
    assert (cost.macs, cost.input) == (5 * 7 * 3, (1, 5, 7))
    with pytest.raises(
        ModelError, match=r"^_Two does not run on an input of shape \(1, 5, 7\): .*'right'; give"
    ):
        measure(_Two(), (1, 5, 7))


def test_costs_over_sizes_are_those_one_by_one():
    network = build("efficientnet_lite0")
    shapes = [(1, 3, 96, 96), (2, 3, 128, 160), (1, 3, 225, 225)]
    assert measure_sizes(network, shapes) == tuple(measure(network, shape) for shape in shapes)
    with pytest.raises(ModelError, match="the input must be at least 32 x 32 pixels"):
        measure_sizes(network, [(1, 3, 96, 96), (1, 3, 8, 8)])
    assert len(measure_sizes(_Deciding(), [(1, 3, 8, 8), (1, 3, 9, 9)])[1].notes) == 1
