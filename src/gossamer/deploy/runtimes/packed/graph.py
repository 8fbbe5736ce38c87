"""An ONNX graph apart from its numbers: what a packed file needs to be run on ONNX Runtime without torch.

A graph without its constants is a few hundred bytes when deflated. Where a node's input is named by a number, the
tensor of that place in the file is meant; a T behind the number means the tensor transposed. Constants of a few
numbers (shapes, clip limits) stay in the graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.runtimes.packed.bytestream import damaged
from gossamer.deploy.runtimes.packed.settings import KINDS
from gossamer.errors import ModelError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto

__all__ = ["SplitGraph", "join_graph", "split_graph"]

Array = NDArray[Any]
FEW_NUMBERS = 16
"""Constants that are no tensor of the network and have at most so many numbers stay in the graph."""
_PLACE = re.compile(r"^(\d{1,9})(T?)$")


class SplitGraph(NamedTuple):
    """A model without its constants, serialised, and these by name in the order of their numbers."""

    graph: bytes
    tensors: dict[str, Array]


def split_graph(model: ModelProto, tensors: Mapping[str, Array]) -> SplitGraph:
    """Take the constants out of an ONNX model; those that are one of `tensors`, to the last bit, get its name.

    A constant has the shape that the graph gives it, a transposed one that of the tensor. Further large constants
    (what an exporter made) are named `constant N`. The model is left as it is.

    Raises:
        ModelError: values in the graph have numbers for names already.
    """
    from onnx import numpy_helper

    from gossamer.files.onnx_bodies import rename

    bare = _copied(model)
    known = _by_content(tensors)
    found: dict[str, Array] = {}
    renamed: dict[str, str] = {}
    for constant in list(bare.graph.initializer):
        values = numpy_helper.to_array(constant)
        name, turned = _named(values, known)
        if name is None and (values.size <= FEW_NUMBERS or values.dtype.str.lstrip("<|") not in KINDS):
            continue
        name = name or f"constant {len(found)}"
        renamed[constant.name] = f"{len(found)}{'T' * turned}"
        found[name] = np.ascontiguousarray(values.T) if turned else values
        bare.graph.initializer.remove(constant)
    rename(bare.graph, lambda name: renamed.get(name, name))
    return SplitGraph(bare.SerializeToString(deterministic=True), found)


def _copied(model: ModelProto) -> ModelProto:
    """The model without its metadata, whose values are known to have names that are no numbers."""
    from onnx import ModelProto

    from gossamer.files.onnx_bodies import all_nodes

    bare = ModelProto()
    bare.CopyFrom(model)
    del bare.metadata_props[:]
    made = [
        *(each.name for each in bare.graph.input),
        *(name for node in all_nodes(bare.graph) for name in node.output),
    ]
    if taken := [name for name in made if _PLACE.match(name)]:
        raise ModelError(f"values of a graph have names, got {taken[0]!r}; export it with gossamer")
    return bare


def _by_content(tensors: Mapping[str, Array]) -> dict[tuple[Any, ...], tuple[str, bool]]:
    """(type, shape or number of elements, bytes) -> (name, whether transposed); the first of equal ones."""
    known: dict[tuple[Any, ...], tuple[str, bool]] = {}
    for name, tensor in tensors.items():
        if tensor.ndim == 2:
            turned = (tensor.dtype.str, tensor.shape[::-1], np.ascontiguousarray(tensor.T).tobytes())
            known.setdefault(turned, (name, True))
    for name, tensor in reversed(list(tensors.items())):
        known[tensor.dtype.str, tensor.shape, tensor.tobytes()] = name, False
        known.setdefault((tensor.dtype.str, tensor.size, tensor.tobytes()), (name, False))
    return known


def _named(values: Array, known: Mapping[tuple[Any, ...], tuple[str, bool]]) -> tuple[str | None, bool]:
    content = values.tobytes()
    for shape in (values.shape, values.size):
        if (found := known.get((values.dtype.str, shape, content))) is not None:
            return found
    return None, False


def join_graph(graph: bytes, tensors: Sequence[Array]) -> ModelProto:
    """The ONNX model that `split_graph` took apart, its constants from `tensors` in their order.

    Raises:
        BundleError: it is no graph, names tensors that are not there, or points outside of the file.
    """
    import onnx
    from onnx import numpy_helper

    from gossamer.files.onnx_bodies import all_nodes

    try:
        model = onnx.load_model_from_string(graph)
    except Exception as error:  # protobuf's own type, which is not ours to import
        raise damaged("the graph is no ONNX model") from error
    if any(tensor.external_data for tensor in _stored(model.graph)):
        raise damaged("the graph takes constants from other files")
    wanted = {name for node in all_nodes(model.graph) for name in node.input if _PLACE.match(name)}
    for name in sorted(wanted):
        place, turned = int(name.rstrip("T")), name.endswith("T")
        if place >= len(tensors):
            raise damaged(f"the graph names tensor {place} of {len(tensors)}")
        values = tensors[place].T if turned else tensors[place]
        model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
    return model


def _stored(graph: GraphProto) -> Iterator[TensorProto]:
    """Every tensor inside a graph and the graphs of its nodes."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for attribute in (each for node in graph.node for each in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for inner in (attribute.g, *attribute.graphs):
            if inner.node or inner.initializer:
                yield from _stored(inner)
