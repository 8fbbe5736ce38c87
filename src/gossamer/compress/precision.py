"""Precisions of an exported file: which exist for a runtime, how each is made, and which one to ship.

Planned as data, applied on files: a `Calibration` names a way to quantize, `INT8_LADDER` the order in which they are
tried when the guard refuses one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gossamer.compress.quantize.onnx_post_training import Calibration, to_fp16, to_int8
from gossamer.types import Precision

__all__ = ["INT8_LADDER", "FileScore", "convert", "preferred"]

INT8_LADDER: Sequence[Calibration] = (
    Calibration("minmax"),
    Calibration("percentile"),
    Calibration("minmax", keep_ends=True),
)
"""int8 settings in the order in which the guard backs off."""


@dataclass(frozen=True)
class FileScore:
    """What one file measured; `drop` is fp32 accuracy minus this accuracy on the validation split, a share."""

    precision: Precision
    path: Path
    size_bytes: int
    latency_ms: float
    accuracy: float
    drop: float


def convert(
    source: Path,
    precision: Precision,
    calibration: Sequence[NDArray[np.float32]],
    how: Calibration = INT8_LADDER[0],
) -> Path:
    """Make the int8 or fp16 file of an exported fp32 file, beside it; its name tells precision and setting.

    Raises:
        ModelError: the file cannot be converted.
    """
    if precision == "int8":
        target = source.with_name(f"int8-{how.slug}{source.suffix}")
        to_int8(source, target, calibration, how)
    else:
        target = source.with_name(f"{precision}{source.suffix}")
        to_fp16(source, target)
    return target


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
