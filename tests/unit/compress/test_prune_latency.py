"""The search for a latency, on a clock that is made up, so that what it finds can be checked."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.compress.prune import latency
from gossamer.compress.prune.latency import LatencyTry, plan_latency
from gossamer.compress.prune.prunable import Prunable
from gossamer.cost.meter import measure
from gossamer.errors import GossamerError, ModelError
from gossamer.zoo.build import build

SHAPE = (1, 3, 64, 64)
WHOLE_MS = 8.0


class _Clock:
    """A tenth of the latency is fixed, the rest falls as the root of the macs."""

    times_layers = True

    def __init__(self, network, shape, on, threads, seconds):
        self.network, self.shape, self.whole_ms = network, shape, WHOLE_MS
        self.whole_macs = measure(network, shape).macs

    def open(self, folder):
        assert folder.is_dir()

    def layer_ms(self):
        if not self.times_layers:
            return {"of another name": 1.0}
        return {
            layer.name: layer.macs**0.5 for layer in measure(self.network, self.shape).layers if layer.macs
        }

    def time(self, network, macs_share, told, *, longer=1.0):
        share = measure(network, self.shape).macs / self.whole_macs
        assert share == pytest.approx(macs_share)
        taken = 0.1 + 0.9 * share**0.5
        return LatencyTry(macs_share, told, taken, taken * WHOLE_MS)


@pytest.fixture
def network():
    return build("mobilenet_v2_0.5", num_classes=10).eval()


@pytest.fixture(params=[True, False], ids=["times", "macs"], autouse=True)
def _clock(request, monkeypatch):
    monkeypatch.setattr(latency, "_Timer", type("_Clock", (_Clock,), {"times_layers": request.param}))


@pytest.mark.parametrize(("target", "share"), [(0.7, 0.7), (0.5, 0.5), (6.0, 0.75)])
def test_the_target_is_met_and_nearly_used_up(network, target, share):
    seen = []
    kept, found, tries = plan_latency(network, Prunable(network, SHAPE), SHAPE, target, tick=seen.append)
    assert 0.97 * share <= found.latency_share <= share
    assert not kept.all()
    assert (len(seen), found in seen) == (tries, True)


def test_everything_stays_where_that_is_fast_enough(network):
    kept, _, tries = plan_latency(network, Prunable(network, SHAPE), SHAPE, 1.0)
    assert np.all(kept)
    assert tries == 1


def test_targets_that_cannot_be(network):
    prunable = Prunable(network, SHAPE, floor=0.5)
    with pytest.raises(
        ModelError, match=r"^0.15 of the latency cannot be reached: 0\.\d\d \(\d\.\d\d ms\) is left at"
    ):
        plan_latency(network, prunable, SHAPE, 0.15)
    with pytest.raises(GossamerError, match=r"^a latency target is a share above 0 .* got -1"):
        plan_latency(network, prunable, SHAPE, -1.0)


@pytest.mark.parametrize("target", [0.7, 0.7 * WHOLE_MS], ids=["share", "milliseconds"])
def test_half_the_ambition_goes_half_the_way(network, target):
    _, found, _ = plan_latency(network, Prunable(network, SHAPE), SHAPE, target, ambition=0.5)
    assert 0.97 * 0.85 <= found.latency_share <= 0.85
