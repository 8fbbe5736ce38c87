"""What a task would do with a network's answers, put behind the network in its graph: by name, with plain arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from gossamer.files.onnx_bodies import unused_names

__all__ = ["ENDINGS", "suppress"]

_LARGEST = 1e6


class _Tail:
    """Nodes behind a graph, written as calls."""

    def __init__(self, model: ModelProto) -> None:
        self.graph, self.unused = model.graph, unused_names(model.graph)
        self.nodes: list[NodeProto] = []

    def constant(self, values: Any, kind: Any = np.int64) -> str:
        """The name of stored numbers."""
        name = self.unused("stored")
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def call(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> tuple[str, ...]:
        """The names of what an operator gives."""
        names = [self.unused(operator.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return tuple(names)

    def one(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The name of the one thing that an operator gives."""
        return self.call(operator, *inputs, **attributes)[0]

    def columns(self, name: str, start: int, stop: int, axis: int) -> str:
        """A part of a tensor along an axis."""
        return self.one("Slice", name, self.constant([start]), self.constant([stop]), self.constant([axis]))

    def zeros(self, *shape: int) -> str:
        """Numbers that need no place in the file."""
        value = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.0])
        return self.one("ConstantOfShape", self.constant(shape), value=value)


def suppress(
    model: ModelProto, *, labels: int, threshold: float, overlap: float, most: int, candidates: int
) -> None:
    """Let a graph that gives (1, A, 4 + labels), xyxy and scores, give (1, most, 4 + labels) instead, in place.

    Of all pairs of box and label the best `candidates` are looked at; those above `threshold` stay that overlap no better
    one of their label by more than `overlap` (IoU). Rows come best first, each with one score, and are zeros beyond.
    """
    tail = _Tail(model)
    answers = model.graph.output[0].name
    taken = tail.unused("answers")
    for node in model.graph.node:
        node.input[:] = [taken if name == answers else name for name in node.input]
        node.output[:] = [taken if name == answers else name for name in node.output]
    boxes, values, label = _candidates(tail, taken, labels, candidates)
    lows, highs = tail.columns(boxes, 0, 2, 1), tail.columns(boxes, 2, 4, 1)
    sides = tail.one("Cast", tail.one("Greater", highs, lows), to=TensorProto.FLOAT)
    real = tail.one("ReduceMin", sides, tail.constant([1]), keepdims=1)
    chosen = tail.one("OneHot", label, tail.constant(labels), tail.constant([0, 1], np.float32))
    scores = tail.one("Mul", chosen, tail.one("Mul", real, values))
    first = tail.constant([0])
    pairs = tail.one(
        "NonMaxSuppression",
        tail.one("Unsqueeze", boxes, first),
        tail.one("Unsqueeze", tail.one("Transpose", scores, perm=[1, 0]), first),
        tail.constant([most]),
        tail.constant([overlap], np.float32),
        tail.constant([threshold], np.float32),
    )
    kept = tail.one("Reshape", tail.columns(pairs, 2, 3, 1), tail.constant([-1]))
    filled = tail.one("Concat", kept, tail.constant([candidates] * most), axis=0)
    _, order = tail.call("TopK", filled, tail.constant([most]), outputs=2, largest=0)
    places = tail.one("Gather", filled, order)
    rows = tail.one("Concat", tail.one("Concat", boxes, scores, axis=1), tail.zeros(1, 4 + labels), axis=0)
    tail.nodes.append(helper.make_node("Unsqueeze", [tail.one("Gather", rows, places), first], [answers]))
    model.graph.node.extend(tail.nodes)
    shape = helper.make_tensor_value_info(answers, TensorProto.FLOAT, [1, most, 4 + labels])
    model.graph.output[0].CopyFrom(shape)


def _candidates(tail: _Tail, answers: str, labels: int, count: int) -> tuple[str, str, str]:
    """The best pairs of box and label, best first: boxes (count, 4), scores (count, 1) and labels (count,)."""
    padding = tail.zeros(1, math.ceil(count / labels), 4 + labels)
    rows = tail.one("Concat", answers, padding, axis=1)
    flat = tail.one("Reshape", tail.columns(rows, 4, 4 + labels, 2), tail.constant([-1]))
    values, places = tail.call("TopK", flat, tail.constant([count]), outputs=2)
    width = tail.constant(labels)
    boxes = tail.one("Reshape", tail.columns(rows, 0, 4, 2), tail.constant([-1, 4]))
    chosen = tail.one("Gather", boxes, tail.one("Div", places, width))
    limits = tail.constant(-_LARGEST, np.float32), tail.constant(_LARGEST, np.float32)
    return (
        tail.one("Clip", chosen, *limits),
        tail.one("Unsqueeze", values, tail.constant([1])),
        tail.one("Mod", places, width),
    )


ENDINGS: Mapping[str, Callable[..., None]] = {"suppressed": suppress}
"""Name, as a file's metadata tell it -> the edit, (model, **arguments)."""
