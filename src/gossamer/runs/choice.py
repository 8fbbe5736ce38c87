"""What ships: whether a lossy file is worth it in place of the fp32 file, both measured in the same rounds, and why.

int8 is no gain by itself: hard-swish, the gates of squeeze-and-excite and means stay float in ONNX Runtime, with a
conversion on either side, and other runtimes have other such operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gossamer.deploy.runtimes import Runtime, get_runtime
from gossamer.timing.latency import Latency, compare, measure_latency
from gossamer.types import Precision, within

__all__ = ["FileScore", "Verdict", "decide", "judge_files", "measure_together", "preferred"]

_FASTER, _SLOWER, _SMALLER = 0.95, 1.05, 0.9


@dataclass(frozen=True)
class Verdict:
    """A lossy file against fp32 on one runtime; ratios are the file's over fp32's."""

    recommended: bool
    runtime: str
    size_ratio: float
    latency_ratio: float
    float_operators: Mapping[str, int]
    """What computes in float although the file is int8: operator -> how often."""
    reason: str


@dataclass(frozen=True)
class FileScore:
    """What one file measured; `drop` is what it loses of the fp32 file's headline figure on the validation split."""

    precision: Precision
    path: Path
    size_bytes: int
    latency_ms: float
    score: float
    drop: float = 0.0
    size_ratio: float = 1.0
    """Over the fp32 file, as `latency_ratio`, which is told from rounds that both files shared."""
    latency_ratio: float = 1.0
    float_operators: Mapping[str, int] = field(default_factory=dict)


def measure_together(
    files: Mapping[str, Path], *, on: str, threads: int, seconds: float = 1.0
) -> dict[str, Latency]:
    """Latencies of files of one runtime, in turns in one process: what ratios are told from.

    Raises:
        BundleError: a file is missing or damaged.
        UnknownRuntimeError, MissingExtraError: there is no such runtime, or it is not installed.
    """
    runtime = get_runtime(on)
    sessions = {name: runtime.load(path, threads=threads) for name, path in files.items()}
    example = np.zeros(next(iter(sessions.values())).shape, np.float32)
    return measure_latency(
        {name: lambda session=session: session.run(example) for name, session in sessions.items()},  # type: ignore[misc]
        seconds=seconds,
        threads=threads,
    )


def judge_files(
    fp32: Path, lossy: Path, *, on: str = "onnxruntime", threads: int = 1, seconds: float = 1.0
) -> Verdict:
    """Measure both files on their runtime, in the same rounds, and judge.

    Raises:
        BundleError: a file is missing or damaged.
        UnknownRuntimeError, MissingExtraError: there is no such runtime, or it is not installed.
    """
    timed = measure_together({"fp32": fp32, "lossy": lossy}, on=on, threads=threads, seconds=seconds)
    return decide(
        on,
        size_ratio=lossy.stat().st_size / fp32.stat().st_size,
        latency_ratio=compare(timed["lossy"], timed["fp32"]).ratio,
        operators=float_operators(on, lossy),
    )


def float_operators(on: str, path: Path) -> Mapping[str, int]:
    """What a file computes in float although it is int8: operator -> how often."""
    makes = Runtime(on).int8
    return {} if makes is None else makes.float_operators(path)


def decide(
    runtime: str,
    *,
    size_ratio: float,
    latency_ratio: float,
    operators: Mapping[str, int],
    precision: Precision = "int8",
) -> Verdict:
    """The lossy file where it is faster, or a tenth smaller without being slower; within 5 % is neither.

    At 1.03 times the time and 0.25 of the bytes it ships: as fast, and a quarter of the size.
    """
    faster, slower, smaller = latency_ratio < _FASTER, latency_ratio > _SLOWER, size_ratio < _SMALLER
    figures = f"{precision} takes {latency_ratio:.2f} of the time and {size_ratio:.2f} of the bytes"
    if faster:
        reason = f"{precision}: {figures} of fp32 on {runtime}"
    elif smaller and not slower:
        reason = f"{precision}: as fast as fp32 on {runtime} and smaller; {figures}"
    else:
        named = ", ".join(f"{n} x {count}" for n, count in sorted(operators.items(), key=lambda i: -i[1]))
        start = "fp32 is faster" if slower else f"{precision} buys nothing"
        why = f"; in float stay {named}" if named else ""
        reason = f"{start} on {runtime}: {figures}{why}"
    return Verdict(faster or (smaller and not slower), runtime, size_ratio, latency_ratio, operators, reason)


def preferred(
    scores: Sequence[FileScore], fits: Mapping[Precision, bool], max_drop: float, *, on: str
) -> FileScore | None:
    """The file to ship: within budget and guard, the least latency times size; None where no file is within both.

    A lossy file must be worth it as `decide` says, unless the fp32 file does not keep the budget.
    """
    allowed = [s for s in scores if fits[s.precision] and within(s.drop, max_drop)]
    if any(s.precision == "fp32" for s in allowed):
        allowed = [s for s in allowed if s.precision == "fp32" or _verdict(s, on).recommended]
    return min(allowed, key=lambda s: (s.latency_ratio * s.size_ratio, s.precision), default=None)


def _verdict(score: FileScore, on: str) -> Verdict:
    return decide(
        on,
        size_ratio=score.size_ratio,
        latency_ratio=score.latency_ratio,
        operators=score.float_operators,
        precision=score.precision,
    )
