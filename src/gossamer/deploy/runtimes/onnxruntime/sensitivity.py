"""Which layers of an exported file lose the most in int8, and the file that keeps just enough of them in fp32 (no torch).

A layer is quantized alone, with the light operators behind it, and the file's scores are held against the fp32 file's:
10 log10 of the signal's energy over that of the difference (SQNR). The guard then keeps the worst layers in fp32, one
after the other, until a metric holds that the caller measures on the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto

from gossamer._files import write_bytes
from gossamer.cost.onnx_count import count_onnx
from gossamer.deploy.runtimes.onnxruntime.post_training import (
    MINMAX,
    Calibration,
    PreparedGraph,
    prepared_graph,
)
from gossamer.deploy.runtimes.onnxruntime.run import load
from gossamer.deploy.runtimes.parts import MixedFile
from gossamer.errors import GossamerError
from gossamer.files.onnx import compact
from gossamer.types import within

__all__ = ["Inputs", "Sensitivity", "keep_worst", "measure_sensitivity"]

_HEAVY = frozenset({"Conv", "Gemm", "MatMul", "ConvTranspose"})
_PICTURES = 8
"""Calibration inputs on which scores are compared, layer by layer."""

Inputs = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Sensitivity:
    """A layer of the file: a heavy node and the light ones behind it, up to the next heavy one."""

    nodes: tuple[str, ...]
    operator: str
    sqnr_db: float
    """Of the file's scores, with this layer alone in int8; infinite where nothing changes."""
    params: int
    """Weights that int8 stores in a byte instead of four."""
    macs: int = 0
    """Multiply-accumulates of its heavy node."""


def measure_sensitivity(source: Path, calibration: Inputs, how: Calibration = MINMAX) -> list[Sensitivity]:
    """The layers of an fp32 file, the most sensitive first.

    Raises:
        ModelError: as `to_int8`.
    """
    with prepared_graph(source, calibration) as prepared:
        return _measure(prepared, calibration, how)


def _measure(prepared: PreparedGraph, calibration: Inputs, how: Calibration) -> list[Sensitivity]:
    pictures = calibration[:: max(1, len(calibration) // _PICTURES)][:_PICTURES]
    exact = _scores(prepared.path, pictures)
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in onnx.load(prepared.path).graph.initializer}
    macs = {layer.name: layer.macs for layer in count_onnx(prepared.path).layers}
    target = prepared.path.with_name("alone.onnx")
    found = []
    for unit in _units(prepared.nodes):
        names = tuple(node.name for node in unit)
        target.write_bytes(prepared.quantized(how, only=names).SerializeToString())
        params = sum(sizes.get(name, 0) for name in unit[0].input[1:2])
        lost = _sqnr_db(exact, _scores(target, pictures))
        found.append(Sensitivity(names, unit[0].op_type, lost, params, macs.get(names[0], 0)))
    return sorted(found, key=lambda each: each.sqnr_db)


def _units(nodes: Sequence[NodeProto]) -> list[list[NodeProto]]:
    """Nodes in the order of the file, a new list at every heavy one; what comes before the first belongs to none."""
    units: list[list[NodeProto]] = []
    for node in nodes:
        if node.op_type in _HEAVY:
            units.append([node])
        elif units:
            units[-1].append(node)
    return units


def _scores(path: Path, pictures: Inputs) -> NDArray[np.float64]:
    session = load(path, threads=1)
    return np.concatenate([np.asarray(session.run(picture)[0], np.float64).ravel() for picture in pictures])


def _sqnr_db(exact: NDArray[np.float64], rounded: NDArray[np.float64]) -> float:
    noise, signal = float(np.square(exact - rounded).sum()), float(np.square(exact).sum())
    if not np.isfinite(noise):
        return -np.inf
    return np.inf if noise == 0 else float(10 * np.log10(max(signal, 1e-300) / noise))


def keep_worst(
    source: Path,
    target: Path,
    calibration: Inputs,
    score: Callable[[Path], float],
    *,
    max_drop: float = 0.01,
    most: int | None = None,
    how: Calibration = MINMAX,
) -> MixedFile:
    """Write an int8 file whose score is at most `max_drop` below that of the fp32 file, by keeping the worst layers fp32.

    `score` measures a file, the higher the better (a share, where `max_drop` is one); `most` limits how many layers may
    stay fp32. Layers are measured only where plain int8 loses too much. `source` is only read.

    Raises:
        GossamerError: a `max_drop` below 0.
        ModelError: as `to_int8`.
        RunFolderError: the target cannot be written.
    """
    if max_drop < 0:
        raise GossamerError(f"max_drop is 0 or more, got {max_drop}; give e.g. 0.01 for one point")
    exact = score(source)
    with prepared_graph(source, calibration) as prepared:
        trial = prepared.path.with_name("trial.onnx")
        order: list[Sensitivity] | None = None
        kept: list[Sensitivity] = []
        best: tuple[MixedFile, bytes] | None = None
        while True:
            content = _file(prepared, how, kept)
            trial.write_bytes(content)
            reached = score(trial)
            heavy = tuple(each.nodes[0] for each in kept)
            drop = exact - reached
            if best is None or drop < best[0].drop:
                best = MixedFile(target, heavy, reached, drop, within(drop, max_drop)), content
            if within(drop, max_drop):
                break
            order = _measure(prepared, calibration, how) if order is None else order
            if len(kept) == min(len(order) - 1, len(order) if most is None else most):
                break
            kept = order[: len(kept) + 1]
        write_bytes(target, best[1])
    return best[0]


def _file(prepared: PreparedGraph, how: Calibration, kept: Sequence[Sensitivity]) -> bytes:
    model = prepared.quantized(how, keep=[name for each in kept for name in each.nodes])
    compact(model)
    return bytes(model.SerializeToString())
