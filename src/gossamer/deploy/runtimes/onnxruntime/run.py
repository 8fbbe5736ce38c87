"""ONNX Runtime on the CPU: fp32, fp16 (weights stored in halves) and int8 files."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.runtimes.parts import answering
from gossamer.errors import BundleError
from gossamer.types import Precision

__all__ = ["engine", "load", "missing", "precisions", "suffix", "write_metadata"]

precisions: Sequence[Precision] = ("fp32", "fp16", "int8")
suffix = ".onnx"
_SOURCE = re.compile(r"/\S*onnxruntime\S*\.(cc|h):\d+ .*\) (?=[A-Z])")
"""Where in its source ONNX Runtime found something wrong."""
_INTEGERS: Mapping[str, Any] = {"tensor(uint8)": np.uint8, "tensor(int8)": np.int8}
"""Inputs that are no floats: what a contract gives is rounded to them."""


def missing(*, making: bool = False) -> tuple[str, str] | None:
    """(package, extra) that is not installed, or None; what runs files makes them as well."""
    return None if importlib.util.find_spec("onnxruntime") else ("onnxruntime", "all")


def engine() -> Any:
    """The package that runs the files."""
    import onnxruntime

    return onnxruntime


def write_metadata(path: Path, document: Mapping[str, Any]) -> None:
    """Write contract, labels and provenance into the file's metadata_props, in place of those it holds."""
    from gossamer.files.onnx import write_file_metadata

    write_file_metadata(path, document)


class OrtSession:
    """A graph on ONNX Runtime, sequential execution on a fixed number of threads."""

    def __init__(self, model: str | bytes, threads: int, *, broken: tuple[str, str]) -> None:
        """Open a file or its content; `broken` is what is wrong and what to do about it.

        Raises:
            BundleError: the graph cannot be run.
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        wrong, advice = broken
        try:
            self._session = ort.InferenceSession(
                model, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # the runtime's own exception types differ by version
            reason = _reason(error)
            raise BundleError(f"{wrong} ({reason}); {advice}") from error
        self._source = "the graph" if isinstance(model, bytes) else model
        if len(inputs := self._session.get_inputs()) != 1:
            raise BundleError(f"{wrong} (it has {len(inputs)} inputs, pictures are one); {advice}")
        self._input = inputs[0].name
        self._integers = _INTEGERS.get(inputs[0].type)

    @property
    def metadata(self) -> Mapping[str, str]:
        try:
            return dict(self._session.get_modelmeta().custom_metadata_map)
        except UnicodeDecodeError as error:
            raise BundleError(
                f"the metadata of {self._source} are damaged ({error}); export it again"
            ) from error

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(side if isinstance(side, int) else 1 for side in self._session.get_inputs()[0].shape)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(port.name for port in self._session.get_outputs())

    def run(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        with answering(self._source):
            if self._integers is not None:
                limits = np.iinfo(self._integers)
                batch = np.clip(np.rint(batch), limits.min, limits.max).astype(self._integers)
            return tuple(self._session.run(None, {self._input: batch}))


def _reason(error: Exception) -> str:
    """The line of an error that says what is wrong, without the source file that it comes from."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return _SOURCE.sub("", line)[:160]


def load(path: Path, *, threads: int) -> OrtSession:
    """Open an ONNX file.

    Raises:
        BundleError: it is missing or damaged.
    """
    if not path.is_file():
        raise BundleError(f"no such model file: {path}; check the path")
    broken = (f"{path} is no ONNX file that can be run", "export it again")
    return OrtSession(str(path), threads, broken=broken)
