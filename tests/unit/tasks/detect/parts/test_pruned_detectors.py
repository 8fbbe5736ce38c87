"""What prunes networks prunes detectors: fewer macs, the same form, and they can be trained on."""

from __future__ import annotations

import pytest
import torch

from gossamer import prune
from gossamer.cost.meter import measure
from gossamer.tasks.detect.parts.criterion import losses_of
from gossamer.zoo.build import build

TARGETS = torch.tensor([[[1.0, 10, 20, 70, 80, 3600, 0]], [[2.0, 10, 20, 70, 80, 3600, 0]]])
SHAPE = (1, 3, 96, 96)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("fastestdet", {"one_to_one": True}),
        pytest.param("yolo_fastest_1.1", {}, marks=pytest.mark.slow),
        pytest.param("nanodet_plus_m_320_nms_free", {}, marks=pytest.mark.slow),
        pytest.param("nanodet_plus_m_320", {"guidance": True}, marks=pytest.mark.slow),
        pytest.param("thundernet_snet49", {}, marks=pytest.mark.slow),
    ],
)
def test_a_pruned_detector_is_one(name, arguments):
    network = build(name, num_classes=3, **arguments).eval()
    small = prune(network, torch.rand(SHAPE), macs=0.6)
    assert measure(small, SHAPE).macs < 0.65 * measure(network, SHAPE).macs
    assert getattr(small, "auxiliary", None) is None
    with torch.no_grad():
        assert small.eval()(torch.rand(SHAPE)).shape == network(torch.rand(SHAPE)).shape
        again = build(small.spec).eval()
        again.load_state_dict(small.state_dict())
        inputs = torch.rand(SHAPE)
        assert torch.equal(again(inputs), small(inputs))
    losses_of(small.train()(torch.rand(2, 3, 96, 96)), TARGETS).sum().backward()
    assert all(p.grad is not None for p in small.parameters()), "the levels move too"
