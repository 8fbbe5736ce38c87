"""The limit: how fast this machine could run each node at best, and how far from that it is.

A node cannot be faster than its macs at the machine's peak of arithmetic, nor than its bytes at the memory's speed:
the longer of the two is its bound (the roofline model, Williams, Waterman and Patterson 2009). Peaks are measured on
the same runtime, not read from a data sheet. Data that stay in the cache move faster than memory: such a node can lie
below its bound, and the hint says so.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import itertools
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gossamer._files import cache_folder, write_json
from gossamer._machine import describe_machine
from gossamer.deploy.runtimes.node_times import NodeTime, Profile
from gossamer.errors import GossamerError, RunFolderError

__all__ = ["NodeBound", "Peaks", "Roofline", "cache_file", "measure_peaks", "peaks", "roofline"]

_SIDE = 384
_CONV_CHANNELS, _CONV_SIDE = 128, 20
"""Large enough for the kernels to reach their speed, and about a millisecond: shorter than a turn of the processor."""
_ARRAY_BYTES, _PART_BYTES = 192 * 2**20, 16 * 2**20
"""The arrays are far larger than the cache, and copied a part at a time."""
_ROUNDS = 300
_CLOSE = 2.5
"""Up to this many times its bound a node counts as close to it."""
_BEYOND = 0.9
"""Below this a node beats the peak of arithmetic, which then was measured on a busy machine."""
_SHORT_MS = 0.02
"""Below this a call costs as much as the work."""


@dataclass(frozen=True)
class Peaks:
    """What a machine can do on a number of threads: 10^9 multiply-accumulates and 10^9 bytes a second."""

    cpu: str
    runtime: str
    threads: int
    gemm_gmacs: float
    convolution_gmacs: float
    int8_gmacs: float
    bandwidth_gbs: float
    """Read plus written, arrays far larger than the cache."""
    date: str

    def gmacs(self, precision: str) -> float:
        """The peak for a precision: fp32 is the better of matrix product and convolution."""
        best = max(self.gemm_gmacs, self.convolution_gmacs)
        return max(self.int8_gmacs, best) if precision == "int8" else best


@dataclass(frozen=True)
class NodeBound:
    """A node against its limit; `distance` is measured / bound, None where the node neither computes nor moves."""

    name: str
    ms: float
    compute_ms: float
    memory_ms: float
    bound_ms: float
    binds: str
    """`compute`, `memory` or `nothing`."""
    distance: float | None
    hint: str


@dataclass(frozen=True)
class Roofline:
    """Every node, in the order of the profile, and the whole: nodes run one after the other, so bounds add up."""

    peaks: Peaks
    nodes: tuple[NodeBound, ...]
    network: NodeBound

    def to_json(self) -> dict[str, Any]:
        """The roofline as a JSON object."""
        return {
            "peaks": asdict(self.peaks),
            "network": asdict(self.network),
            "nodes": [asdict(node) for node in self.nodes],
        }


def roofline(profile: Profile, peaks: Peaks) -> Roofline:
    """Hold a profile against the peaks of the machine that it was measured on.

    Raises:
        GossamerError: profile and peaks are of different numbers of threads.
    """
    if profile.threads != peaks.threads:
        raise GossamerError(
            f"profile and peaks need the same number of threads, got {profile.threads} and {peaks.threads}; "
            "measure the peaks with those of the profile"
        )
    nodes = tuple(_bound(node, peaks) for node in profile.nodes)
    compute, memory = sum(n.compute_ms for n in nodes), sum(n.memory_ms for n in nodes)
    bound, measured = sum(n.bound_ms for n in nodes), sum(n.ms for n in nodes)
    by_compute = sum(n.bound_ms for n in nodes if n.binds == "compute")
    binds = "nothing" if not bound else "compute" if 2 * by_compute >= bound else "memory"
    distance = measured / bound if bound else None
    hint = _hint(binds, distance, measured, False)
    return Roofline(
        peaks, nodes, NodeBound("network", measured, compute, memory, bound, binds, distance, hint)
    )


def _bound(node: NodeTime, peaks: Peaks) -> NodeBound:
    compute = node.macs / peaks.gmacs(node.precision) / 1e6
    memory = node.bytes_moved / peaks.bandwidth_gbs / 1e6
    bound = max(compute, memory)
    binds = "nothing" if not bound else "compute" if compute >= memory else "memory"
    distance = node.ms / bound if bound else None
    hint = _hint(binds, distance, node.ms, 2 * node.param_bytes > node.bytes_moved)
    return NodeBound(node.name, node.ms, compute, memory, bound, binds, distance, hint)


def _hint(binds: str, distance: float | None, ms: float, weights: bool) -> str:
    """One line: what would make it faster."""
    if distance is None:
        return "moves and computes nothing: only the call is paid"
    if distance > _CLOSE:
        if ms < _SHORT_MS:
            return "far from both, but short: the call is paid; fewer layers would help"
        return "far from both: fragmented, odd channels or a slow kernel"
    if binds == "compute":
        if distance < _BEYOND:
            return "faster than the peak kept: measure the peaks again on a quiet machine"
        return "compute-bound: fewer macs or int8; the kernel is near its peak"
    if distance < 1:
        return "faster than memory: the data stay in the cache"
    if weights:
        return "memory-bound by weights: fewer or smaller weights (int8); a faster kernel would not help"
    return "memory-bound: fewer or narrower activations; a faster kernel would not help"


def peaks(*, threads: int = 1, again: bool = False) -> Peaks:
    """The peaks of this machine from the user's cache folder; measured where it has none, or `again`.

    Raises:
        GossamerError: fewer than one thread.
    """
    if threads < 1:
        raise GossamerError(f"threads must be at least 1, got {threads}; write e.g. --threads 1")
    file, key = cache_file(), _key(threads)
    known = _read(file)
    if not again and key in known:
        with contextlib.suppress(TypeError, ValueError):
            found = Peaks(**known[key])
            if min(found.gemm_gmacs, found.bandwidth_gbs) > 0:
                return found
    measured = measure_peaks(threads)
    with contextlib.suppress(RunFolderError):  # a cache that cannot be written is no reason to stop
        write_json(file, {**known, key: asdict(measured)})
    return measured


def cache_file() -> Path:
    """Where peaks are kept: peaks.json in this person's cache folder."""
    return cache_folder() / "peaks.json"


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text())
    except (OSError, ValueError):  # not there, or damaged: measured anew
        return {}
    return document if isinstance(document, dict) else {}


