"""LiteRT (TensorFlow Lite) on the CPU: .tflite files in fp32, fp16 (weights stored in halves) and int8.

Files take pictures as the contract gives them, (1, bands, H, W); the operator that turns them stands in the file and
costs nothing that can be measured (networks that take (1, H, W, bands) are as fast). An int8 file may take and give
integers: the session converts by the scales that the file names.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer._quiet import quiet
from gossamer.deploy.runtimes.parts import answering
from gossamer.errors import BundleError, MissingExtraError
from gossamer.files.metadata import METADATA_KEY, read_metadata
from gossamer.files.tflite import read_metadata_props, read_operators, write_metadata
from gossamer.types import Precision

__all__ = ["engine", "load", "missing", "precisions", "suffix", "write_metadata"]

precisions: Sequence[Precision] = ("fp32", "fp16", "int8")
suffix = ".tflite"


def missing(*, making: bool = False) -> tuple[str, str] | None:
    """(package, extra) that is not installed, or None; converter and quantizer are needed to make files only."""
    needed = ("ai_edge_litert", "litert_torch", "ai_edge_quantizer") if making else ("ai_edge_litert",)
    absent = next((package for package in needed if importlib.util.find_spec(package) is None), None)
    return None if absent is None else (absent.replace("_", "-"), "litert")


def engine() -> Any:
    """The package that runs the files.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from ai_edge_litert import interpreter
    except ImportError as error:
        raise MissingExtraError("runtime litert", "ai-edge-litert", "litert") from error
    return interpreter


class LiteRtSession:
    """A .tflite file on LiteRT's interpreter, a fixed number of threads."""

    def __init__(self, path: Path, threads: int) -> None:
        interpreter = engine().Interpreter
        read_operators(path)  # the interpreter itself reads past the end of a damaged file
        try:
            with quiet():
                self._interpreter = interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:160]
            raise BundleError(
                f"{path} is no LiteRT file that can be run ({reason}); export it again"
            ) from error
        self._path = path
        self._input = self._interpreter.get_input_details()[0]
        self._outputs = self._interpreter.get_output_details()

    @property
    def metadata(self) -> Mapping[str, str]:
        return read_metadata_props(self._path)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(side) for side in self._input["shape"])

    @property
    def outputs(self) -> tuple[str, ...]:
        """As the metadata name them: the converter gives names of its own."""
        metadata = self.metadata
        told = read_metadata(metadata, self._path).get("outputs", ()) if METADATA_KEY in metadata else ()
        return tuple(map(str, told)) or tuple(str(port["name"]) for port in self._outputs)

    def run(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        with answering(self._path):
            self._interpreter.set_tensor(self._input["index"], _stored(batch, self._input))
            self._interpreter.invoke()
            return tuple(_real(self._interpreter.get_tensor(port["index"]), port) for port in self._outputs)


def _stored(values: NDArray[np.float32], port: Mapping[str, Any]) -> NDArray[Any]:
    """Floats as the input holds them: round(x / scale) + zero_point, within the type."""
    if port["dtype"] is np.float32:
        return values
    scale, zero_point = port["quantization"]
    limits = np.iinfo(port["dtype"])
    codes = np.clip(np.rint(values / np.float32(scale)) + zero_point, limits.min, limits.max)
    stored: NDArray[Any] = codes.astype(port["dtype"])
    return stored


def _real(values: NDArray[Any], port: Mapping[str, Any]) -> NDArray[np.float32]:
    """What the output's codes stand for: (code - zero_point) * scale."""
    if port["dtype"] is np.float32:
        return values
    scale, zero_point = port["quantization"]
    real: NDArray[np.float32] = (values.astype(np.float32) - zero_point) * np.float32(scale)
    return real


def load(path: Path, *, threads: int) -> LiteRtSession:
    """Open a .tflite file.

    Raises:
        BundleError: it is missing or damaged.
        MissingExtraError: LiteRT is not installed.
    """
    return LiteRtSession(path, threads)
