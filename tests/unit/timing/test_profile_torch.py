"""Torch's own profile of tiny modules: nodes, layers, macs as counted, and the module left as it was."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from gossamer.cost.meter import measure
from gossamer.errors import GossamerError, ModelError
from gossamer.timing.profile_torch import profile_torch

SHAPE = (1, 3, 16, 16)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.project = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        return x + self.project(self.norm(self.depthwise(x)))


def tiny():
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU6())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    return nn.Sequential(stem, Residual(), head)


def test_a_tiny_network_end_to_end():
    network = tiny()
    profile = profile_torch(network, SHAPE, runs=4)
    assert [(node.layer, node.kind, node.macs, node.params) for node in profile.nodes] == [
        ("0.0", "Conv k x k", 256 * 27 * 8, 27 * 8 + 8),
        ("0.1", "Clip", 0, 0),
        ("1.depthwise", "Conv depthwise", 256 * 9 * 8, 9 * 8),
        ("1.norm", "BatchNorm", 0, 16),
        ("1.project", "Conv 1x1", 256 * 8 * 8, 8 * 8 + 8),
        ("1", "Add", 0, 0),
        ("2.0", "AdaptiveAvgPool2d", 0, 0),
        ("2.1", "Flatten", 0, 0),
        ("2.2", "Gemm", 40, 45),
    ]
    assert (profile.runs, profile.threads, profile.runtime, profile.uncounted) == (4, 1, "torch", ())
    assert sum(total.share for total in profile.operators()) == pytest.approx(1)
    assert all(node.ms > 0 for node in profile.nodes)
    assert profile.unmatched == ()


def test_figures_are_the_meters():
    network = tiny()
    nodes, cost = profile_torch(network, SHAPE, runs=1).nodes, measure(network, SHAPE)
    assert {node.layer: node.macs for node in nodes if node.macs} == {
        layer.name: layer.macs for layer in cost.layers if layer.macs
    }
    assert sum(node.macs for node in nodes) == cost.macs
    assert sum(node.bytes_read for node in nodes) == cost.activation_bytes_read
    assert sum(node.bytes_written for node in nodes) == cost.activation_bytes_written
    assert sum(node.params for node in nodes) == cost.params
    norm = nodes[3]
    assert (norm.bytes_read, norm.bytes_written, norm.param_bytes) == (8192, 8192, 4 * 4 * 8)


class Twice(nn.Module):
    """One convolution for two sizes, and products of activations in the network itself."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        large, small = self.shared(x), self.shared(x[..., ::2, ::2])
        return torch.matmul(large.flatten(2), large.flatten(2).transpose(1, 2)) + small.mean()


def test_a_layer_that_runs_twice_splits_its_costs():
    network = Twice()
    nodes = profile_torch(network, SHAPE, runs=2).nodes
    assert [node.macs for node in nodes if node.layer == "shared"] == [256 * 81, 64 * 81]
    own = {node.kind: node for node in nodes if node.layer is None}
    assert own["MatMul"].macs == 3 * 256 * 3
    assert {"Flatten", "Transpose", "Add", "Mean"} <= set(own)
    assert sum(node.macs for node in nodes) == measure(network, SHAPE).macs


def test_the_network_is_left_as_it_was():
    network = tiny()
    network[0].eval()
    before = {name: module.training for name, module in network.named_modules()}
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    threads = torch.get_num_threads()
    profile_torch(network, SHAPE, threads=threads + 1, runs=1)
    assert {name: module.training for name, module in network.named_modules()} == before
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    assert torch.get_num_threads() == threads
    assert "KINETO_LOG_LEVEL" not in os.environ


def test_a_network_that_looks_at_numbers_may_call_others_each_time():
    class Moody(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return x.relu() if self.calls % 2 else x.relu().exp()

    nodes = profile_torch(Moody(), SHAPE, runs=6).nodes
    assert nodes[0].kind == "Relu"
    assert nodes[0].ms > 0


def test_a_network_that_fails_while_it_is_timed_loses_its_hooks():
    class Late(nn.Module):
        def forward(self, x):
            if not x.is_meta:
                raise KeyboardInterrupt
            return x.relu()

    network = Late()
    with pytest.raises(KeyboardInterrupt):
        profile_torch(network, SHAPE)
    assert not network._forward_hooks
    assert not network._forward_pre_hooks


@pytest.mark.parametrize(
    ("network", "shape", "options", "message"),
    [
        (tiny(), (1, 4, 16, 16), {}, r"does not run on an input of shape \(1, 4, 16, 16\)"),
        (nn.Identity(), SHAPE, {}, "no node ran: the network computes nothing"),
        (tiny().to("meta"), SHAPE, {}, "taken on the CPU, got a network on meta; move it"),
        ("a name", SHAPE, {}, "taken of a module, got a str; build one"),
        (tiny(), SHAPE, {"runs": 0}, "at least one run, got runs=0"),
        (tiny(), SHAPE, {"threads": 0}, "threads must be at least 1, got 0"),
    ],
    ids=["bands", "nothing", "device", "module", "runs", "threads"],
)
def test_what_cannot_be_profiled(network, shape, options, message):
    with pytest.raises(GossamerError, match=message) as caught:
        profile_torch(network, shape, **options)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ModelError) is (not options)


def test_torchs_profiler_says_nothing():
    code = (
        "from torch import nn\nfrom gossamer.timing.profile_torch import profile_torch\n"
        "profile_torch(nn.ReLU(), (1, 3, 8, 8), runs=1)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
