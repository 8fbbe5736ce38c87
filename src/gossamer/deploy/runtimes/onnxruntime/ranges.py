"""Ranges of activations by ONNX Runtime's own calibrators, a few pictures at a time (no torch).

Left to itself the quantizer keeps every activation of every picture until the last one was seen: 8.4 GB for 256 pictures
of EfficientNet-Lite0 at 160 pixels. Its histograms can be added to, so that nothing but those of the pictures of one
group need be there at a time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["GROUP_BYTES", "measure_ranges"]

GROUP_BYTES = 64 << 20
"""Of activations that are there at a time; one picture's where they are more."""


class _Reader:
    """The quantizer's calibration protocol: one feed at a time, None at the end."""

    def __init__(self, name: str, inputs: Sequence[NDArray[np.float32]]) -> None:
        self._feeds: Iterator[dict[str, NDArray[np.float32]]] = iter([{name: value} for value in inputs])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._feeds, None)


def measure_ranges(
    path: Path, target: Path, name: str, inputs: Sequence[NDArray[np.float32]], method: str
) -> None:
    """Write the ranges of an fp32 graph's activations to `target`, as `quantize_static` reads them back.

    `name` is the graph's input, `method` a name of `CalibrationMethod`.
    """
    from onnxruntime.quantization import CalibrationMethod
    from onnxruntime.quantization.calibrate import create_calibrator, save_tensors_data
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    with tempfile.TemporaryDirectory(prefix="gossamer-ranges-") as folder:
        calibrator = create_calibrator(
            path,
            sorted({*QLinearOpsRegistry, *QDQRegistry}),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod[method],
        )
        size = _group_size(calibrator.infer_session, name, inputs[0])
        for start in range(0, len(inputs), size):
            calibrator.collect_data(_Reader(name, inputs[start : start + size]))
        save_tensors_data(calibrator.compute_data(), target)


def _group_size(session: object, name: str, example: NDArray[np.float32]) -> int:
    """How many pictures' activations stay within the bound."""
    each = sum(value.nbytes for value in session.run(None, {name: example}))  # type: ignore[attr-defined]
    return max(1, GROUP_BYTES // max(1, each))
