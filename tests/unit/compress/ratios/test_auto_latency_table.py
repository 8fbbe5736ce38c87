"""The table's sums, with a clock that tells macs."""

from __future__ import annotations

import pytest

from gossamer.compress.ratios.environment import Environment
from gossamer.compress.ratios.latency_table import LayerTable
from gossamer.testing.networks import enliven
from gossamer.timing.table.block_times import Timing
from gossamer.zoo.build import build


def _macs_as_time(jobs, _platform):
    return [Timing(1e-6 * job.unit.macs, 0.0, 1) for job in jobs]


@pytest.mark.parametrize("name", ["mobilenet_v2_0.5", "resnet20_cifar"])
def test_where_time_is_macs_the_table_tells_macs(name):
    network = enliven(build(name), (3, 32, 32))
    environment = Environment(network, (1, 3, 32, 32), metric=lambda _: 0.0, repair="none")
    timed = []

    def timer(jobs, platform):
        timed.extend(jobs)
        return _macs_as_time(jobs, platform)

    table = LayerTable(environment, timer=timer)
    for counts in (environment.whole, environment.uniform(), environment.least):
        assert 1e6 * table.milliseconds(counts) == pytest.approx(environment.macs(counts), rel=0.03)
    assert len(timed) < 16 * len(environment.prunable.channels.products)


def test_a_layer_is_timed_on_the_runtime(make):
    environment = make()
    table = LayerTable(environment)
    assert 0 < table.milliseconds(environment.least) <= table.milliseconds(environment.whole)
