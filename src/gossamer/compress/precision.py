"""Which of the files of one network to ship: each measured, the best within budget and guard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gossamer.types import Precision

__all__ = ["FileScore", "preferred"]


@dataclass(frozen=True)
class FileScore:
    """What one file measured; `drop` is fp32 accuracy minus this accuracy on the validation split, a share."""

    precision: Precision
    path: Path
    size_bytes: int
    latency_ms: float
    accuracy: float
    drop: float


def preferred(
    scores: Sequence[FileScore], fits: Mapping[Precision, bool], max_drop: float
) -> FileScore | None:
    """The file to ship: within budget and guard, the least latency times size; None where no file is within both.

    A lossy file must buy something: with neither latency nor size a tenth below fp32 the fp32 file stays.
    """
    exact = next((s for s in scores if s.precision == "fp32"), None)
    allowed = [s for s in scores if fits[s.precision] and (s.precision == "fp32" or s.drop <= max_drop)]
    if exact is not None and exact in allowed:
        allowed = [
            s
            for s in allowed
            if s is exact
            or s.latency_ms < 0.9 * exact.latency_ms
            or (s.size_bytes < 0.9 * exact.size_bytes and s.latency_ms <= exact.latency_ms)
        ]
    return min(allowed, key=lambda s: (s.latency_ms * s.size_bytes, s.precision), default=None)
