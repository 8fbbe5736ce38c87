"""Exported networks of the zoo give torch's scores, on a file of each runtime, within 1e-4 of the largest."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.testing.networks import enliven, noise, scores
from gossamer.types import Size
from gossamer.zoo.build import build

CASES = [
    *(("openvino", name) for name in ("mobilenet_v3_small", "shufflenet_v2_0.5", "ghostnet_0.5")),
    ("litert", "squeezenet_1.1"),
    pytest.param("litert", "mobilenet_v3_small", marks=pytest.mark.slow),
]
SIDE = 64


@pytest.mark.parametrize(("on", "name"), CASES)
def test_scores_are_torchs(tmp_path, on, name):
    runtime = get_runtime(on)
    network = enliven(build(name, num_classes=10, seed=0), (3, SIDE, SIDE))
    path = tmp_path / f"m{runtime.suffix}"
    runtime.export(network, InputContract(Size(SIDE, SIDE)), path)
    session = runtime.load(path, threads=1)
    inputs = noise(4, (3, SIDE, SIDE), seed=7)
    ours = np.concatenate([session.run(inputs[i : i + 1])[0] for i in range(len(inputs))])
    theirs = scores(network, inputs).numpy()
    assert np.ptp(theirs) > 0.1, "a network whose scores are all alike proves nothing"
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()
