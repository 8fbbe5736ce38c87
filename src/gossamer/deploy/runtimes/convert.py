"""The fp16 or int8 file of an exported fp32 file, for any runtime that has them (no torch)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.runtimes import RUNTIMES, Runtime
from gossamer.deploy.runtimes.parts import PostTraining, Setting
from gossamer.errors import UnknownRuntimeError
from gossamer.types import Precision

__all__ = ["convert", "post_training"]


def post_training(runtime: str) -> PostTraining:
    """What makes the lossy files of a runtime.

    Raises:
        UnknownRuntimeError: it has none.
    """
    makes = Runtime(runtime).int8 if runtime in RUNTIMES else None
    if makes is None:
        able = ", ".join(name for name in RUNTIMES if Runtime(name).int8 is not None)
        raise UnknownRuntimeError(f"fp16 and int8 are made for {able}, got {runtime!r}; ship fp32 there")
    return makes


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
