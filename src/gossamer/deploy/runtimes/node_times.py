"""What a profile is, whoever took it: nodes with their times and costs, and what every profiler needs."""

from __future__ import annotations

import re
import statistics
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gossamer.errors import BundleError, GossamerError, ModelError

__all__ = [
    "FileInput",
    "NodeTime",
    "OperatorTotal",
    "Profile",
    "Shape",
    "check_file",
    "check_request",
    "layer_of",
    "random_input",
    "typical",
]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class NodeTime:
    """One node that runs: `kind` is its operator without what is merged into it, for convolutions the sort of kernel.

    `bytes_read` and `bytes_written` are activations; `params` are the numbers of weight and bias, `param_bytes` all
    bytes that the file gives to the node.
    """

    name: str
    op: str
    kind: str
    layer: str | None
    ms: float
    macs: int
    bytes_read: int
    bytes_written: int
    params: int
    param_bytes: int
    precision: str

    @property
    def bytes_moved(self) -> int:
        """Activations read and written, and weights read."""
        return self.bytes_read + self.bytes_written + self.param_bytes


@dataclass(frozen=True)
class OperatorTotal:
    """All nodes of one kind; `share` is of the time of all nodes, 0 to 1."""

    kind: str
    nodes: int
    ms: float
    share: float
    macs: int
    bytes_moved: int


@dataclass(frozen=True)
class Profile:
    """Every node in the order they run; a time is the median of the faster half of `runs` runs (OpenVINO: of rounds)."""

    nodes: tuple[NodeTime, ...]
    runs: int
    threads: int
    uncounted: tuple[str, ...]
    """Nodes that multiply and add, but have no formula here: their macs are missing."""
    runtime: str = "onnxruntime"

    @property
    def ms(self) -> float:
        """Time of all nodes; what the runtime does between them is not in it."""
        return sum(node.ms for node in self.nodes)

    @property
    def unmatched(self) -> tuple[str, ...]:
        """Nodes that belong to no layer: the runtime's own, or those whose names the file does not keep."""
        return tuple(node.name for node in self.nodes if node.layer is None)

    def operators(self) -> tuple[OperatorTotal, ...]:
        """Totals by kind, the slowest first; their shares sum to 1."""
        groups: dict[str, list[NodeTime]] = {}
        for node in self.nodes:
            groups.setdefault(node.kind, []).append(node)
        whole = self.ms
        totals = [
            OperatorTotal(
                kind,
                len(nodes),
                ms := sum(n.ms for n in nodes),
                ms / whole if whole else 1 / len(groups),
                sum(n.macs for n in nodes),
                sum(n.bytes_moved for n in nodes),
            )
            for kind, nodes in groups.items()
        ]
        return tuple(sorted(totals, key=lambda total: (-total.ms, total.kind)))

    def to_json(self) -> dict[str, Any]:
        """The profile as a JSON object."""
        return {
            "runtime": self.runtime,
            "runs": self.runs,
            "threads": self.threads,
            "ms": self.ms,
            "operators": [asdict(total) for total in self.operators()],
            "nodes": [asdict(node) for node in self.nodes],
            "unmatched": list(self.unmatched),
            "uncounted": list(self.uncounted),
        }


class FileInput(NamedTuple):
    """One input of a file as its runtime describes it; sides that are not fixed are texts or None."""

    name: str
    shape: Sequence[object]
    type: str
    """The runtime's word for the numbers."""
    dtype: Any
    """The numpy type, None where a profile cannot make such numbers up."""


def check_request(runs: int, threads: int) -> None:
    """Complain before anything is loaded.

    Raises:
        GossamerError: fewer than one run, or than one thread.
    """
    if runs < 1:
        raise GossamerError(f"a profile needs at least one run, got runs={runs}; give 10 or more")
    if threads < 1:
        raise GossamerError(f"threads must be at least 1, got {threads}; write e.g. --threads 1")


def check_file(path: Path) -> None:
    """Complain where there is no file.

    Raises:
        BundleError: the path is none of a file.
    """
    if not path.is_file():
        raise BundleError(f"no such model file: {path}; check the path")


def random_input(path: Path, inputs: Sequence[FileInput]) -> dict[str, NDArray[Any]]:
    """Random numbers for the one input, the same each time.

    Raises:
        ModelError: the file does not take exactly one input of a fixed shape and a usual type.
    """
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs)
        raise ModelError(
            f"a profile takes files with one input, {path} has {len(inputs)} ({names}); export it with one"
        )
    (one,) = inputs
    sides = [side for side in one.shape if isinstance(side, int) and side > 0]
    if len(sides) != len(one.shape):
        raise ModelError(
            f"a profile takes files of a fixed input shape, {path} has {one.name} {list(one.shape)}; "
            "export it for one shape"
        )
    if one.dtype is None:
        raise ModelError(
            f"a profile takes inputs of floats or bytes, {path} has {one.name} of {one.type}; export it otherwise"
        )
    noise = np.random.default_rng(0).standard_normal(sides)
    return {
        one.name: (noise if np.issubdtype(one.dtype, np.floating) else np.abs(noise) * 20).astype(one.dtype)
    }


def typical(times: Sequence[float]) -> float:
    """The median of the faster half: what else runs on the machine meets single nodes, and then changes little."""
    return statistics.median(sorted(times)[: (len(times) + 1) // 2])


def layer_of(node: str, layers: Collection[str] = ()) -> str | None:
    """The module that a node was exported from: torch names its nodes /outer/outer.inner/Operator.

    With `layers` only a name among them counts, or the nearest module around it; None where there is none.
    """
    name = re.sub(r"_token_\d+$", "", node).removeprefix("fused ")
    if not name.startswith("/"):
        return None
    full, before = "", ""
    for part in name.strip("/").split("/")[:-1]:
        inner = before and part.startswith(before + ".")
        full += part[len(before) :] if inner else ("." if full else "") + part
        before = part
    while layers and full and full not in layers:
        full = full.rpartition(".")[0]
    return full or None
