"""OpenVINO on the CPU: ONNX files, which it reads as they are, in fp32, fp16 (weights stored in halves) and int8.

One file instead of OpenVINO's pair of .xml and .bin: docs/decisions/0021. Arithmetic is pinned to float32: where the
processor has bfloat16, OpenVINO takes it unasked, for fp32 files too (scores then differ by up to 0.3).
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.runtimes.onnxruntime.run import write_metadata
from gossamer.deploy.runtimes.parts import answering
from gossamer.errors import BundleError, MissingExtraError
from gossamer.types import Precision

__all__ = [
    "Arithmetic",
    "engine",
    "load",
    "missing",
    "precisions",
    "suffix",
    "without_telemetry",
    "write_metadata",
]

precisions: Sequence[Precision] = ("fp32", "fp16", "int8")
suffix = ".onnx"

Arithmetic = Literal["f32", "bf16", "f16"]
"""What floats are computed in, by OpenVINO's names."""


def missing(*, making: bool = False) -> tuple[str, str] | None:
    """(package, extra) that is not installed, or None; NNCF is needed to make int8 files, not to run them."""
    needed = ("openvino", "nncf") if making else ("openvino",)
    absent = next((package for package in needed if importlib.util.find_spec(package) is None), None)
    return None if absent is None else (absent, "openvino")


def engine() -> Any:
    """The package, without the message that it sends to its makers whenever it is imported.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        with without_telemetry():
            import openvino
    except ImportError as error:
        raise MissingExtraError("runtime openvino", "openvino", "openvino") from error
    return openvino


@contextmanager
def without_telemetry() -> Iterator[None]:
    """OpenVINO and NNCF, imported meanwhile, find no package to report to their makers with."""
    package = "openvino_telemetry"
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # what Python's import takes for "not installed"
    try:
        yield
    finally:
        del sys.modules[package]


class OpenVinoSession:
    """An ONNX file compiled for the CPU: one stream, a fixed number of threads, floats computed as asked."""

    def __init__(self, path: Path, threads: int, arithmetic: Arithmetic = "f32") -> None:
        settings = {
            "INFERENCE_PRECISION_HINT": arithmetic,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
        }
        core = engine().Core()
        if not path.is_file():
            raise BundleError(f"no such model file: {path}; check the path")
        try:
            self.compiled = core.compile_model(core.read_model(path), "CPU", settings)
            self._request = self.compiled.create_infer_request()
        except RuntimeError as error:  # OpenVINO knows no other
            raise BundleError(
                f"{path} is no ONNX file that can be run ({_reason(error)}); export it again"
            ) from error
        self._path = path

    @property
    def metadata(self) -> Mapping[str, str]:
        import onnx

        model = onnx.load(self._path, load_external_data=False)
        return {entry.key: entry.value for entry in model.metadata_props}

    @property
    def shape(self) -> tuple[int, ...]:
        sides = self.compiled.input(0).get_partial_shape()
        return tuple(side.get_length() if side.is_static else 1 for side in sides)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(port.get_any_name() for port in self.compiled.outputs)

    def run(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        with answering(self._path):
            answers = self._request.infer([np.ascontiguousarray(batch)])
            return tuple(answers[port] for port in self.compiled.outputs)


def _reason(error: Exception) -> str:
    """The line of an error that says what is wrong, without the source files that it passed through."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = (line for line in lines if line and not line.startswith(("Exception from", "Check '")))
    return next(told, "no reason")[:160]


def load(path: Path, *, threads: int, arithmetic: Arithmetic = "f32") -> OpenVinoSession:
    """Open an ONNX file; what is not int8 computes in `arithmetic`.

    Raises:
        BundleError: it is missing or damaged.
        MissingExtraError: OpenVINO is not installed.
    """
    return OpenVinoSession(path, threads, arithmetic)
