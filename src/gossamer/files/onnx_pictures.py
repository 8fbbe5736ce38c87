"""Preprocessing and shares in the graph: bytes of a picture (1, H, W, bands) in, what a person reads out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from gossamer.files.onnx_bodies import unused_names

__all__ = ["PICTURE", "SHARES", "take_bytes"]

PICTURE, SHARES = "picture", "shares"


def take_bytes(
    model: ModelProto, scale: Sequence[float], shift: Sequence[float], *, temperature: float | None = None
) -> None:
    """Let a graph with one input (1, bands, H, W) take bytes `picture` (1, H, W, bands) instead, in place.

    Band b of the input is byte * scale[b] + shift[b]. With a temperature the first output becomes `shares`: the softmax of
    scores divided by it; all others stay.
    """
    graph = model.graph
    taken = graph.input[0]
    bands, height, width = (side.dim_value for side in taken.type.tensor_type.shape.dim[1:])
    unused = unused_names(graph)
    picture = unused(PICTURE)
    numbers, scaled, shifted = unused("picture_float"), unused("picture_scaled"), unused("picture_shifted")
    factors, terms = unused("picture_scale"), unused("picture_shift")
    before = [
        helper.make_node("Cast", [picture], [numbers], to=TensorProto.FLOAT),
        helper.make_node("Mul", [numbers, factors], [scaled]),
        helper.make_node("Add", [scaled, terms], [shifted]),
        helper.make_node("Transpose", [shifted], [taken.name], perm=[0, 3, 1, 2]),
    ]
    for name, values in ((factors, scale), (terms, shift)):
        graph.initializer.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
    after = []
    if temperature is not None:
        given, divisor, cooled = graph.output[0].name, unused("temperature"), unused("cooled_scores")
        shares = unused(SHARES)
        graph.initializer.append(numpy_helper.from_array(np.asarray(temperature, np.float32), divisor))
        after = [
            helper.make_node("Div", [given, divisor], [cooled]),
            helper.make_node("Softmax", [cooled], [shares], axis=-1),
        ]
        graph.output[0].name = shares
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    others = [
        helper.make_tensor_value_info(picture, TensorProto.UINT8, [1, height, width, bands]),
        *graph.input[1:],
    ]
    del graph.input[:]
    graph.input.extend(others)
