"""Counted peaks of activations beside what torch's allocator held at most while the network ran on the CPU.

The allocator also sees what a convolution's kernel needs for itself (copies in its own layout). That is not in the
count, which is of the network and not of a kernel: docs/results.md has the networks where it is more than 10 %.
"""

from __future__ import annotations

import json

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from gossamer.cost.meter import measure
from gossamer.zoo.build import build

SHAPE = (1, 3, 224, 224)


def _held(network: torch.nn.Module, path: str) -> int:
    """The most bytes alive at once in one inference, its input among them."""
    x = torch.randn(SHAPE)
    with torch.no_grad():
        network(x)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            result = network(x)
    profiler.export_chrome_trace(path)
    with open(path) as file:
        events = [event for event in json.load(file)["traceEvents"] if event.get("name") == "[memory]"]
    assert result.shape == (1, 1000)
    alive = peak = x.nbytes
    for event in sorted(events, key=lambda each: each["ts"]):
        alive += event["args"]["Bytes"]
        peak = max(peak, alive)
    return peak


@pytest.mark.parametrize(
    "name", ["alexnet", "squeezenet_1.0", "mobilenet_v1", "googlenet", "regnet_x_400mf", "mobilenet_v2"]
)
def test_peaks_are_the_allocators(name, tmp_path):
    network = build(name).eval()
    assert measure(network, SHAPE).peak_bytes == pytest.approx(_held(network, str(tmp_path / "t")), rel=0.1)
