"""What ONNX Runtime computes in float although the file is int8 (no torch)."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import onnx
from onnx import ModelProto

__all__ = ["float_operators"]

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
