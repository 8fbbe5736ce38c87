"""Stage 2: no training is spent on a network that cannot meet the budget.

Candidates are exported with random weights to the target runtime, their files weighed and timed there, and the
Pareto front of (latency, size, promise) kept.
"""

from __future__ import annotations

import functools
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel
from torch import nn

from gossamer.cost.meter import measure
from gossamer.data.bands import Bands
from gossamer.data.ranges import ValueRange
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.convert import convert
from gossamer.errors import GossamerError
from gossamer.fit.affordable import worth_within
from gossamer.fit.candidates import Candidate, candidates, static_excess
from gossamer.fit.config import FitConfig
from gossamer.fit.predicted import TooSlow
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.network import Network
from gossamer.report.document import Origin
from gossamer.runs.reporter import Reporter
from gossamer.runs.resolutions import resolutions_for
from gossamer.tasks import get_task
from gossamer.timing.latency import measure_latency
from gossamer.timing.memory import measure_memory
from gossamer.timing.table.latency_table import LatencyTable
from gossamer.types import Budget, Precision, format_quantity
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CLASSIFIERS

__all__ = ["Measured", "Refusal", "Shortlist", "make_shortlist"]

_HEADROOM = {"latency": 0.92, "size": 0.99, "memory": 0.95}
"""Share of a limit that a random-weight measurement may use, so that the final one keeps it."""
_METADATA_BYTES = 6_000
_TIME_SHARE = 0.12
_MAX_SECONDS = 120.0
_ENOUGH = 12
_AT_LEAST = 2
_SLOW_MINUTES = 40.0
"""Below them one network is trained where a few passes tell nothing."""
_MAX_PER_NETWORK = 3
_PROBES = 4
_RATE_MARGIN, _FAR_RATE_MARGIN = 4.0, 40.0
"""How much faster a network may be, a mac, than the best one timed: a near one, and one ten times larger."""
_MAX_GAP = 0.4
"""Candidates this far below the best promise are not trained beside it: they start from nothing where it does not."""


class FileFigures(BaseModel):
    """One precision of one candidate on the runtime."""

    precision: str
    size_bytes: int
    latency_ms: float
    memory_bytes: int | None = None


class Measured(BaseModel):
    """A candidate whose files were weighed and timed with random weights."""

    candidate: Candidate
    files: list[FileFigures]
    fits: list[str]
    """Precisions that keep every limit."""
    note: str = ""
    seconds: float = 0.0
    """That measuring took."""


class Refusal(BaseModel):
    """A candidate that was never exported, and why."""

    candidate: Candidate
    reason: str
    origin: Origin | None = None
    """Of the figures in the reason; None where it is no figure that refuses."""


class Shortlist(BaseModel):
    """What is worth training, most promising first, and everything that was looked at."""

    chosen: list[Candidate]
    measured: list[Measured]
    refused: list[Refusal]
    seconds: float
    verdict: str = ""
    """Why nothing fits; empty where something does."""


