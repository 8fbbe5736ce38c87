"""Profiles on every runtime that takes them, and on torch, which is no runtime: it takes a network in place of a file."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

from gossamer.deploy.runtimes import RUNTIMES, Runtime
from gossamer.deploy.runtimes.node_times import Profile
from gossamer.errors import MissingExtraError, ModelError, UnknownRuntimeError, nearest

__all__ = ["profile_on", "profilers", "subject_of"]

_TORCH = "torch"


def profilers() -> list[str]:
    """Names of what profiles are taken on."""
    return [*(name for name in RUNTIMES if RUNTIMES.has(name, "profile")), _TORCH]


def subject_of(runtime: str) -> Literal["file", "network"]:
    """What is profiled on a runtime: an ONNX file, or a torch module with the shape of its input.

    Raises:
        UnknownRuntimeError: no profile is taken on it.
    """
    if runtime not in (known := profilers()):
        raise UnknownRuntimeError(f"no profiles are taken on {runtime!r}; {nearest(runtime, known)}")
    return "network" if runtime == _TORCH else "file"


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
    takes, given = subject_of(runtime), "file" if isinstance(subject, str | Path) else "network"
    if given != takes:
        other = next(name for name in profilers() if subject_of(name) == given)
        raise ModelError(
            f"a profile on {runtime} is taken of a {takes}, got a {given}; profile it on {other}"
        )
    profile_file = Runtime(runtime).profile if runtime in RUNTIMES else None
    if profile_file is None:
        return _of_network(subject, shape, threads, runs)
    return profile_file(Path(subject), threads=threads, runs=runs, layers=layers)


def _of_network(network: Any, shape: Sequence[int], threads: int, runs: int) -> Profile:
    if importlib.util.find_spec(_TORCH) is None:
        raise MissingExtraError("profiling on torch", "torch", "train")
    from gossamer.timing.profile_torch import profile_torch

    return profile_torch(network, shape, threads=threads, runs=runs)
