"""A network as the pieces that are timed one by one: stem, every block of every stage, head.

The network is fused first, as export does; every piece is exported alone, and once more together with the next, so
that what a runtime does across their border (operators merged, layouts not changed back and forth) is known too.
"""

from __future__ import annotations

import copy
import datetime
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gossamer._machine import load_per_core
from gossamer.cost.latency_table import LatencyTable, Platform, Row, block_key
from gossamer.cost.meter import measure
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.errors import DataError, ModelError
from gossamer.nn.fuse import fuse
from gossamer.nn.network import Network
from gossamer.types import Size

__all__ = [
    "Cut",
    "Job",
    "Timer",
    "Timing",
    "Unit",
    "measure_units",
    "time_jobs",
    "timing_of",
    "units_of",
    "whole",
]

_BATCH = 48
_ROUNDS = 12
_ROUND_SECONDS = 0.003
_MIN_RUNS = 3
_MAX_SPREAD = 0.1
_WARM_RUNS = 3


@dataclass(frozen=True)
class Unit:
    """A piece of a network, exported: the graph with its key, and what the table says beside a time."""

    name: str
    """`stem`, `stages.I.J` or `head`; the network's own name where it is whole."""
    kind: str
    key: str
    model: bytes
    """The ONNX file."""
    shape: tuple[int, ...]
    """Of the input: (1, C, H, W)."""
    macs: int
    bytes_moved: int
    out_channels: int
    kernel: int
    stride: int


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


class Cut(NamedTuple):
    """The pieces of a network in the order they run, and each piece exported together with the next (kind `pair`)."""

    units: list[Unit]
    pairs: list[Unit]


def units_of(network: nn.Module, shape: Sequence[int]) -> list[Unit]:
    """The pieces of a network, without the pairs; see `cut`."""
    return cut(network, shape, pairs=False).units


def cut(network: nn.Module, shape: Sequence[int], *, pairs: bool = True) -> Cut:
    """A network of the zoo in pieces for an input (1, bands, H, W); without `pairs` the list of pairs is empty.

    Raises:
        ModelError: the network is not the zoo's, does not run at the shape, cannot be exported, or its blocks take
            more than the map before them (ESPNetv2 looks at the picture again): measure such a network whole.
    """
    if not isinstance(network, Network):
        raise ModelError(
            f"only networks of the zoo fall into blocks, got {type(network).__name__}; measure it whole"
        )
    if type(network).run_stage is not Network.run_stage:
        raise ModelError(
            f"blocks of {type(network).__name__} take the input picture beside the map before them; measure it whole"
        )
    fused = fuse(network)
    assert isinstance(fused, Network)
    pieces = dict(_pieces(fused))
    shapes = _shapes(fused, shape, pieces)
    done: dict[str, Unit] = {}

    def export(name: str, piece: nn.Module, first: str, last: str, kind: str | None = None) -> Unit:
        sort = f"{shapes[first]} {_structure(piece)}"
        if sort not in done:
            done[sort] = _export(name, piece, shapes[first][0], shapes[last][1], kind)
        return replace(done[sort], name=name)

    units = [export(name, piece, name, name) for name, piece in pieces.items()]
    if not pairs:
        return Cut(units, [])
    both: list[Unit] = []
    for (one, first), (two, second) in pairwise(pieces.items()):
        both.append(export(f"{one} + {two}", nn.Sequential(first, second).eval(), one, two, "pair"))
    return Cut(units, both)


def whole(network: nn.Module, shape: Sequence[int], name: str) -> Unit:
    """The whole network as one piece with the kind `network`.

    Raises:
        ModelError: it does not run at the shape or cannot be exported.
    """
    twin = copy.deepcopy(network).eval().to("meta")
    out = _run(twin, shape)
    return _export(name, network, tuple(shape), tuple(out.shape), kind="network")


def _run(twin: nn.Module, shape: Sequence[int]) -> Tensor:
    """The output of a network on the meta device."""
    try:
        with torch.no_grad():
            out: Tensor = twin(torch.empty(tuple(shape), device="meta"))
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(
            f"{type(twin).__name__} does not run on an input of shape {tuple(shape)}: {error}; give another shape"
        ) from error
    return out


def _pieces(network: Network) -> Iterator[tuple[str, nn.Module]]:
    yield "stem", network.stem
    for index, stage in enumerate(network.stages):
        for name, block in stage.named_children():
            yield f"stages.{index}.{name}", block
    yield "head", network.head