def make_shortlist(
    config: FitConfig,
    *,
    short_side: int,
    width: int,
    pictures: int,
    reporter: Reporter,
    bands: Bands | None = None,
    value_range: ValueRange | None = None,
    fitting: Sequence[dict[str, Any]] = (),
    table: LatencyTable | None = None,
    task: str = "classify",
) -> Shortlist:
    """Measure candidates, networks that give `width` numbers, in the order of their promise until enough fit, or two do and the stage's time is used.

    The cheapest are measured first until one fits: where none of four does, none will, and the verdict comes at once. What a
    calibrated `table` of blocks (the user's own by default) tells to be too slow is not measured. `fitting` are the task's edits of the last layer.
    """
    start = time.monotonic()
    slow_task = get_task(task).slow
    predicted = _predictions(config, table, reporter)
    budget = config.budget
    pool = candidates(
        short_side=short_side,
        width=width,
        pictures=pictures,
        online=config.online,
        families=config.chosen_families,
        sizes=config.chosen_sizes,
        task=task,
    )
    pool = [candidate.with_bands(bands).with_range(value_range).fitted(fitting) for candidate in pool]
    refused, worth = _static(pool, budget)
    reporter.line(
        f"{len(pool)} candidates, {len(worth)} within the limits that need no measuring; {_at_hand(pool, config)}"
    )
    limit_seconds = min(_MAX_SECONDS, 60 * config.minutes * _TIME_SHARE)
    measured: list[Measured] = []
    with (
        reporter.bar("measuring", limit_seconds) as bar,
        tempfile.TemporaryDirectory(prefix="gossamer-shortlist-") as folder,
    ):
        cheapest = sorted(worth, key=lambda c: (c.macs, c.params))[:_PROBES]
        for candidate in cheapest:
            bar.update(time.monotonic() - start, text=candidate.key)
            measured.append(measure_candidate(candidate, config, width, Path(folder)))
            if measured[-1].fits:
                break
        tried = {m.candidate.key for m in measured}
        worth = [c for c in worth if c.key not in tried] if any(m.fits for m in measured) else []
        while worth:
            late = time.monotonic() - start > limit_seconds
            enough = sum(bool(m.fits) for m in measured if m.candidate.key not in tried)
            if enough >= _ENOUGH or (late and enough >= _AT_LEAST):
                refused += [
                    Refusal(candidate=c, reason="not measured: enough better ones fit") for c in worth
                ]
                break
            candidate = _next(worth, measured, pictures, config.minutes, slow=slow_task)
            worth.remove(candidate)
            bar.update(min(limit_seconds, time.monotonic() - start), text=candidate.key)
            over = _too_slow_already(candidate, measured, budget)
            if over is not None:
                refused.append(Refusal(candidate=candidate, reason=over, origin="measured"))
                continue
            slow = predicted.reason(candidate, width) if predicted is not None else None
            if slow is not None:
                refused.append(Refusal(candidate=candidate, reason=slow, origin="predicted"))
                continue
            measured.append(measure_candidate(candidate, config, width, Path(folder)))
    chosen = _pick(
        [m for m in measured if m.fits],
        1 if slow_task and config.minutes < _SLOW_MINUTES else _wanted(config.minutes),
        lambda m: worth_within(m.candidate, _exact_latency(m), pictures, config.minutes, slow=slow_task),
    )
    sizes = config.chosen_sizes or resolutions_for(short_side)
    verdict = "" if chosen else _verdict(budget, pool, measured, sizes)
    return Shortlist(
        chosen=chosen, measured=measured, refused=refused, seconds=time.monotonic() - start, verdict=verdict
    )


def _predictions(config: FitConfig, table: LatencyTable | None, reporter: Reporter) -> TooSlow | None:
    """What judges by prediction; a table that cannot be used is said so and does without."""
    try:
        return TooSlow(config, table or LatencyTable())
    except GossamerError as error:
        reporter.line(f"nothing is predicted: {error}")
        return None


def _at_hand(pool: Sequence[Candidate], config: FitConfig) -> str:
    """Of how many families there are trained weights here, beside which networks from nothing are seldom worth training."""
    family = {name: entry.family for name, entry in CLASSIFIERS.items()}
    families = {family[c.base] for c in pool if c.base in family}
    having = {family[c.base] for c in pool if c.base in family and c.weights}
    published = {entry.family for entry in CLASSIFIERS.values() if entry.weights} & families
    more = len(published - having)
    hint = f"; --online fetches those of {more} more" if more and not config.online else ""
    return f"weights at hand for {len(having)} of {len(families)} families{hint}"


def _static(pool: Sequence[Candidate], budget: Budget) -> tuple[list[Refusal], list[Candidate]]:
    refused: list[Refusal] = []
    worth: list[Candidate] = []
    for candidate in pool:
        excess = static_excess(candidate, budget)
        if excess:
            reason = ", ".join(f"{metric} {ratio:.2f} times the limit" for metric, ratio in excess.items())
            refused.append(Refusal(candidate=candidate, reason=reason, origin="counted"))
        else:
            worth.append(candidate)
    return refused, worth


