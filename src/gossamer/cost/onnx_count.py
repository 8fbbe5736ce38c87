"""Counting the graph that ships: an ONNX file, node by node, from the shapes of its tensors. No torch.

Definitions are those of `gossamer.cost.meter`, so that both can be held against each other: the count of an exported
network is the count of its fused form. Quantized operators count the multiply-accumulates of what they stand for;
what quantizes and dequantizes counts none. Tensors weigh what their type does (one byte for int8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto, TensorProto

from gossamer.cost.figures import Cost, LayerCost, OperatorCost
from gossamer.cost.formulas import convolution_kind, convolution_macs, matmul_macs, words
from gossamer.cost.onnx_shapes import inputs_of, read_model, with_shapes
from gossamer.errors import ModelError

__all__ = ["count_onnx"]

_VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators that only look at a tensor in another way."""
_WEIGHT_INPUT = {
    "Conv": 1,
    "ConvTranspose": 1,
    "ConvInteger": 1,
    "QLinearConv": 3,
    "Gemm": 1,
    "MatMul": 1,
    "MatMulInteger": 1,
    "QLinearMatMul": 3,
}
"""Operator -> which input holds the kernel or the right matrix."""
_POINTWISE = words(
    "Abs Add And BatchNormalization Ceil Clip Cos Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual GridSample HardSigmoid "
    "HardSwish InstanceNormalization LRN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Max Mean Min Mish "
    "Mul Neg Not Or PRelu Pow QLinearAdd QLinearLeakyRelu QLinearMul QLinearSigmoid Reciprocal Relu Resize Round Sigmoid "
    "Sign Sin Softmax Softplus Sqrt Sub Sum Tanh Upsample Where"
)
"""One operation for every number of the result."""
_REDUCTIONS = words(
    "ArgMax GlobalAveragePool GlobalMaxPool QLinearGlobalAveragePool ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum"
)
"""One operation for every number read."""
_POOLS = frozenset({"AveragePool", "MaxPool", "QLinearAveragePool"})
"""One operation for every number of every window."""
_MOVES = words(
    "Cast Concat Constant ConstantOfShape DepthToSpace DequantizeLinear Dropout DynamicQuantizeLinear Expand Gather GatherElements Pad "
    "QLinearConcat QuantizeLinear Range Shape Slice SpaceToDepth Split Tile TopK Transpose"
)
"""Nothing computed but what another type or place needs: seen in the bytes."""


class _Tensors:
    """Shapes and bytes of every tensor of a graph."""

    def __init__(self, model: ModelProto, path: Path) -> None:
        self.path = path
        graph = model.graph
        self.stored = {t.name: tuple(t.dims) for t in graph.initializer}
        self._types = {t.name: t.data_type for t in graph.initializer}
        self._shapes: dict[str, tuple[int, ...] | None] = dict(self.stored)
        for value in [*graph.input, *graph.value_info, *graph.output]:
            tensor = value.type.tensor_type
            self._types[value.name] = tensor.elem_type
            known = tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim)
            self._shapes.setdefault(
                value.name, tuple(d.dim_value for d in tensor.shape.dim) if known else None
            )

    def shape(self, name: str) -> tuple[int, ...]:
        shape = self._shapes.get(name)
        if shape is None:
            raise ModelError(
                f"every tensor needs a shape to be counted, {name!r} of {self.path} has none; export it again"
            )
        return shape

    def bytes(self, name: str) -> int:
        kind = self._types.get(name, TensorProto.FLOAT)
        width: int = onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize
        return prod(self.shape(name)) * width


def count_onnx(path: Path, input: Sequence[int] | None = None) -> Cost:
    """Count one inference of an ONNX file at its own input shape, or at `input` where that is left open.

    Raises:
        ModelError: the file is damaged, has more than one input, or a shape that cannot be known.
    """
    model = with_shapes(read_model(path), path, input)
    tensors = _Tensors(model, path)
    nodes = list(model.graph.node)
    layers = [_layer(node, index, tensors) for index, node in enumerate(nodes) if node.op_type not in _VIEWS]
    known = _POINTWISE | _REDUCTIONS | _POOLS | _MOVES | _VIEWS | set(_WEIGHT_INPUT)
    learnt = _parameters(nodes, tensors)
    return Cost(
        tensors.shape(inputs_of(model)[0].name),
        sum(prod(tensors.stored[name]) for name in learnt),
        sum(layer.macs for layer in layers),
        sum(layer.elementwise for layer in layers),
        sum(tensors.bytes(name) for name in learnt),
        sum(layer.bytes_read for layer in layers),
        sum(layer.bytes_written for layer in layers),
        _peak(model, nodes, tensors),
        tuple(sorted({node.op_type for node in nodes} - known)),
        tuple(layers),
        _operators(layers),
    )