def _shapes(
    network: Network, shape: Sequence[int], pieces: Iterable[str]
) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Name -> (input shape, output shape), by a run on the meta device."""
    twin = copy.deepcopy(network).to("meta")
    found: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_: nn.Module, arguments: Any, output: Any) -> None:
            if len(arguments) != 1 or not isinstance(arguments[0], Tensor) or not isinstance(output, Tensor):
                raise ModelError(f"{name} must turn one map into one map to be timed alone; measure it whole")
            found[name] = tuple(arguments[0].shape), tuple(output.shape)

        return hook

    handles = [twin.get_submodule(name).register_forward_hook(note(name)) for name in pieces]
    try:
        _run(twin, shape)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _structure(piece: nn.Module) -> str:
    """Everything about a piece but the values of its weights: equal texts give equal graphs, so one export will do."""
    own = {"training", "_forward_hooks", "_modules", "_parameters", "_buffers"}
    parts: list[str] = []
    for name, module in piece.named_modules():
        settings = {k: v for k, v in vars(module).items() if k not in own}
        sizes = [(k, tuple(t.shape)) for k, t in [*module.named_parameters(), *module.named_buffers()]]
        parts.append(f"{name} {type(module)} {settings} {sizes}")
    return "\n".join(parts)


def _export(
    name: str, piece: nn.Module, shape: tuple[int, ...], out: tuple[int, ...], kind: str | None = None
) -> Unit:
    """A piece with its graph; weights of the meta device become small random ones."""
    if any(tensor.is_meta for tensor in [*piece.parameters(), *piece.buffers()]):
        piece = _with_values(piece)
    bands = shape[1]
    contract = InputContract(
        Size(shape[2], shape[3]), ("map",) * bands, mean=(0.0,) * bands, std=(1.0,) * bands
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "unit.onnx")
        get_runtime("onnxruntime").export(piece, contract, file)
        model = file.read_bytes()
    cost = measure(piece, shape)
    kernels = [max(m.kernel_size) for m in piece.modules() if isinstance(m, nn.Conv2d)]
    moved = cost.activation_bytes_read + cost.activation_bytes_written + cost.param_bytes
    stride = max(1, round(shape[2] / out[2])) if len(out) == 4 else shape[2]
    return Unit(
        name=name,
        kind=kind or type(piece).__name__,
        key=block_key(model),
        model=model,
        shape=shape,
        macs=cost.macs,
        bytes_moved=moved,
        out_channels=out[1],
        kernel=max((int(k) for k in kernels), default=1),
        stride=stride,
    )


def _with_values(piece: nn.Module) -> nn.Module:
    filled = copy.deepcopy(piece).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in [*filled.parameters(), *filled.buffers()]:
            if tensor.is_floating_point():
                tensor.normal_(0, 0.05, generator=generator).abs_()
            else:
                tensor.zero_()
    return filled


def measure_units(
    units: Iterable[Unit],
    table: LatencyTable,
    platform: Platform,
    *,
    timer: Timer | None = None,
    provenance: str = "gossamer",
) -> int:
    """Time those units that the table lacks for the platform, each graph once; how many were timed.

    Files are timed in batches, interleaved; every row is committed by itself, so an interruption loses one batch.

    Raises:
        ModelError: the platform has another precision than fp32.
        DataError: blocks are missing and the platform is not this machine.
    """
    if platform.precision != "fp32":
        raise ModelError(
            f"blocks are timed in fp32, got {platform.precision}; measure the whole file instead"
        )
    known = {row.key for row in table.rows(platform)}
    first: dict[str, Unit] = {}
    for unit in units:
        first.setdefault(unit.key, unit)
    missing = [unit for key, unit in first.items() if key not in known]
    if missing and timer is None:
        _check_here(platform)
    timer = timer or time_jobs
    for start in range(0, len(missing), _BATCH):
        batch = missing[start : start + _BATCH]
        with tempfile.TemporaryDirectory() as folder:
            jobs = [Job(unit, Path(folder, f"{unit.key}.onnx")) for unit in batch]
            for unit, file in jobs:
                file.write_bytes(unit.model)
            timings = timer(jobs, platform)
        for unit, timing in zip(batch, timings, strict=True):
            table.put(_row(unit, timing, platform, provenance))
    return len(missing)


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
    import numpy as np

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
