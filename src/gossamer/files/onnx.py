"""Edits of ONNX files that change no output: padding folded or written out, names shortened, the contract written in."""

from __future__ import annotations

import json
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from gossamer._files import write_bytes
from gossamer.files.metadata import METADATA_KEY
from gossamer.files.onnx_bodies import all_graphs, all_nodes, rename, unused_names

__all__ = [
    "compact",
    "fold_constants",
    "fold_pads",
    "write_file_metadata",
    "write_metadata",
    "write_out_pads",
]

_SHAPE_OPS = frozenset({"Cast", "Concat", "ConstantOfShape", "Reshape", "Slice", "Transpose"})
_MAX_SHAPE_ELEMENTS = 64


def fold_pads(model: ModelProto) -> int:
    """Move constant zero padding into the convolution behind it, in place; how many were moved.

    Quantizers put a pair of nodes around every Pad, and runtimes then run it by itself.
    """
    graph = model.graph
    constants = _constants(model)
    uses = Counter(name for node in all_nodes(graph) for name in node.input)
    made_by = {node.output[0]: node for node in graph.node}
    folded: list[NodeProto] = []
    for conv in graph.node:
        pad = made_by.get(conv.input[0]) if conv.op_type == "Conv" else None
        if pad is None or pad.op_type != "Pad" or uses[pad.output[0]] != 1:
            continue
        amounts = _zero_pads(pad, constants)
        if amounts is None:
            continue
        _pad_more(conv, amounts)
        conv.input[0] = pad.input[0]
        folded.append(pad)
    for node in folded:
        graph.node.remove(node)
    _drop_unused(model)
    return len(folded)


def _pad_more(conv: NodeProto, amounts: Sequence[int]) -> None:
    """Add [begin..., end...] to a convolution's own padding, in place."""
    attributes = {a.name: a for a in conv.attribute}
    own = list(attributes["pads"].ints) if "pads" in attributes else [0] * len(amounts)
    if "pads" in attributes:
        conv.attribute.remove(attributes["pads"])
    conv.attribute.append(helper.make_attribute("pads", [a + b for a, b in zip(own, amounts, strict=True)]))


def write_out_pads(model: ModelProto) -> int:
    """Join zeros to a map that is padded with them before a maximum, in place; how many paddings there were.

    ONNX Runtime (1.31) folds such a Pad into the MaxPool behind it, whose own padding is less than every number: where all
    of a window is negative the maximum is then another. Maps of unknown shape stay as they are.
    """
    graph = model.graph
    constants, unused = _constants(model), unused_names(graph)
    pooled = {node.input[0] for node in graph.node if node.op_type == "MaxPool"}
    pads = [node for node in graph.node if node.op_type == "Pad" and node.output[0] in pooled]
    shapes = _shapes(model) if pads else {}
    count = 0
    for pad in pads:
        amounts, shape = _zero_pads(pad, constants), shapes.get(pad.input[0], [])
        if amounts is None or not shape or not all(shape):
            continue
        place = list(graph.node).index(pad)
        graph.node.remove(pad)
        for node in reversed(_joined(pad, shape, amounts, unused)):
            graph.node.insert(place, node)
        count += 1
    _drop_unused(model)
    return count


def _joined(
    pad: NodeProto, shape: Sequence[int], amounts: Sequence[int], unused: Callable[[str], str]
) -> list[NodeProto]:
    """Nodes that give what a Pad by spatial [begin..., end...] gives of a map of this shape."""
    sides, name, half = list(shape), pad.input[0], len(amounts) // 2
    value = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.0])
    nodes: list[NodeProto] = []
    for axis in range(half):
        parts = [name]
        for amount, first in ((amounts[axis], True), (amounts[half + axis], False)):
            if amount:
                border = [*sides[: 2 + axis], amount, *sides[3 + axis :]]
                size, zeros = unused("border_shape"), unused("border")
                stored = numpy_helper.from_array(np.asarray(border, np.int64))
                nodes.append(helper.make_node("Constant", [], [size], value=stored))
                nodes.append(helper.make_node("ConstantOfShape", [size], [zeros], value=value))
                parts.insert(0 if first else len(parts), zeros)
        if len(parts) > 1:
            name = unused("padded")
            nodes.append(helper.make_node("Concat", parts, [name], axis=2 + axis))
            sides[2 + axis] += amounts[axis] + amounts[half + axis]
    nodes[-1].output[0] = pad.output[0]
    return nodes


def _shapes(model: ModelProto) -> dict[str, list[int]]:
    """Sides of tensors by name, 0 where one is unknown."""
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    return {
        value.name: [side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info)
    }


def fold_constants(model: ModelProto) -> int:
    """Store the shapes and amounts that nodes compute from constants alone, in place; how many nodes went.

    Shape inference, and whoever counts the file, then knows every tensor.
    """
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    constants = _constants(model)
    folded = [node for node in graph.node if node.output[0] in constants and node.output[0] not in stored]
    for node in folded:
        tensor = TensorProto()
        tensor.CopyFrom(constants[node.output[0]])
        tensor.name = node.output[0]
        graph.initializer.append(tensor)
        graph.node.remove(node)
    _drop_unused(model)
    return len(folded)


