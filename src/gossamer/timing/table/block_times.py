"""Times the blocks that a table lacks, in interleaved rounds, and writes them to it. No torch here."""

from __future__ import annotations

import datetime
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gossamer._machine import load_per_core
from gossamer.errors import DataError, ModelError
from gossamer.timing.table.latency_table import LatencyTable, Platform, Row
from gossamer.types import Precision

if TYPE_CHECKING:
    from gossamer.timing.table.blocks_of import Unit

__all__ = ["PRECISIONS", "Job", "Timer", "Timing", "measure_units", "time_jobs", "timing_of"]

PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
"""What blocks are timed in. Keys are of the fp32 graph: an int8 file's zero points differ with the weights."""
_BATCH = 48
_ROUNDS = 12
_ROUND_SECONDS = 0.003
_MIN_RUNS = 3
_MAX_SPREAD = 0.1
_WARM_RUNS = 3
_RANGE_INPUTS = 2


class Job(NamedTuple):
    """A file to be timed."""

    unit: Unit
    file: Path


@dataclass(frozen=True)
class Timing:
    """`latency_ms` is the mean of the fastest half of the runs, `spread` how far even and odd rounds differ in it."""

    latency_ms: float
    spread: float
    runs: int


Timer = Callable[[Sequence[Job], Platform], Sequence[Timing]]
"""Times the jobs side by side on a platform; one timing a job, in their order."""


def _timed(units: Sequence[Unit], platform: Platform, timer: Timer) -> Sequence[Timing]:
    """Files of some units, written and timed side by side."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = [Job(unit, _written(unit, Path(folder), platform.precision)) for unit in units]
        return timer(jobs, platform)


def measure_units(
    units: Iterable[Unit],
    table: LatencyTable,
    platform: Platform,
    *,
    timer: Timer | None = None,
    provenance: str = "gossamer",
) -> int:
    """Time those units that the table lacks for the platform, each graph once; how many were timed.

    In int8 those are quantized first. Files are timed in batches, interleaved; every row is committed by itself, so an interruption loses one batch.

    Raises:
        ModelError: the platform is of fp16, or a block cannot be quantized.
        DataError: blocks are missing and the platform is not this machine.
    """
    if platform.precision not in PRECISIONS:
        raise ModelError(
            f"blocks are timed in {' or '.join(PRECISIONS)}, got {platform.precision}; measure the whole file instead"
        )
    known = {row.key for row in table.rows(platform)}
    first: dict[str, Unit] = {}
    forms: dict[str, str] = {}
    for unit in units:
        first.setdefault(unit.key, unit)
        forms[unit.form] = unit.key
    missing = [unit for key, unit in first.items() if key not in known]
    if missing and timer is None:
        _check_here(platform)
    for start in range(0, len(missing), _BATCH):
        batch = missing[start : start + _BATCH]
        for unit, timing in zip(batch, _timed(batch, platform, timer or time_jobs), strict=True):
            table.put(_row(unit, timing, platform, provenance))
    new = {form: key for form, key in forms.items() if form and table.forms().get(form) != key}
    if new:
        table.put_forms(new)
    return len(missing)


def _written(unit: Unit, folder: Path, precision: Precision) -> Path:
    """The file of a piece; int8 is made of it as of a whole network, with random inputs to set the ranges."""
    file = folder / unit.key / "fp32.onnx"
    file.parent.mkdir()
    file.write_bytes(unit.model)
    if precision == "fp32":
        return file
    from gossamer.deploy.runtimes.convert import convert

    random = np.random.default_rng(0)
    return convert(
        file,
        precision,
        [random.standard_normal(unit.shape, dtype=np.float32) for _ in range(_RANGE_INPUTS)],
    )


def _check_here(platform: Platform) -> None:
    here = Platform.here(runtime=platform.runtime, threads=platform.threads, precision=platform.precision)
    if here != platform:
        raise DataError(
            f"blocks of {platform} can be timed only there, this machine is {here}; "
            "fill the table there, or predict with measure_missing=False"
        )


def _row(unit: Unit, timing: Timing, platform: Platform, provenance: str) -> Row:
    return Row(
        platform=str(platform),
        key=unit.key,
        kind=unit.kind,
        latency_ms=timing.latency_ms,
        spread=timing.spread,
        runs=timing.runs,
        macs=unit.macs,
        bytes_moved=unit.bytes_moved,
        in_channels=unit.shape[1],
        out_channels=unit.out_channels,
        height=unit.shape[2],
        width=unit.shape[3],
        kernel=unit.kernel,
        stride=unit.stride,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        provenance=f"{provenance}, load {load_per_core():.2f} a core",
    )


def time_jobs(jobs: Sequence[Job], platform: Platform) -> list[Timing]:
    """Time files on the platform's runtime in interleaved rounds; those whose rounds disagree are timed once more.

    On one thread the clock is the processor time of that thread, which is wall time on a quiet machine: a long run
    cannot dodge being interrupted by other processes as a short one can, and their sum would not hold (7 ms in
    blocks, 14 ms whole, measured on a loaded machine). On several threads it is wall time.
    """
    timings = _time_once(jobs, platform)
    again = [i for i, timing in enumerate(timings) if timing.spread > _MAX_SPREAD]
    for i, timing in zip(again, _time_once([jobs[i] for i in again], platform), strict=True):
        if timing.spread < timings[i].spread:
            timings[i] = timing
    return timings


def _time_once(jobs: Sequence[Job], platform: Platform) -> list[Timing]:
    from gossamer.deploy.runtimes import get_runtime

    runtime = get_runtime(platform.runtime)
    random = np.random.default_rng(0)
    seconds: list[list[list[float]]] = [[[], []] for _ in jobs]
    runs = [
        (
            runtime.load(file, threads=platform.threads).run,
            random.standard_normal(unit.shape, dtype=np.float32),
        )
        for unit, file in jobs
    ]
    counts = [_runs_a_round(run, value) for run, value in runs]
    clock = time.thread_time if platform.threads == 1 else time.perf_counter
    for number in range(_ROUNDS):
        for (run, value), count, heard in zip(runs, counts, seconds, strict=True):
            for _ in range(count):
                start = clock()
                run(value)
                heard[number % 2].append(clock() - start)
    return [timing_of(even, odd) for even, odd in seconds]


def _runs_a_round(run: Callable[[Any], object], value: Any) -> int:
    """Warm up, and choose how often to run in a round."""
    last = 1e-6
    for _ in range(_WARM_RUNS):
        start = time.perf_counter()
        run(value)
        last = max(time.perf_counter() - start, 1e-6)
    return max(_MIN_RUNS, math.ceil(_ROUND_SECONDS / last))


def timing_of(even: Sequence[float], odd: Sequence[float]) -> Timing:
    """The figure from the seconds of single runs in even and in odd rounds."""
    figure = _fast_mean([*even, *odd])
    spread = abs(_fast_mean(even) - _fast_mean(odd)) / figure
    return Timing(1e3 * figure, spread, len(even) + len(odd))


def _fast_mean(seconds: Sequence[float]) -> float:
    fastest = sorted(seconds)[: max(1, (len(seconds) + 1) // 2)]
    return sum(fastest) / len(fastest)
