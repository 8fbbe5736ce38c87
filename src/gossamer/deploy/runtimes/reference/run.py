"""ONNX files on onnx's reference evaluator: numpy, one thread, fp32 alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.runtimes.parts import answering
from gossamer.errors import BundleError
from gossamer.types import Precision

__all__ = ["engine", "load", "missing", "precisions", "suffix", "write_metadata"]

precisions: Sequence[Precision] = ("fp32",)
suffix = ".onnx"


def missing(*, making: bool = False) -> tuple[str, str] | None:
    """None: onnx is always there."""
    return None


def engine() -> Any:
    """The package that runs the files."""
    import onnx.reference

    return onnx.reference


def write_metadata(path: Path, document: Mapping[str, Any]) -> None:
    """Write contract, labels and provenance into the file's metadata_props, in place of those it holds."""
    from gossamer.files.onnx import write_file_metadata

    write_file_metadata(path, document)


class ReferenceSession:
    """An ONNX file in numpy."""

    def __init__(self, path: Path) -> None:
        import onnx

        if not path.is_file():
            raise BundleError(f"no such model file: {path}; check the path")
        try:
            self._model = onnx.load(path)
            onnx.checker.check_model(self._model)
            self._evaluator = engine().ReferenceEvaluator(self._model)
            if not self._model.graph.input:
                raise ValueError("it takes no input")
        except Exception as error:  # protobuf, the checker and the evaluator each have their own types
            reason = " ".join(str(error).split())[:160]
            raise BundleError(
                f"{path} is no ONNX file that can be run ({reason}); export it again"
            ) from error
        self._path = path

    @property
    def metadata(self) -> Mapping[str, str]:
        return {entry.key: entry.value for entry in self._model.metadata_props}

    @property
    def shape(self) -> tuple[int, ...]:
        sides = self._model.graph.input[0].type.tensor_type.shape.dim
        return tuple(side.dim_value or 1 for side in sides)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(port.name for port in self._model.graph.output)

    def run(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        with answering(self._path):
            return tuple(self._evaluator.run(None, {self._model.graph.input[0].name: batch}))


def load(path: Path, *, threads: int) -> ReferenceSession:
    """Open an ONNX file; numpy takes the threads it takes.

    Raises:
        BundleError: it is missing or damaged.
    """
    return ReferenceSession(path)
