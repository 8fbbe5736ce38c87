"""Graphs inside graphs: the bodies of If, Loop and Scan, which read tensors of the graph around them by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

__all__ = ["all_graphs", "all_nodes", "inline_branches", "rename", "unused_names"]

_FOLLOWED = frozenset(
    {
        "Cast",
        "Concat",
        "Equal",
        "Gather",
        "Greater",
        "Less",
        "Not",
        "Reshape",
        "Shape",
        "Slice",
        "Squeeze",
        "Unsqueeze",
    }
)
"""What exporters compute a condition with."""
_MAX_ELEMENTS = 64


def all_graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph, and every graph inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                if body.node or body.initializer or body.output:
                    yield from all_graphs(body)


def all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a graph and of every graph inside it."""
    for each in all_graphs(graph):
        yield from each.node


def rename(graph: GraphProto, name: Callable[[str], str]) -> None:
    """Give tensors other names, in place, the bodies' own too: a name means one tensor in all of them."""
    for body in all_graphs(graph):
        for node in body.node:
            for names in (node.input, node.output):
                names[:] = [name(each) for each in names]
        for value in (*body.input, *body.output, *body.value_info, *body.initializer):
            value.name = name(value.name)


def unused_names(graph: GraphProto) -> Callable[[str], str]:
    """What gives a wanted name to something new: as it is where nothing in the graph is called so, else with `_` behind."""
    used = {name for node in all_nodes(graph) for name in (*node.input, *node.output)}
    used |= {tensor.name for body in all_graphs(graph) for tensor in body.initializer}

    def unused(name: str) -> str:
        count, plain = 0, name
        while name in used:
            name, count = f"{plain}_{count or ''}", count + 1
        used.add(name)
        return name

    return unused


def inline_branches(model: ModelProto) -> int:
    """Put the branch that runs in the place of every If whose condition follows from shapes; in place, how many there were.

    A tracer writes both branches down though the input's size is fixed; quantizers and some runtimes take no If.
    """
    count = 0
    while (place := _settled(model)) is not None:
        index, taken = place
        _inline(model.graph, index, taken)
        count += 1
    return count


def _settled(model: ModelProto) -> tuple[int, bool] | None:
    """The first If of the graph whose condition is known: (its place, what it is)."""
    if not any(node.op_type == "If" for node in model.graph.node):
        return None
    known = _known_values(model)
    for index, node in enumerate(model.graph.node):
        if node.op_type == "If" and node.input[0] in known:
            return index, bool(numpy_helper.to_array(known[node.input[0]]).item())
    return None


def _known_values(model: ModelProto) -> dict[str, TensorProto]:
    """Small tensors that follow from stored ones and from the shapes of others."""
    from onnx.reference import ReferenceEvaluator

    graph = shape_inference.infer_shapes(model).graph
    shapes = {}
    for value in (*graph.input, *graph.value_info):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = [dim.dim_value for dim in dims]
    known = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            known[node.output[0]] = node.attribute[0].t
        elif node.op_type == "Shape" and node.input[0] in shapes and not node.attribute:
            known[node.output[0]] = numpy_helper.from_array(np.array(shapes[node.input[0]], np.int64))
        elif node.op_type in _FOLLOWED and all(not name or name in known for name in node.input):
            values = {name: numpy_helper.to_array(known[name]) for name in node.input if name}
            if all(value.size <= _MAX_ELEMENTS for value in values.values()):
                (result,) = ReferenceEvaluator(node).run(None, values)
                known[node.output[0]] = numpy_helper.from_array(np.asarray(result))
    return known


def _inline(graph: GraphProto, index: int, taken: bool) -> None:
    nodes = list(graph.node)
    branching = nodes[index]
    wanted = "then_branch" if taken else "else_branch"
    body = GraphProto()
    body.CopyFrom(next(a.g for a in branching.attribute if a.name == wanted))
    made = {name for node in body.node for name in node.output}
    given = dict(zip((value.name for value in body.output), branching.output, strict=True))
    passed = [helper.make_node("Identity", [old], [new]) for old, new in given.items() if old not in made]
    rename(body, lambda name: given[name] if name in given and name in made else name)
    graph.initializer.extend(body.initializer)
    kept = []
    for node in (*nodes[:index], *body.node, *passed, *nodes[index + 1 :]):
        copied = NodeProto()
        copied.CopyFrom(node)
        kept.append(copied)
    del graph.node[:]
    graph.node.extend(kept)
