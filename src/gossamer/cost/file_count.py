"""Params and macs of a deployed file of any runtime: the graph that ships, read from the file. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gossamer.cost.onnx_count import count_onnx

if TYPE_CHECKING:
    from gossamer.files.tflite import Operator

__all__ = ["COUNTED", "FileCount", "count_file"]

COUNTED = (".onnx", ".tflite")
"""Suffixes of files that can be counted."""

_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
_UNKNOWN = frozenset({"BATCH_MATMUL", "CONV_3D", "CUSTOM", "TRANSPOSE_CONV"})
"""Operators of LiteRT that multiply and add, but have no formula here."""
_NUMBERS = frozenset({"FLOAT32", "FLOAT16", "INT8"})


class FileCount(NamedTuple):
    """What a file holds and computes."""

    input: tuple[int, ...]
    """Its shape: (1, bands, H, W)."""
    params: int
    """Stored numbers, biases counted in; shapes, amounts and scales are none."""
    macs: int
    uncounted: tuple[str, ...]
    """Operators that multiply and add but have no formula."""


def count_file(path: Path, input: Sequence[int] | None = None) -> FileCount:
    """Count an .onnx or a .tflite file; `input` is the shape of one whose sizes are open.

    Raises:
        BundleError, ModelError: it is damaged, or cannot be counted.
    """
    if path.suffix != ".tflite":
        cost = count_onnx(path, input)
        return FileCount(tuple(cost.input), cost.params, cost.macs, tuple(cost.uncounted))
    from gossamer.files.tflite import read_operators

    operators = read_operators(path)
    return FileCount(
        _input(operators),
        _params(operators),
        sum(_macs(node) for node in operators),
        tuple(sorted({node.kind for node in operators if node.kind in _UNKNOWN})),
    )


def _input(operators: list[Operator]) -> tuple[int, ...]:
    """Of the first tensor that is read, but neither stored nor made."""
    made = {tensor.name for node in operators for tensor in node.outputs}
    read = (tensor for node in operators for tensor in node.inputs)
    return next(tensor.shape for tensor in read if tensor.values is None and tensor.name not in made)


def _params(operators: list[Operator]) -> int:
    stored = {
        tensor.name: prod(tensor.shape)
        for node in operators
        for place, tensor in enumerate(node.inputs)
        if tensor.values is not None
        and (tensor.kind in _NUMBERS or (place == 2 and node.kind in _WEIGHTED))  # biases of int8 are INT32
    }
    return sum(stored.values())


def _macs(node: Operator) -> int:
    """Each weight multiplies once a place of the result: (1, H, W, channels), or (1, channels) where it has no places."""
    if node.kind not in _WEIGHTED:
        return 0
    return prod(node.inputs[1].shape) * prod(node.outputs[0].shape[1:-1])
