"""One module a runtime: `missing()`, `export()`, `load()`. This table is the only place that names them all."""

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

__all__ = ["RUNTIMES", "Runtime", "Session", "get_runtime"]


class Session(Protocol):
    """A loaded file, ready to run on a fixed number of threads."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file carries beside the network, by key."""
        ...

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (1, K) of one prepared input (1, bands, H, W)."""
        ...


class Runtime(Protocol):
    """What a module of this folder offers."""

    precisions: Sequence[Precision]
    suffix: str

    def missing(self) -> tuple[str, str] | None:
        """(package, extra) that is not installed, or None where the runtime can be used."""
        ...

    def export(self, network: Any, contract: InputContract, path: Path) -> None:
        """Write the network (a torch module in eval mode) as this runtime's fp32 file."""
        ...

    def load(self, path: Path, *, threads: int) -> Session:
        """Open a file. Raises BundleError where it is damaged."""
        ...


RUNTIMES: Mapping[str, str] = {"onnxruntime": "gossamer.deploy.runtimes.onnxruntime"}


def get_runtime(name: str) -> Runtime:
    """The runtime of a name.

    Raises:
        UnknownRuntimeError: the table does not hold it.
        MissingExtraError: it is not installed.
    """
    if name not in RUNTIMES:
        raise UnknownRuntimeError(f"unknown runtime {name!r}; {nearest(name, RUNTIMES)}")
    runtime = cast(Runtime, importlib.import_module(RUNTIMES[name]))
    missing = runtime.missing()
    if missing is not None:
        raise MissingExtraError(f"runtime {name}", *missing)
    return runtime
