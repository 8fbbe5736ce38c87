"""Is a layer slower than its factors? Both are exported alone and timed in turns, as blocks are."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from torch import nn

from gossamer.timing.table.block_times import Job, Timer, time_jobs
from gossamer.timing.table.blocks_of import whole
from gossamer.timing.table.latency_table import Platform

__all__ = ["LayerTimer", "runtime_timer"]

LayerTimer = Callable[[nn.Module, nn.Module, tuple[int, ...]], tuple[float, float]]
"""(layer, its factors, shape of the input) -> milliseconds of both."""


def runtime_timer(runtime: str = "onnxruntime", *, threads: int = 1, timer: Timer = time_jobs) -> LayerTimer:
    """Times a layer and its factors on a runtime of this machine, fp32, for one picture at a time.

    Alone each pays for its call and for changing the layout of its maps, the same for both. Equal shapes are timed once.
    """
    platform = Platform.here(runtime=runtime, threads=threads)
    known: dict[str, tuple[float, float]] = {}

    def time(dense: nn.Module, factors: nn.Module, shape: tuple[int, ...]) -> tuple[float, float]:
        key = f"{dense} {factors} {shape}"
        if key not in known:
            known[key] = _timed(dense, factors, shape, platform, timer)
        return known[key]

    return time


def _timed(
    dense: nn.Module, factors: nn.Module, shape: tuple[int, ...], platform: Platform, timer: Timer
) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for name, layer in (("dense", dense), ("factors", factors)):
            piece, input_shape = _alone(layer, shape)
            file = Path(folder, f"{name}.onnx")
            unit = whole(piece, input_shape, name)
            file.write_bytes(unit.model)
            jobs.append(Job(unit, file))
        first, second = timer(jobs, platform)
    return first.latency_ms, second.latency_ms


def _alone(layer: nn.Module, shape: tuple[int, ...]) -> tuple[nn.Module, tuple[int, ...]]:
    """A network of that layer for one input of four axes; vectors (..., C) are laid out as (1, 1, positions, C)."""
    first = layer[0] if isinstance(layer, nn.Sequential) else layer
    if isinstance(first, nn.Conv2d):
        return nn.Sequential(layer).eval(), (1, *shape[-3:])
    if len(shape) <= 2:
        return nn.Sequential(nn.Flatten(1), layer).eval(), (1, 1, 1, shape[-1])
    positions = 1
    for side in shape[1:-1]:
        positions *= side
    return nn.Sequential(layer).eval(), (1, 1, positions, shape[-1])