def _operators(layers: Sequence[LayerCost]) -> tuple[OperatorCost, ...]:
    """Totals by kind, those with the most macs first."""
    groups: dict[str, list[LayerCost]] = {}
    for layer in layers:
        groups.setdefault(layer.kind, []).append(layer)
    totals = [
        OperatorCost(
            kind,
            len(those),
            sum(layer.macs for layer in those),
            sum(layer.elementwise for layer in those),
            sum(layer.bytes_read for layer in those),
            sum(layer.bytes_written for layer in those),
        )
        for kind, those in groups.items()
    ]
    return tuple(sorted(totals, key=lambda total: (-total.macs, total.kind)))


def _layer(node: NodeProto, index: int, tensors: _Tensors) -> LayerCost:
    read = [name for name in node.input if name and name not in tensors.stored]
    written = [name for name in node.output if name]
    own = list(_own_parameters(node, tensors))
    return LayerCost(
        node.name or f"{node.op_type}_{index}",
        _kind(node, tensors),
        tensors.shape(written[0]),
        sum(prod(tensors.stored[name]) for name in own),
        sum(tensors.bytes(name) for name in own),
        _macs(node, tensors),
        _elementwise(node, tensors),
        sum(tensors.bytes(name) for name in read),
        sum(tensors.bytes(name) for name in written[:1]),
    )


def _kind(node: NodeProto, tensors: _Tensors) -> str:
    """The operator, but for convolutions the sort of kernel."""
    operator: str = node.op_type
    if "Conv" not in operator:
        return operator
    weight = tensors.shape(node.input[_WEIGHT_INPUT[node.op_type]])
    transposed = operator == "ConvTranspose"
    return convolution_kind(weight, tensors.shape(node.input[0]), transposed=transposed)


def _elementwise(node: NodeProto, tensors: _Tensors) -> int:
    given = prod(tensors.shape(node.output[0]))
    if node.op_type in _POINTWISE:
        return given
    if node.op_type in _POOLS:
        window: Sequence[int] = next(a.ints for a in node.attribute if a.name == "kernel_shape")
        return given * prod(window)
    return prod(tensors.shape(node.input[0])) if node.op_type in _REDUCTIONS else 0


def _macs(node: NodeProto, tensors: _Tensors) -> int:
    place = _WEIGHT_INPUT.get(node.op_type)
    if place is None:
        return 0
    output, weight = tensors.shape(node.output[0]), tensors.shape(node.input[place])
    if node.op_type == "ConvTranspose":  # every input pixel meets the whole kernel
        return convolution_macs(weight, tensors.shape(node.input[0]))
    if "Conv" in node.op_type:
        return convolution_macs(weight, output)
    left = tensors.shape(node.input[0])
    if node.op_type == "Gemm" and _flag(node, "transA"):
        left = left[::-1]
    if node.op_type == "Gemm" or len(left) >= len(weight):
        return matmul_macs(left, output)
    return matmul_macs((*weight[:-2], *left[-2:]), output)


def _flag(node: NodeProto, name: str) -> int:
    return next((a.i for a in node.attribute if a.name == name), 0)


def _own_parameters(node: NodeProto, tensors: _Tensors) -> Iterator[str]:
    """Stored floating-point or quantized numbers that a node works with; shapes, scales and limits are none."""
    if node.op_type in _WEIGHT_INPUT:
        first = _WEIGHT_INPUT[node.op_type]
        names = [*node.input[first : first + 1], *node.input[-1:]]
        yield from dict.fromkeys(
            n
            for n in names
            if n in tensors.stored and (n == node.input[first] or len(tensors.stored[n]) == 1)
        )
    elif node.op_type in ("BatchNormalization", "PRelu", "LayerNormalization", "InstanceNormalization"):
        yield from (name for name in node.input[1:3] if name in tensors.stored)
    elif node.op_type == "DequantizeLinear" and node.input[0] in tensors.stored:
        yield node.input[0]


def _parameters(nodes: Sequence[NodeProto], tensors: _Tensors) -> list[str]:
    return list(dict.fromkeys(name for node in nodes for name in _own_parameters(node, tensors)))


def _peak(model: ModelProto, nodes: Sequence[NodeProto], tensors: _Tensors) -> int:
    """The largest sum of activations alive at once, each let go after its last use; views own nothing."""
    owner: dict[str, str] = {}
    last: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in node.input:
            last[owner.get(name, name)] = index
        if node.op_type in _VIEWS:
            owner[node.output[0]] = owner.get(node.input[0], node.input[0])
    for value in model.graph.output:
        last[owner.get(value.name, value.name)] = len(nodes)
    start = inputs_of(model)[0].name
    sizes: dict[str, int] = {start: tensors.bytes(start)}
    alive = peak = sizes[start]
    for index, node in enumerate(nodes):
        if node.op_type not in _VIEWS:
            made = {name: tensors.bytes(name) for name in node.output if name and name in last}
            sizes.update(made)
            alive += sum(made.values())
            peak = max(peak, alive)
        alive -= _let_go(sizes, last, index)
    return peak


def _let_go(sizes: dict[str, int], last: Mapping[str, int], index: int) -> int:
    gone = [name for name in sizes if last.get(name, -1) <= index]
    return sum(sizes.pop(name) for name in gone)
