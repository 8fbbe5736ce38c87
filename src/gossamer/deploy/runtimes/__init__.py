"""Runtimes: THE table of what runs files, and for each a folder of parts.

`run` must exist and knows neither torch nor how files are made: `precisions`, `suffix`, `missing()`, `engine()`, `load()`,
and `write_metadata()` where it can. `export`, `int8` and `profile` may exist; what each offers stands in `parts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from gossamer._table import Table
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.parts import ExportPart, FileSession, PostTraining, ProfileFile, RunPart
from gossamer.errors import MissingExtraError, UnknownRuntimeError
from gossamer.types import Precision

__all__ = ["RUNTIMES", "Runtime", "get_runtime", "runtime_of_file"]

RUNTIMES = Table(
    "runtime",
    {
        "onnxruntime": "gossamer.deploy.runtimes.onnxruntime",
        "openvino": "gossamer.deploy.runtimes.openvino",
        "litert": "gossamer.deploy.runtimes.litert",
        "packed": "gossamer.deploy.runtimes.packed",
        "reference": "gossamer.deploy.runtimes.reference",
    },
    error=UnknownRuntimeError,
)


@dataclass(frozen=True)
class Runtime:
    """One row of the table: its parts under one name, each imported when it is asked for."""

    name: str

    @property
    def precisions(self) -> Sequence[Precision]:
        """Of the files it makes; none where its files have no precision of their own."""
        return self._run.precisions

    @property
    def suffix(self) -> str:
        """Of its files."""
        return self._run.suffix

    def missing(self, *, making: bool = False) -> tuple[str, str] | None:
        """(package, extra) that is not installed, or None where files can be run; with `making`, made as well."""
        return self._run.missing(making=making)

    def engine(self) -> Any:
        """The package that runs the files, imported."""
        return self._run.engine()

    def load(self, path: Path, *, threads: int) -> FileSession:
        """Open a file.

        Raises:
            BundleError: it is missing or damaged.
        """
        return self._run.load(path, threads=threads)

    def write_metadata(self, path: Path, document: Mapping[str, Any]) -> None:
        """Write contract, labels and provenance into a file of this runtime, in place of those it holds.

        Raises:
            UnknownRuntimeError: it writes none into a file that is there.
        """
        write = getattr(self._run, "write_metadata", None)
        if write is None:
            raise UnknownRuntimeError(
                f"runtime {self.name} writes nothing into a file that is there; {self._elsewhere()}"
            )
        write(path, document)

    @property
    def makes_files(self) -> bool:
        """Whether networks can be exported to it."""
        return RUNTIMES.has(self.name, "export")

    def export(
        self, network: Any, contract: InputContract, path: Path, *, outputs: Sequence[str] = ("scores",)
    ) -> None:
        """Write the network (a torch module in eval mode) as this runtime's fp32 file; `outputs` names what it gives.

        Raises:
            ModelError: the network cannot be exported.
            UnknownRuntimeError: the runtime makes no files.
        """
        part = cast(ExportPart | None, RUNTIMES.part(self.name, "export"))
        if part is None:
            raise UnknownRuntimeError(f"runtime {self.name} runs files and makes none; {self._elsewhere()}")
        part.export(network, contract, path, outputs=outputs)

    @property
    def int8(self) -> PostTraining | None:
        """What makes its fp16 and int8 files of an fp32 file; None where it has fp32 alone."""
        part = RUNTIMES.part(self.name, "int8")
        return None if part is None else PostTraining.of(part)

    @property
    def profile(self) -> ProfileFile | None:
        """Takes the times of every node of a file; None where the runtime does not tell them."""
        part = RUNTIMES.part(self.name, "profile")
        return None if part is None else cast(ProfileFile, part.profile_file)

    @property
    def _run(self) -> RunPart:
        return cast(RunPart, RUNTIMES.part(self.name, "run"))

    def _elsewhere(self) -> str:
        """How its files are made, for errors."""
        made_by = getattr(self._run, "made_by", None)
        return f"{made_by} makes them" if made_by else "choose a runtime that files are exported to"


def get_runtime(name: str, *, making: bool = False) -> Runtime:
    """The runtime of a name; with `making`, ready to export and quantize and not only to run.

    Raises:
        UnknownRuntimeError: the table does not hold it, or with `making` it makes no files.
        MissingExtraError: it is not installed.
    """
    RUNTIMES.check(name)
    runtime = Runtime(name)
    if making and not runtime.makes_files:
        raise UnknownRuntimeError(f"runtime {name} runs files and makes none; {runtime._elsewhere()}")
    missing = runtime.missing(making=making)
    if missing is not None:
        raise MissingExtraError(f"runtime {name}", *missing)
    return runtime


def runtime_of_file(path: Path) -> str | None:
    """The name of the first runtime that opens files of this suffix; None where there is none."""
    return next((name for name in RUNTIMES if Runtime(name).suffix == path.suffix), None)
