"""Whether an int8 file is worth shipping in place of the fp32 file: both measured side by side, and why (no torch).

int8 is no gain by itself: hard-swish, the gates of squeeze-and-excite and means stay float in ONNX Runtime, with a
conversion on either side, and other runtimes have other such operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.convert import post_training
from gossamer.timing.latency import compare, measure_latency

__all__ = ["Int8Verdict", "decide", "judge_int8"]

_FASTER, _SLOWER, _SMALLER = 0.95, 1.05, 0.9


@dataclass(frozen=True)
class Int8Verdict:
    """int8 against fp32 on one runtime; ratios are int8 over fp32."""

    recommended: bool
    runtime: str
    size_ratio: float
    latency_ratio: float
    float_operators: Mapping[str, int]
    """What computes in float although the file is int8: operator -> how often."""
    reason: str


def judge_int8(
    fp32: Path, int8: Path, *, on: str = "onnxruntime", threads: int = 1, seconds: float = 1.0
) -> Int8Verdict:
    """Measure both files on their runtime, in the same rounds, and judge.

    Raises:
        BundleError: a file is missing or damaged.
        UnknownRuntimeError, MissingExtraError: there is no such runtime, it has no int8, or it is not installed.
    """
    runtime = get_runtime(on)
    sessions = {name: runtime.load(path, threads=threads) for name, path in (("fp32", fp32), ("int8", int8))}
    example = np.zeros(sessions["fp32"].shape, np.float32)
    timed = measure_latency(
        {name: lambda session=session: session.run(example) for name, session in sessions.items()},  # type: ignore[misc]
        seconds=seconds,
        threads=threads,
    )
    return decide(
        on,
        size_ratio=int8.stat().st_size / fp32.stat().st_size,
        latency_ratio=compare(timed["int8"], timed["fp32"]).ratio,
        operators=post_training(on).float_operators(int8),
    )


def decide(
    runtime: str, *, size_ratio: float, latency_ratio: float, operators: Mapping[str, int]
) -> Int8Verdict:
    """int8 where it is faster, or a tenth smaller without being slower; within 5 % is neither faster nor slower."""
    faster, slower, smaller = latency_ratio < _FASTER, latency_ratio > _SLOWER, size_ratio < _SMALLER
    figures = f"int8 takes {latency_ratio:.2f} of the time and {size_ratio:.2f} of the bytes"
    if faster:
        return Int8Verdict(
            True, runtime, size_ratio, latency_ratio, operators, f"int8: {figures} of fp32 on {runtime}"
        )
    if smaller and not slower:
        reason = f"int8: as fast as fp32 on {runtime} and smaller; {figures}"
        return Int8Verdict(True, runtime, size_ratio, latency_ratio, operators, reason)
    named = ", ".join(f"{name} x {count}" for name, count in sorted(operators.items(), key=lambda i: -i[1]))
    why = f"; in float stay {named}" if named else ""
    start = "fp32 is faster" if slower else "int8 buys nothing"
    return Int8Verdict(
        False, runtime, size_ratio, latency_ratio, operators, f"{start} on {runtime}: {figures}{why}"
    )