def _too_slow_already(candidate: Candidate, measured: Sequence[Measured], budget: Budget) -> str | None:
    """A reason not to measure: the same network is too slow or too large at a smaller input already."""
    for other in measured:
        if (
            other.candidate.name == candidate.name
            and other.candidate.size <= candidate.size
            and not other.fits
        ):
            return f"over budget at {other.candidate.size} pixels already"
    limit = budget.limit("latency")
    if limit is not None and (rate := _best_rate(candidate, measured)) is not None:
        ratio, seen = rate
        if candidate.macs / ratio > limit.value:
            return f"{candidate.macs / 1e6:.0f} M macs are too many here, where the best is {seen}"
    return None


def _best_rate(candidate: Candidate, measured: Sequence[Measured]) -> tuple[float, str] | None:
    """macs a millisecond that a candidate cannot beat, with what was seen: the best file so far, with a margin.

    The margin is wide while only far smaller networks were timed, which fill the processor less.
    """
    files = [(item.candidate.macs, file.latency_ms) for item in measured for file in item.files]
    if not files:
        return None
    best = max(macs / milliseconds for macs, milliseconds in files)
    near = any(macs >= candidate.macs / 10 for macs, _ in files)
    return best * (_RATE_MARGIN if near else _FAR_RATE_MARGIN), f"{best / 1e6:.0f} G macs a second"


def measure_candidate(candidate: Candidate, config: FitConfig, width: int, folder: Path) -> Measured:
    """Export the network untrained to the folder, in fp32 and, where the runtime has it, int8; time the files, and hold
    them against the budget.
    """
    began = time.monotonic()
    runtime = get_runtime(config.on)
    folder.mkdir(parents=True, exist_ok=True)
    contract = candidate.input_contract()
    network = build(candidate.spec(width), seed=config.seed).eval()
    generator = np.random.default_rng(config.seed)
    noise = [generator.standard_normal(contract.shape, np.float32) for _ in range(2)]
    try:
        source = folder / f"fp32{runtime.suffix}"
        runtime.export(network, contract, source)
        files = {"fp32": source}
        lossy: Precision = "int8" if config.precision == "auto" else config.precision
        if lossy != "fp32" and lossy in runtime.precisions:
            files[lossy] = convert(source, lossy, noise, on=config.on)
        if "in_channels" in candidate.arguments:  # counted with three bands so far
            params = candidate.params + _stem_growth(network, len(contract.bands))
            candidate = candidate.model_copy(
                update={"params": params, "macs": measure(fuse(network), contract.shape).macs}
            )
    except GossamerError as error:
        return Measured(
            candidate=candidate, files=[], fits=[], note=str(error), seconds=time.monotonic() - began
        )
    sessions = {p: runtime.load(path, threads=config.threads) for p, path in files.items()}
    runs: dict[str, Callable[[], object]] = {
        p: functools.partial(session.run, noise[0]) for p, session in sessions.items()
    }
    latencies = measure_latency(runs, seconds=0.2, rounds=5, threads=config.threads)
    figures = [
        FileFigures(
            precision=p, size_bytes=path.stat().st_size + _METADATA_BYTES, latency_ms=latencies[p].p50_ms
        )
        for p, path in files.items()
    ]
    if config.budget.limit("memory") is not None:
        for figure, path in zip(figures, files.values(), strict=True):
            peak = measure_memory(path, runtime=config.on, threads=config.threads, shape=contract.shape)
            figure.memory_bytes = peak.process_bytes
    fits = [
        f.precision
        for f in figures
        if config.ships(f.precision) and all(r <= 1 for r in _ratios(f, candidate, config.budget).values())
    ]
    return Measured(candidate=candidate, files=figures, fits=fits, seconds=time.monotonic() - began)


def _stem_growth(network: nn.Module, bands: int) -> int:
    """Weights that other bands than three add to what ships: of branches that are merged the largest."""
    assert isinstance(network, Network)
    kernels = [network.get_submodule(name).weight for name in network.image_layers()]
    largest = max(kernel.numel() for kernel in kernels)  # type: ignore[operator]
    return largest // bands * (bands - 3)


