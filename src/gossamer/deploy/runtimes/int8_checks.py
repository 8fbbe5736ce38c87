"""What every runtime's `to_int8` refuses before it starts, in the same words (no torch)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gossamer.errors import ModelError

__all__ = ["check_calibration", "check_finite", "check_float", "check_target", "one_line", "refusals"]


def check_target(source: Path, target: Path) -> None:
    """Raises ModelError where the file would overwrite what it is made of."""
    if target.resolve() == source.resolve():
        raise ModelError(f"the int8 file goes beside its source, got {source} for both; name another target")


def check_float(source: Path, quantized: Iterable[str]) -> None:
    """Raises ModelError where the file holds operators, or kinds of tensors, of a quantized one."""
    done = sorted(set(quantized))
    if done:
        raise ModelError(
            f"int8 is made of an fp32 file, {source.name} is quantized already ({', '.join(done)}); give the fp32 file"
        )


def check_finite(source: Path, weights: Iterable[tuple[str, NDArray[np.float32]]]) -> None:
    """Raises ModelError where a weight is NaN or infinite."""
    for name, values in weights:
        if not np.isfinite(values).all():
            raise ModelError(
                f"weights to be quantized are finite, {source.name} holds NaN or infinity in {name}; "
                "train or load them again"
            )


def check_calibration(
    source: Path, wanted: Sequence[int], calibration: Sequence[NDArray[np.float32]]
) -> None:
    """Raises ModelError where there are no inputs, or one of another shape than the file's; 0 fits any side."""
    if not calibration:
        raise ModelError("int8 needs calibration inputs, got none; give some training pictures")
    for value in calibration:
        fits = value.ndim == len(wanted) and all(
            w in (0, s) for w, s in zip(wanted, value.shape, strict=True)
        )
        if not fits:
            raise ModelError(
                f"cannot quantize {source.name} to int8: it takes inputs of shape {tuple(wanted)}, calibration has "
                f"{value.shape}; keep fp32 or prepare the pictures at that size"
            )


@contextlib.contextmanager
def refusals(source: Path, precision: str = "int8") -> Iterator[None]:
    """One error for the many kinds that quantizers raise for files they do not know."""
    try:
        yield
    except Exception as error:
        verb = "quantize" if precision == "int8" else "convert"
        raise ModelError(
            f"cannot {verb} {source.name} to {precision}: {one_line(error)}; keep fp32"
        ) from error


def one_line(error: Exception) -> str:
    """What an error says, on one short line."""
    return " ".join(str(error).split())[:200]
