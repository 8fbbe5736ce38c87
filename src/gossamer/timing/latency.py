"""Latency of things that run: warm, interleaved, with the machine's state beside the figure."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from gossamer._machine import MachineState, machine_state
from gossamer.errors import GossamerError

__all__ = ["Latency", "Ratio", "compare", "measure_latency"]

_BUSY_SHARE = 0.25
_STOLEN = 1.3
_SPREAD = 1.6
_WARM_TOLERANCE = 0.1
_CLOCK_DROP = 0.9
_CLOCK_LOW = 0.8
_STEAL_SHARE = 0.05


@dataclass(frozen=True)
class Latency:
    """Wall time of one run in milliseconds; `cpu_ms` is process time, which a busy machine changes little."""

    p50_ms: float
    p95_ms: float
    min_ms: float
    cpu_ms: float
    runs: int
    load_per_core: float
    """Runnable processes a core, averaged by the system over the last minute."""
    others: float
    """Share of all cores that other processes used during the measurement."""
    flags: tuple[str, ...]
    """Reasons to read the figure with care; empty when the machine was quiet."""
    by_round: tuple[float, ...] = ()
    """Median wall time of each round, in milliseconds: what was timed beside it shares its rounds."""
    frequency_mhz: float | None = None
    """Clock of the fastest core at the end; None, as below, where the system does not tell."""
    governor: str | None = None
    """What chooses the clock."""
    steal: float | None = None
    """Share of all cores that the host of a virtual machine took during the measurement."""

    @property
    def state(self) -> str:
        """`clean`, or `flagged: ` and why."""
        return "clean" if not self.flags else "flagged: " + "; ".join(self.flags)

    def to_json(self) -> dict[str, Any]:
        """The figure as a JSON object."""
        document = asdict(self)
        del document["flags"], document["by_round"]
        return {**document, "state": self.state}


def measure_latency(
    runs: Mapping[str, Callable[[], object]], *, seconds: float = 0.5, rounds: int = 10, threads: int = 1
) -> dict[str, Latency]:
    """Time callables side by side: each is warmed until stable, then all take turns for `rounds` rounds.

    `seconds` is spent on each callable in all. `threads` tells how many cores a run may use, so that process time
    can be held against wall time.
    """
    once = {name: _warm(run) for name, run in runs.items()}
    wall: dict[str, list[float]] = {name: [] for name in runs}
    by_round: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    before = machine_state()
    for _ in range(rounds):
        for name, run in runs.items():
            count = 0
            for _ in range(max(1, int(seconds / rounds / once[name]))):
                cpu_start, wall_start = time.process_time(), time.perf_counter()
                run()
                wall[name].append(1e3 * (time.perf_counter() - wall_start))
                cpu[name].append(1e3 * (time.process_time() - cpu_start))
                count += 1
            by_round[name].append(statistics.median(wall[name][-count:]))
    after = machine_state(before)
    return {
        name: replace(_figure(wall[name], cpu[name], before, after, threads), by_round=tuple(by_round[name]))
        for name in runs
    }


@dataclass(frozen=True)
class Ratio:
    """How many times as long one thing takes as another that was timed in the same rounds."""

    ratio: float
    """Median over the rounds."""
    low: float
    high: float
    """The median lies between these with about 95 % (order statistics; all rounds where there are under six)."""


def compare(left: Latency, right: Latency) -> Ratio:
    """`left` over `right`, round by round.

    Raises:
        GossamerError: they were not timed in the same rounds.
    """
    if not left.by_round or len(left.by_round) != len(right.by_round):
        raise GossamerError(
            f"a ratio needs figures of the same rounds, got {len(left.by_round)} and {len(right.by_round)}; time both in one call"
        )
    ratios = sorted(a / b for a, b in zip(left.by_round, right.by_round, strict=True))
    count = len(ratios)
    rank = max(0, math.floor((count - 1.96 * math.sqrt(count)) / 2) - 1) if count >= 6 else 0
    return Ratio(statistics.median(ratios), ratios[rank], ratios[count - 1 - rank])


def _warm(run: Callable[[], object]) -> float:
    """Run until three runs in a row agree within a tenth, thirty at most; the last duration in seconds."""
    times: list[float] = []
    for _ in range(30):
        start = time.perf_counter()
        run()
        times.append(max(time.perf_counter() - start, 1e-6))
        last = times[-3:]
        if len(times) >= 5 and max(last) - min(last) <= _WARM_TOLERANCE * min(last):
            break
    return times[-1]


def _figure(
    wall: list[float], cpu: list[float], before: MachineState, after: MachineState, threads: int
) -> Latency:
    p50 = statistics.median(wall)
    p95 = sorted(wall)[min(len(wall) - 1, int(0.95 * len(wall)))]
    cpu_ms = statistics.median(cpu)
    flags: list[str] = []
    others = after.others or 0.0
    if others > _BUSY_SHARE:
        flags.append(f"the machine was busy (other processes used {100 * others:.0f} % of the cores)")
    if threads == 1 and p50 > _STOLEN * cpu_ms:
        flags.append(f"waiting for the processor (wall {p50:.2f} ms, processor {cpu_ms:.2f} ms)")
    if p95 > _SPREAD * p50:
        flags.append(f"runs differ (p95 {p95:.2f} ms, p50 {p50:.2f} ms)")
    return Latency(
        p50,
        p95,
        min(wall),
        cpu_ms,
        len(wall),
        after.load_per_core,
        others,
        (*flags, *_machine_flags(before, after)),
        frequency_mhz=after.frequency_mhz,
        governor=after.governor,
        steal=after.steal,
    )


def _machine_flags(before: MachineState, after: MachineState) -> Iterator[str]:
    """What the clock and the host of a virtual machine did to the figure."""
    first, last, highest = before.frequency_mhz, after.frequency_mhz, after.max_frequency_mhz
    if first and last and last < _CLOCK_DROP * first:
        yield f"the clock fell from {first:.0f} to {last:.0f} MHz during the runs, which slows the later ones"
    if last and highest and last < _CLOCK_LOW * highest:
        yield f"the clock was {last:.0f} of {highest:.0f} MHz, slower than this machine can be"
    if after.governor is not None and "powersave" in after.governor.split(", "):
        yield "the governor is powersave, which may keep the clock low; under performance times can be shorter"
    if after.steal is not None and after.steal > _STEAL_SHARE:
        yield f"the host took {100 * after.steal:.0f} % of the processor time, which makes wall times longer"