def _ratios(file: FileFigures, candidate: Candidate, budget: Budget) -> dict[str, float]:
    """What a file uses of each at-most limit, headroom counted in."""
    values = {
        "latency": file.latency_ms,
        "size": float(file.size_bytes),
        "memory": float(file.memory_bytes or 0),
        "params": float(candidate.params),
        "macs": float(candidate.macs),
    }
    return {
        limit.metric: values[limit.metric] / (limit.value * _HEADROOM.get(limit.metric, 1.0))
        for limit in budget.limits
        if limit.metric in values
    }


def _wanted(minutes: float) -> int:
    """How many networks the time allows to train side by side."""
    return 4 if minutes >= 40 else 3 if minutes >= 12 else 2 if minutes >= 2 else 1


def _rate(measured: Sequence[Measured]) -> float:
    """macs a millisecond of the best fp32 file so far; infinite where there is none."""
    return max((m.candidate.macs / _exact_latency(m) for m in measured if m.files), default=math.inf)


def _next(
    worth: Sequence[Candidate], measured: Sequence[Measured], pictures: int, minutes: float, *, slow: bool
) -> Candidate:
    """What is worth most within the minutes, as far as the files measured so far tell how fast this machine is."""
    rate = _rate(measured)
    return max(worth, key=lambda c: (worth_within(c, c.macs / rate, pictures, minutes, slow=slow), c.promise))


def _exact_latency(measured: Measured) -> float:
    """Of the fp32 file, in ms: what training in fp32 goes by."""
    return next(file.latency_ms for file in measured.files if file.precision == "fp32")


def _pick(fitting: Sequence[Measured], count: int, worth: Callable[[Measured], float]) -> list[Candidate]:
    """Those of the Pareto front that are worth most within the minutes, at most three sizes of one network."""
    best = max((m.candidate.promise for m in fitting), default=0.0)
    near = [m for m in fitting if m.candidate.promise >= best - _MAX_GAP]
    front = [m for m in near if not any(_dominates(other, m) for other in near)]
    chosen: list[Candidate] = []
    for item in sorted(front, key=lambda m: (-worth(m), m.candidate.key)):
        same = [c for c in chosen if c.name == item.candidate.name]
        if len(chosen) < count and len(same) < _MAX_PER_NETWORK:
            chosen.append(item.candidate)
    return chosen


def _dominates(a: Measured, b: Measured) -> bool:
    ours, theirs = _best(a), _best(b)
    pairs = [(ours[0], theirs[0]), (ours[1], theirs[1]), (-a.candidate.promise, -b.candidate.promise)]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


def _best(measured: Measured) -> tuple[float, float]:
    """Latency and size of the fastest fitting file."""
    files = [f for f in measured.files if f.precision in measured.fits]
    fastest = min(files, key=lambda f: f.latency_ms)
    return fastest.latency_ms, fastest.size_bytes


def _verdict(
    budget: Budget, pool: Sequence[Candidate], measured: Sequence[Measured], sizes: Sequence[int]
) -> str:
    """Which limit binds, and what the network nearest to the budget would need."""
    if measured and not any(item.files for item in measured):
        return f"none of {len(measured)} networks could be exported: {measured[0].note}"
    nearest: tuple[float, str, dict[str, float]] = (math.inf, "", {})
    for item in measured:
        for file in item.files:
            ratios = _ratios(file, item.candidate, budget)
            worst = max(ratios.values(), default=math.inf)
            if worst < nearest[0]:
                nearest = (worst, f"{item.candidate.key} in {file.precision}", ratios)
    if not nearest[2]:
        smallest = min(pool, key=lambda c: max(static_excess(c, budget).values(), default=0.0))
        nearest = (0.0, smallest.key, static_excess(smallest, budget))
    limits = {limit.metric: limit for limit in budget.limits}
    over = {metric: ratio for metric, ratio in nearest[2].items() if ratio > 1}
    binding = max(over, key=lambda metric: over[metric])
    needs = ", ".join(
        f"{m} {format_quantity(m, r * limits[m].value * _HEADROOM.get(m, 1.0))}"
        for m, r in nearest[2].items()
    )
    return (
        f"no network of the catalogue meets '{budget}' at {min(sizes)} to {max(sizes)} pixels: {binding} binds; "
        f"the nearest is {nearest[1]}, which needs at least {needs}; raise the limit on {' and '.join(over)}"
    )