def _constants(model: ModelProto) -> dict[str, onnx.TensorProto]:
    """Tensors known before any input: stored, or computed from stored ones (torch spells the amounts of a Pad so)."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
        elif node.op_type in _SHAPE_OPS and (result := _computed(node, constants)) is not None:
            constants[node.output[0]] = result
    return constants


def _computed(node: NodeProto, constants: Mapping[str, onnx.TensorProto]) -> onnx.TensorProto | None:
    """What a node gives of constants; None where an input is none, or a large one."""
    from onnx.reference import ReferenceEvaluator

    if not all(name in constants for name in node.input):
        return None
    values = {name: numpy_helper.to_array(constants[name]) for name in node.input}
    if any(value.size > _MAX_SHAPE_ELEMENTS for value in values.values()):
        return None
    result = ReferenceEvaluator(node).run(None, values)
    return numpy_helper.from_array(np.asarray(result[0]), node.output[0])


def _zero_pads(pad: NodeProto, constants: Mapping[str, onnx.TensorProto]) -> list[int] | None:
    """Spatial [begin..., end...] of a constant zero Pad of NCHW, or None where it is something else."""
    mode = next((a.s.decode() for a in pad.attribute if a.name == "mode"), "constant")
    if mode != "constant" or len(pad.input) > 3 or pad.input[1] not in constants:
        return None
    if len(pad.input) == 3 and not _is_zero(pad.input[2], constants):
        return None
    amounts = [int(v) for v in numpy_helper.to_array(constants[pad.input[1]])]
    half = len(amounts) // 2
    if any(amounts[:2]) or any(amounts[half : half + 2]) or min(amounts) < 0:
        return None
    return amounts[2:half] + amounts[half + 2 :]


def _is_zero(name: str, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether an input that may be left out is, or is a constant zero."""
    if not name:
        return True
    value = constants.get(name)
    return value is not None and bool(numpy_helper.to_array(value).item() == 0)


def _drop_unused(model: ModelProto) -> None:
    graph = model.graph
    while True:
        used = _used(model)
        dead = [node for node in graph.node if not used.intersection(node.output)]
        if not dead:
            break
        for node in dead:
            graph.node.remove(node)
    for tensor in [t for t in graph.initializer if t.name not in used]:
        graph.initializer.remove(tensor)


def _used(model: ModelProto) -> set[str]:
    """What some node reads, or a graph gives; bodies of If, Loop and Scan read what is around them."""
    read = {name for node in all_nodes(model.graph) for name in node.input}
    return read | {output.name for graph in all_graphs(model.graph) for output in graph.output}


def compact(model: ModelProto) -> None:
    """Shorten what only people read, merge equal constants, drop zero points of 0: in place, same outputs."""
    graph = model.graph
    _merge_constants(model)
    _drop_zero_points(model)
    _drop_unused(model)
    kept = {i.name for i in graph.input} | {o.name for o in graph.output} | {""}
    short: dict[str, str] = {}
    for node in all_nodes(graph):
        node.name = ""
        node.doc_string = ""
        del node.metadata_props[:]
    for body in all_graphs(graph):
        del body.value_info[:]
        body.doc_string = ""
        for tensor in body.initializer:
            tensor.doc_string = ""
    rename(graph, lambda name: name if name in kept else short.setdefault(name, _short_name(len(short))))
    model.doc_string = ""


def _short_name(index: int) -> str:
    digits = string.ascii_letters  # no figures: quantizers append them to make names of their own
    name = ""
    while True:
        name = digits[index % len(digits)] + name
        index //= len(digits)
        if index == 0:
            return "_" + name


def _merge_constants(model: ModelProto) -> None:
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    same: dict[str, str] = {}
    for tensor in list(model.graph.initializer):
        key = (tensor.data_type, tuple(tensor.dims), numpy_helper.to_array(tensor).tobytes())
        if key in first:
            same[tensor.name] = first[key]
            model.graph.initializer.remove(tensor)
        else:
            first[key] = tensor.name
    rename(model.graph, lambda name: same.get(name, name))


def _drop_zero_points(model: ModelProto) -> None:
    """A DequantizeLinear without zero point means 0: for constants the array of zeros need not be stored."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or len(node.input) < 3 or node.input[0] not in constants:
            continue
        zero_point = constants.get(node.input[2])
        if zero_point is not None and not np.any(numpy_helper.to_array(zero_point)):
            del node.input[2]


def write_metadata(model: ModelProto, document: Mapping[str, Any]) -> None:
    """Write the contract, labels and provenance into the file's metadata_props: in place."""
    kept = [p for p in model.metadata_props if p.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(document, ensure_ascii=False, allow_nan=False)


def write_file_metadata(path: Path, document: Mapping[str, Any]) -> None:
    """Write contract, labels and provenance into a file's metadata_props, in place of those it holds."""
    model = onnx.load(path)
    write_metadata(model, document)
    write_bytes(path, model.SerializeToString())
