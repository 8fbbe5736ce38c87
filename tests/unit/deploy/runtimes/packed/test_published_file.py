"""Deep Compression's SqueezeNet packed anew: equal to the last bit, and smaller than the figures to beat."""

from __future__ import annotations

import time

import numpy as np
import pytest

from gossamer.deploy.runtimes.packed.settings import PackPlan, TensorPlan
from gossamer.deploy.runtimes.packed.tensors import pack, parse
from gossamer.zoo.checkpoints import read_checkpoint

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def published(shared):
    file = shared / "weights/squeezenet-v1.0-deep-compression/compressed_SqueezeNet.net"
    if not file.is_file():
        pytest.skip(f"no {file}")
    return {name: tensor.numpy() for name, tensor in read_checkpoint(file).items()}


@pytest.mark.parametrize(("coder", "most"), [("huffman", 545_000), ("rans", 539_000)])
def test_without_loss(published, coder, most):
    data = pack(published, PackPlan(coder=coder))
    assert len(data) <= most
    start = time.process_time()
    packed = parse(data)
    assert time.process_time() - start < 1.0
    for name, tensor in published.items():
        assert packed.tensors[name].tobytes() == tensor.tobytes(), name


def test_uniform_steps_reach_the_ideal_of_the_facts(published):
    """Steps of 0.125 standard deviations: 375,717 ideal bytes with a bitmask and fp16 biases (facts, section 2.5)."""
    plans = {
        name: TensorPlan("step", {"step": 0.125 * float(tensor[tensor != 0].std())})
        if tensor.ndim == 4
        else TensorPlan("raw", {"dtype": "float16"})
        for name, tensor in published.items()
    }
    data = pack(published, PackPlan(plans))
    assert len(data) <= 380_000
    found = parse(data).tensors
    for name, tensor in published.items():
        if tensor.ndim == 4:
            assert np.abs(found[name] - tensor).max() <= 0.0626 * tensor[tensor != 0].std()
