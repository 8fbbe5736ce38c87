"""What the parts of a runtime offer, and what they give."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.node_times import Profile
from gossamer.errors import BundleError, GossamerError
from gossamer.types import Precision

__all__ = [
    "ExportPart",
    "FileSession",
    "MixedFile",
    "PostTraining",
    "ProfileFile",
    "RunPart",
    "Session",
    "Setting",
    "answering",
]


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
        """Every output of one prepared input (1, bands, H, W); the first axis of each is 1.

        Raises:
            BundleError: the runtime fails on it.
        """
        ...


@contextmanager
def answering(path: Path | str) -> Iterator[None]:
    """Whatever a runtime raises while a file answers, as an error for a person.

    Raises:
        BundleError: the file loads, but does not run on what it was given.
    """
    try:
        yield
    except GossamerError:
        raise
    except Exception as error:  # each runtime has its own types
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise BundleError(
            f"{path} does not run on the input that its contract names ({reason}); export it again"
        ) from error


class FileSession(Session, Protocol):
    """A session of a runtime's own file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the input it takes: (1, bands, H, W)."""
        ...


class RunPart(Protocol):
    """The module `run` of a runtime; torch-free.

    It may have `write_metadata(path, document)`, and `made_by`: the command that makes its files, where it has no `export`.
    """

    precisions: Sequence[Precision]
    suffix: str

    def missing(self, *, making: bool = False) -> tuple[str, str] | None:
        """(package, extra) that is not installed, or None where files can be run; with `making`, made as well."""
        ...

    def engine(self) -> Any:
        """The package that runs the files, imported."""
        ...

    def load(self, path: Path, *, threads: int) -> FileSession:
        """Open a file. Raises BundleError where it is missing or damaged."""
        ...


class ExportPart(Protocol):
    """The module `export` of a runtime."""

    def export(
        self, network: Any, contract: InputContract, path: Path, *, outputs: Sequence[str] = ("scores",)
    ) -> None:
        """Write the network (a torch module in eval mode) as this runtime's fp32 file; `outputs` names what it gives."""
        ...


class ProfileFile(Protocol):
    """`profile_file` of the module `profile` of a runtime."""

    def __call__(
        self, path: Path, *, threads: int = 1, runs: int = 30, layers: Collection[str] = ()
    ) -> Profile:
        """The times of every node of a file; `layers` are the names of the network's modules."""
        ...


class Setting(Protocol):
    """A way to quantize; each runtime has its own kind."""

    @property
    def label(self) -> str:
        """For people."""
        ...

    @property
    def slug(self) -> str:
        """For the name of a file."""
        ...


@dataclass(frozen=True)
class MixedFile:
    """An int8 file that keeps its worst layers fp32, and what it measured."""

    path: Path
    kept: tuple[str, ...]
    """Heavy nodes that stay fp32, worst first."""
    score: float
    drop: float
    met: bool
    """Whether the drop is at most what was allowed; where not, this is the least drop found."""


@dataclass(frozen=True)
class PostTraining:
    """What makes the lossy files of one runtime from its fp32 file, without training: its module `int8`."""

    ladder: Sequence[Setting]
    """int8 settings in the order in which the guard backs off."""
    to_int8: Callable[[Path, Path, Sequence[NDArray[np.float32]], Any], None]
    """(source, target, calibration inputs (1, bands, H, W), one of the ladder)."""
    to_fp16: Callable[[Path, Path], None]
    """(source, target)."""
    float_operators: Callable[[Path], Mapping[str, int]]
    """What an int8 file still computes in float: operator -> how often."""
    keep_worst: Callable[..., MixedFile] | None = None
    """Makes the int8 file that keeps its worst layers fp32; None where the ladder ends before it."""

    @classmethod
    def of(cls, part: Any) -> PostTraining:
        """From the module."""
        return cls(
            part.LADDER,
            part.to_int8,
            part.to_fp16,
            part.float_operators,
            getattr(part, "keep_worst", None),
        )
