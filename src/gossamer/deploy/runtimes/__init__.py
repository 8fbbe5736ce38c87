"""One module a runtime: `missing()`, `engine()`, `export()`, `write_metadata()`, `load()`. This table names them all.

How a runtime's fp16 and int8 files are made stands in the table of `gossamer.compress.precision`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.contract import InputContract
from gossamer.errors import MissingExtraError, UnknownRuntimeError, nearest
from gossamer.types import Precision

__all__ = ["RUNTIMES", "FileSession", "Runtime", "Session", "get_runtime"]


class Session(Protocol):
    """A loaded file, ready to run on a fixed number of threads."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file carries beside the network, by key."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what `run` gives, in its order."""
        ...

    def run(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Every output of one prepared input (1, bands, H, W); the first axis of each is 1."""
        ...


class FileSession(Session, Protocol):
    """A session of a runtime's own file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the input it takes: (1, bands, H, W)."""
        ...


class Runtime(Protocol):
    """What a module of this folder offers."""

    precisions: Sequence[Precision]
    suffix: str

    def missing(self, *, making: bool = False) -> tuple[str, str] | None:
        """(package, extra) that is not installed, or None where files can be run; with `making`, made as well."""
        ...

    def engine(self) -> Any:
        """The package that runs the files, imported."""
        ...

    def export(
        self, network: Any, contract: InputContract, path: Path, *, outputs: Sequence[str] = ("scores",)
    ) -> None:
        """Write the network (a torch module in eval mode) as this runtime's fp32 file; `outputs` names what it gives."""
        ...

    def write_metadata(self, path: Path, document: Mapping[str, Any]) -> None:
        """Write contract, labels and provenance into a file of this runtime, in place of those it holds."""
        ...

    def load(self, path: Path, *, threads: int) -> FileSession:
        """Open a file. Raises BundleError where it is damaged."""
        ...


RUNTIMES: Mapping[str, str] = {
    "onnxruntime": "gossamer.deploy.runtimes.onnxruntime",
    "openvino": "gossamer.deploy.runtimes.openvino",
    "litert": "gossamer.deploy.runtimes.litert",
}


def get_runtime(name: str, *, making: bool = False) -> Runtime:
    """The runtime of a name; with `making`, ready to export and quantize and not only to run.

    Raises:
        UnknownRuntimeError: the table does not hold it.
        MissingExtraError: it is not installed.
    """
    if name not in RUNTIMES:
        raise UnknownRuntimeError(f"unknown runtime {name!r}; {nearest(name, RUNTIMES)}")
    runtime = cast(Runtime, importlib.import_module(RUNTIMES[name]))
    missing = runtime.missing(making=making)
    if missing is not None:
        raise MissingExtraError(f"runtime {name}", *missing)
    return runtime
