"""Whether an int8 file is worth shipping in place of the fp32 file: both measured side by side, and why (no torch).

int8 is no gain by itself: hard-swish, the gates of squeeze-and-excite and means stay float in ONNX Runtime, with a
conversion on either side.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto

from gossamer.cost.latency import compare, measure_latency
from gossamer.deploy.runtimes import get_runtime

__all__ = ["Int8Verdict", "decide", "float_operators", "judge_int8"]

_FASTER, _SLOWER, _SMALLER = 0.95, 1.05, 0.9
_MOVES = frozenset(
    [
        "Concat",
        "Flatten",
        "Gather",
        "MaxPool",
        "Pad",
        "Relu",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Transpose",
    ]
)
"""Run on whatever type they are given."""
_CONVERSIONS = frozenset({"Cast", "Constant", "DequantizeLinear", "QuantizeLinear", "Shape"})


@dataclass(frozen=True)
class Int8Verdict:
    """int8 against fp32 on one runtime; ratios are int8 over fp32."""

    recommended: bool
    runtime: str
    size_ratio: float
    latency_ratio: float
    float_operators: Mapping[str, int]
    """What computes in float although the file is int8: operator -> how often."""
    reason: str


def judge_int8(fp32: Path, int8: Path, *, threads: int = 1, seconds: float = 1.0) -> Int8Verdict:
    """Measure both files in ONNX Runtime, in the same rounds, and judge.

    Raises:
        BundleError: a file is missing or damaged.
    """
    runtime = get_runtime("onnxruntime")
    sessions = {name: runtime.load(path, threads=threads) for name, path in (("fp32", fp32), ("int8", int8))}
    dims = onnx.load(fp32, load_external_data=False).graph.input[0].type.tensor_type.shape.dim
    example = np.zeros([dim.dim_value or 1 for dim in dims], np.float32)
    timed = measure_latency(
        {name: lambda session=session: session.run(example) for name, session in sessions.items()},  # type: ignore[misc]
        seconds=seconds,
        threads=threads,
    )
    return decide(
        "onnxruntime",
        size_ratio=int8.stat().st_size / fp32.stat().st_size,
        latency_ratio=compare(timed["int8"], timed["fp32"]).ratio,
        operators=float_operators(int8),
    )


def decide(
    runtime: str, *, size_ratio: float, latency_ratio: float, operators: Mapping[str, int]
) -> Int8Verdict:
    """int8 where it is faster, or a tenth smaller without being slower; within 5 % is neither faster nor slower."""
    faster, slower, smaller = latency_ratio < _FASTER, latency_ratio > _SLOWER, size_ratio < _SMALLER
    figures = f"int8 takes {latency_ratio:.2f} of the time and {size_ratio:.2f} of the bytes"
    if faster:
        return Int8Verdict(
            True, runtime, size_ratio, latency_ratio, operators, f"int8: {figures} of fp32 on {runtime}"
        )
    if smaller and not slower:
        reason = f"int8: as fast as fp32 on {runtime} and smaller; {figures}"
        return Int8Verdict(True, runtime, size_ratio, latency_ratio, operators, reason)
    named = ", ".join(f"{name} x {count}" for name, count in sorted(operators.items(), key=lambda i: -i[1]))
    why = f"; in float stay {named}" if named else ""
    start = "fp32 is faster" if slower else "int8 buys nothing"
    return Int8Verdict(
        False, runtime, size_ratio, latency_ratio, operators, f"{start} on {runtime}: {figures}{why}"
    )


def float_operators(path: Path) -> dict[str, int]:
    """What ONNX Runtime computes in float in a file after its own optimisation, the conversions left out."""
    import onnxruntime as ort

    with tempfile.TemporaryDirectory(prefix="gossamer-verdict-") as folder:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(Path(folder, "optimised.onnx"))
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return _float_nodes(onnx.load(options.optimized_model_filepath))


def _float_nodes(model: ModelProto) -> dict[str, int]:
    integers: set[str] = set()
    found: Counter[str] = Counter()
    for node in model.graph.node:
        moves = node.op_type in _MOVES
        made = node.op_type == "QuantizeLinear" or node.op_type.startswith("QLinear")
        if made or (moves and any(name in integers for name in node.input)):
            integers.update(node.output)
        elif not moves and node.op_type not in _CONVERSIONS:
            found[node.op_type] += 1
    return dict(found)
