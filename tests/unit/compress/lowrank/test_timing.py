"""Layers and factors reach the runtime alone, and each shape once."""

from __future__ import annotations

import pytest
from torch import nn

from gossamer.compress.lowrank.timing import runtime_timer
from gossamer.nn.edits.factorise import make_factors
from gossamer.timing.table.block_times import Timing


@pytest.mark.parametrize(
    ("layer", "kind", "shape", "seen"),
    [
        (nn.Conv2d(4, 8, 3), "spatial-svd", (2, 4, 9, 7), (1, 4, 9, 7)),
        (nn.Linear(6, 8), "svd", (5, 6), (1, 1, 1, 6)),
        (nn.Linear(6, 8), "svd", (5, 3, 6), (1, 1, 3, 6)),
    ],
)
def test_what_is_timed(layer, kind, shape, seen):
    asked = []

    def timer(jobs, platform):
        asked.append([(unit.name, unit.shape, file.is_file()) for unit, file in jobs])
        return [Timing(float(unit.macs), 0.0, 3) for unit, _ in jobs]

    time = runtime_timer(timer=timer)
    row = make_factors(layer, kind, (2,))
    dense_ms, factors_ms = time(layer, row, shape)
    assert asked == [[("dense", seen, True), ("factors", seen, True)]]
    assert factors_ms < dense_ms
    assert time(layer, row, shape) == (dense_ms, factors_ms)
    assert len(asked) == 1


def test_a_real_runtime_times_both():
    layer = nn.Conv2d(64, 64, 3, padding=1)
    dense_ms, factors_ms = runtime_timer()(layer, make_factors(layer, "spatial-svd", (4,)), (1, 64, 28, 28))
    assert 0 < factors_ms < dense_ms