def _runtime() -> str:
    return f"onnxruntime {importlib.metadata.version('onnxruntime')}"


def _key(threads: int) -> str:
    machine = describe_machine()
    return f"{machine['cpu']}, {machine['cores']} cores | {_runtime()} | {threads} threads"


def measure_peaks(threads: int) -> Peaks:
    """Measure the machine, a few seconds: products, a convolution and copies in turns.

    The fastest run of each counts: what else runs on the machine only makes a peak look lower.
    """
    product, product_macs = _product()
    convolution, convolution_macs = _convolution()
    integers = _integers()
    with ThreadPoolExecutor(threads) as pool:
        runs = {
            "product": _session(*product, threads),
            "convolution": _session(*convolution, threads),
            "integers": _session(*integers, threads),
            "copy": _copy(pool, threads),
        }
        seconds = _time(runs)
    return Peaks(
        describe_machine()["cpu"],
        _runtime(),
        threads,
        product_macs / seconds["product"] / 1e9,
        convolution_macs / seconds["convolution"] / 1e9,
        product_macs / seconds["integers"] / 1e9,
        2 * _PART_BYTES / seconds["copy"] / 1e9,
        datetime.date.today().isoformat(),
    )


def _time(runs: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of the fastest run of each, in turns."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(_ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def _product() -> tuple[tuple[str, Any, Any], int]:
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((2, _SIDE, _SIDE), dtype=np.float32)
    return ("MatMul", left, right), _SIDE**3


def _convolution() -> tuple[tuple[str, Any, Any], int]:
    rng = np.random.default_rng(0)
    pixels = rng.standard_normal((1, _CONV_CHANNELS, _CONV_SIDE + 2, _CONV_SIDE + 2), dtype=np.float32)
    weight = rng.standard_normal((_CONV_CHANNELS, _CONV_CHANNELS, 3, 3), dtype=np.float32)
    return ("Conv", pixels, weight), weight.size * _CONV_SIDE**2


def _integers() -> tuple[str, Any, Any]:
    rng = np.random.default_rng(0)
    left = rng.integers(0, 128, (_SIDE, _SIDE), dtype=np.uint8)
    right = rng.integers(-64, 64, (_SIDE, _SIDE), dtype=np.int8)
    return "MatMulInteger", left, right


def _session(op: str, left: Any, right: Any, threads: int) -> Callable[[], object]:
    """One operator on the runtime, its right operand stored in the file as weights are."""
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    kinds = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}
    result = TensorProto.INT32 if op == "MatMulInteger" else TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(op, ["left", "right"], ["result"])],
        "peak",
        [helper.make_tensor_value_info("left", kinds[left.dtype.name], left.shape)],
        [helper.make_tensor_value_info("result", result, None)],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"left": left})


def _copy(pool: ThreadPoolExecutor, threads: int) -> Callable[[], object]:
    """Copies the next part of a large array, shared by the threads: numpy lets go of the interpreter meanwhile."""
    source, target = (np.full(_ARRAY_BYTES // 8, value) for value in (1.0, 2.0))
    parts = itertools.cycle(
        list(zip(np.array_split(to, threads), np.array_split(of, threads), strict=True))
        for to, of in zip(
            *(np.split(each, _ARRAY_BYTES // _PART_BYTES) for each in (target, source)), strict=True
        )
    )
    if threads == 1:
        return lambda: np.copyto(*next(parts)[0])
    return lambda: list(pool.map(lambda part: np.copyto(*part), next(parts)))
