"""Precisions of an exported file: which exist for a runtime, how each is made, and which one to ship.

Planned as data, applied on files: `POST_TRAINING` holds for each runtime the order in which int8 settings are tried
when the guard refuses one, and what makes its files. A runtime that has no fp16 or int8 has no line in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gossamer.compress.quantize import (
    litert_post_training,
    onnx_floats,
    onnx_post_training,
    openvino_post_training,
    sensitivity,
)
from gossamer.errors import UnknownRuntimeError
from gossamer.types import Precision

__all__ = ["POST_TRAINING", "FileScore", "PostTraining", "Setting", "convert", "post_training", "preferred"]


class Setting(Protocol):
    """A way to quantize; each runtime has its own kind."""

    @property
    def label(self) -> str:
        """For people."""
        ...

    @property
    def slug(self) -> str:
        """For the name of a file."""
        ...


@dataclass(frozen=True)
class PostTraining:
    """What makes the lossy files of one runtime from its fp32 file, without training."""

    ladder: Sequence[Setting]
    """int8 settings in the order in which the guard backs off."""
    to_int8: Callable[[Path, Path, Sequence[NDArray[np.float32]], Any], None]
    """(source, target, calibration inputs (1, bands, H, W), one of the ladder)."""
    to_fp16: Callable[[Path, Path], None]
    """(source, target)."""
    float_operators: Callable[[Path], Mapping[str, int]]
    """What an int8 file still computes in float: operator -> how often."""
    keep_worst: Callable[..., sensitivity.Guarded] | None = None
    """Makes the int8 file that keeps its worst layers fp32; None where the ladder ends before it."""


POST_TRAINING: Mapping[str, PostTraining] = {
    "onnxruntime": PostTraining(
        onnx_post_training.LADDER,
        onnx_post_training.to_int8,
        onnx_post_training.to_fp16,
        onnx_floats.float_operators,
        sensitivity.keep_worst,
    ),
    "openvino": PostTraining(
        openvino_post_training.LADDER,
        openvino_post_training.to_int8,
        onnx_post_training.to_fp16,
        openvino_post_training.float_operators,
    ),
    "litert": PostTraining(
        litert_post_training.LADDER,
        litert_post_training.to_int8,
        litert_post_training.to_fp16,
        litert_post_training.float_operators,
    ),
}


def post_training(runtime: str) -> PostTraining:
    """What makes the lossy files of a runtime.

    Raises:
        UnknownRuntimeError: it has none.
    """
    if runtime not in POST_TRAINING:
        raise UnknownRuntimeError(
            f"fp16 and int8 are made for {', '.join(POST_TRAINING)}, got {runtime!r}; ship fp32 there"
        )
    return POST_TRAINING[runtime]


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
    how: Setting | None = None,
    *,
    on: str = "onnxruntime",
) -> Path:
    """Make the int8 or fp16 file of an exported fp32 file, beside it; its name tells precision and setting.

    `how` is one of the runtime's ladder, by default the first.

    Raises:
        ModelError: the file cannot be converted.
        MissingExtraError: what converts for the runtime is not installed.
        UnknownRuntimeError: the runtime has fp32 alone.
    """
    makes = post_training(on)
    if precision == "int8":
        setting = how or makes.ladder[0]
        target = source.with_name(f"int8-{setting.slug}{source.suffix}")
        makes.to_int8(source, target, calibration, setting)
    else:
        target = source.with_name(f"{precision}{source.suffix}")
        makes.to_fp16(source, target)
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
