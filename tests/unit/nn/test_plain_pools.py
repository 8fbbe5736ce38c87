"""Adaptive pools written out: torch's own numbers at every size, and files that every runtime runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.nn.plain_pools import PlainPools, grid_maxima, grid_means
from gossamer.testing.networks import noise, scores
from gossamer.types import Size

SIZES = [((7, 9), (3, 4)), ((13, 5), (6, 5)), ((4, 4), (7, 6)), ((12, 12), (4, 3)), ((8, 5), (1, 1))]


@pytest.mark.parametrize(("size", "grid"), SIZES)
def test_cells_are_torchs(size, grid):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(grid_means(x, grid), F.adaptive_avg_pool2d(x, grid), atol=1e-6)
    assert torch.equal(grid_maxima(x, grid), F.adaptive_max_pool2d(x, grid))


class _Pools(nn.Module):
    """Every way to ask for a pool."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.mean, self.largest = nn.AdaptiveAvgPool2d(6), nn.AdaptiveMaxPool2d((3, None))
        self.last = nn.Linear(4 * 36 + 4 * 3 * 14 + 4 * 25 + 4 * 4, 5)

    def forward(self, x):
        x = self.conv(x)
        parts = [self.mean(x), self.largest(x)]
        parts += [F.adaptive_avg_pool2d(input=x, output_size=(5, 5)), F.adaptive_max_pool2d(x, 2)]
        return self.last(torch.cat([part.flatten(1) for part in parts], 1))


def test_a_mode_that_writes_them_out():
    torch.manual_seed(0)
    network, x = _Pools().eval(), noise(1, (3, 16, 16))
    expected = scores(network, x)
    with PlainPools():
        found = scores(network, x)
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "reference"])
def test_a_pool_to_a_grid_that_does_not_divide_the_map_is_exported(tmp_path, runtime):
    pytest.importorskip({"reference": "onnx"}.get(runtime, runtime))
    torch.manual_seed(0)
    network, x = _Pools().eval(), noise(1, (3, 16, 16))
    get_runtime("onnxruntime").export(network, InputContract(Size(16, 16)), tmp_path / "m.onnx")
    found = get_runtime(runtime).load(tmp_path / "m.onnx", threads=1).run(x)[0]
    assert np.abs(found - scores(network, x).numpy()).max() < 1e-5


@pytest.mark.slow
def test_and_for_litert(tmp_path):
    pytest.importorskip("litert_torch")
    torch.manual_seed(0)
    network, x = _Pools().eval(), noise(1, (3, 16, 16))
    get_runtime("litert").export(network, InputContract(Size(16, 16)), tmp_path / "m.tflite")
    found = get_runtime("litert").load(tmp_path / "m.tflite", threads=1).run(x)[0]
    assert np.abs(found - scores(network, x).numpy()).max() < 1e-5
