"""Every runtime that profiles can be taken on; this table is the only place that names them all."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gossamer.deploy.runtimes.node_times import Profile
from gossamer.errors import MissingExtraError, ModelError, UnknownRuntimeError, nearest

__all__ = ["PROFILERS", "Profiler", "get_profiler", "profile_on"]


class Profiler(NamedTuple):
    """How a runtime is profiled."""

    takes: Literal["file", "network"]
    """An ONNX file, or a torch module and the shape of its input."""
    run: Callable[[Any, Sequence[int], int, int, Collection[str]], Profile]
    """Called with the subject, the shape, threads, runs and the names of the layers."""


def profile_on(
    runtime: str,
    subject: Any,
    *,
    shape: Sequence[int] = (),
    threads: int = 1,
    runs: int = 30,
    layers: Collection[str] = (),
) -> Profile:
    """Where the time goes on a runtime.

    `subject` is the path of an ONNX file (one that keeps torch's names, for nodes to find their `layers`), or a torch
    module, which then needs the `shape` (B, bands, H, W) of its input and knows its layers itself.

    Raises:
        UnknownRuntimeError: no profile is taken on it.
        MissingExtraError: it is not installed.
        ModelError: the subject is not what the runtime takes, or cannot be fed.
        BundleError: the file is missing or no ONNX file that can be run.
        GossamerError: fewer than one run, or than one thread.
    """
    profiler = get_profiler(runtime)
    given = "file" if isinstance(subject, str | Path) else "network"
    if given != profiler.takes:
        other = next(name for name, each in PROFILERS.items() if each.takes == given)
        raise ModelError(
            f"a profile on {runtime} is taken of a {profiler.takes}, got a {given}; profile it on {other}"
        )
    return profiler.run(subject, shape, threads, runs, layers)


def get_profiler(runtime: str) -> Profiler:
    """The profiler of a runtime.

    Raises:
        UnknownRuntimeError: the table does not hold it.
    """
    if runtime not in PROFILERS:
        raise UnknownRuntimeError(f"no profiles are taken on {runtime!r}; {nearest(runtime, PROFILERS)}")
    return PROFILERS[runtime]


def _onnxruntime(
    path: str | Path, shape: Sequence[int], threads: int, runs: int, layers: Collection[str]
) -> Profile:
    from gossamer.deploy.runtimes.onnxruntime.profile import profile_file

    return profile_file(Path(path), threads=threads, runs=runs, layers=layers)


def _openvino(
    path: str | Path, shape: Sequence[int], threads: int, runs: int, layers: Collection[str]
) -> Profile:
    from gossamer.deploy.runtimes.openvino.profile import profile_file

    return profile_file(Path(path), threads=threads, runs=runs, layers=layers)


def _torch(network: Any, shape: Sequence[int], threads: int, runs: int, layers: Collection[str]) -> Profile:
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("profiling on torch", "torch", "train")
    from gossamer.cost.profile_torch import profile_torch

    return profile_torch(network, shape, threads=threads, runs=runs)


PROFILERS: Mapping[str, Profiler] = {
    "onnxruntime": Profiler("file", _onnxruntime),
    "openvino": Profiler("file", _openvino),
    "torch": Profiler("network", _torch),
}
