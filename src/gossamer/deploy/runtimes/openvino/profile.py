"""Where the time goes on OpenVINO: the time of every node of an ONNX file on its CPU plugin, beside what the node costs.

Nodes are those that run, after the runtime's own optimiser; their shapes come from the runtime model. OpenVINO keeps
the mean of all runs since compiling, in whole microseconds, and no single runs. So the file is compiled anew for each
round, and a round's time is the mean of its runs without the warm-up; nodes under a microsecond are not seen. Precision is fp32: by default OpenVINO computes
fp32 files in bfloat16 where the processor can.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from gossamer.cost.formulas import convolution_kind, convolution_macs, matmul_macs
from gossamer.deploy.runtimes.node_times import (
    FileInput,
    NodeTime,
    Profile,
    Shape,
    check_file,
    check_request,
    layer_of,
    random_input,
    typical,
)
from gossamer.errors import BundleError, ModelError

__all__ = ["profile_file"]

_ROUNDS = 6
_WARM_UP = 2
_BIAS = "/WithoutBiases"
"""What OpenVINO adds to the name of a convolution."""
_KINDS = {"FullyConnected": "Gemm", "AvgPool": "AveragePool", "Multiply": "Mul", "Clamp": "Clip"}
"""Operators that ONNX calls otherwise; the other names are OpenVINO's."""
_UNKNOWN_MACS = frozenset(
    {"AUGRUCell", "AUGRUSequence", "GRUCell", "GRUSequence", "LSTMCell", "LSTMSequence", "MHA", "RNNCell"}
    | {"RNNSequence", "RNNSeq", "DeformableConvolution", "ScaledDotProductAttention"}
)
"""Operators that multiply and add, but have no formula here."""
_PRECISIONS = {"f16": "fp16", "bf16": "fp16", "i8": "int8", "u8": "int8"}


class _Tensor(NamedTuple):
    """One operand or result; `stored` where the file gives it."""

    shape: Shape
    bytes: int
    stored: bool = False


class _Run(NamedTuple):
    """What a round tells of a node; the mean time of its runs."""

    name: str
    op: str
    executed: bool
    ms: float


class _Operator(NamedTuple):
    """A node of the runtime model."""

    sort: str
    """The runtime's `layerType`."""
    origins: tuple[str, ...]
    """Names of the file's nodes that it does the work of."""
    precision: str
    inputs: tuple[_Tensor, ...]
    outputs: tuple[_Tensor, ...]


def _taken(core: Any, path: Path, threads: int, rounds: int, each: int) -> tuple[list[list[_Run]], Any]:
    """(every round's nodes, the network as it was compiled last)."""
    settings = {
        "PERF_COUNT": True,
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }
    taken: list[list[_Run]] = []
    try:
        model = core.read_model(path)
        feed = random_input(path, [_input(port) for port in model.inputs])
        for _ in range(rounds):
            compiled = core.compile_model(model, "CPU", settings)
            taken.append(_round(compiled.create_infer_request(), feed, each))
    except RuntimeError as error:  # OpenVINO knows no other
        raise BundleError(
            f"{path} is no ONNX file that can be run ({_reason(error)}); export it again"
        ) from error
    return taken, compiled


def profile_file(path: Path, *, threads: int = 1, runs: int = 30, layers: Collection[str] = ()) -> Profile:
    """Run an ONNX file under OpenVINO's counters, as it is used on the CPU, on random numbers.

    `layers` are the names of the network's modules, which nodes are matched with. A node's time is the median of the
    faster half of up to six rounds of `runs` in all; biases count where the runtime model shows them.

    Raises:
        BundleError: the file is missing or no ONNX file that can be run.
        MissingExtraError: OpenVINO is not installed.
        ModelError: it does not take exactly one input of a fixed shape, or computes nothing.
        GossamerError: fewer than one run, or than one thread.
    """
    from gossamer.deploy.runtimes.openvino.run import engine

    check_request(runs, threads)
    check_file(path)
    runtime = engine()
    names = _node_names(path)
    rounds = min(runs, _ROUNDS)
    each = runs // rounds
    taken, compiled = _taken(runtime.Core(), path, threads, rounds, each)
    operators = _operators(compiled.get_runtime_model())
    pairs = [
        _node(same[-1], operators[same[-1].name], typical([run.ms for run in same]), names, layers)
        for same in zip(
            *taken, strict=True
        )  # names that OpenVINO makes up differ by round, the order does not
        if any(run.executed for run in same)
    ]
    if not pairs:
        raise ModelError("no node ran: the network computes nothing from its input; profile another file")
    uncounted = tuple(node.name for node, known in pairs if not known)
    return Profile(tuple(node for node, _ in pairs), rounds * each, threads, uncounted, "openvino")


def _node_names(path: Path) -> dict[str, str]:
    """Output of each node of the file -> its name: OpenVINO calls the last nodes by their outputs."""
    import onnx

    try:
        graph = onnx.load(path, load_external_data=False).graph
    except Exception as error:  # protobuf's own exception types differ by version
        reason = str(error).splitlines()[0][:160]
        raise BundleError(f"{path} is no ONNX file that can be run ({reason}); export it again") from error
    return {output: node.name for node in graph.node for output in node.output}


def _reason(error: Exception) -> str:
    """The line of an error that says what is wrong, without the source files that it passed through."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line and not line.startswith("Exception from")), "no reason")[:160]


def _input(port: Any) -> FileInput:
    shape = port.get_partial_shape()
    sides: list[object] = ["..."]
    if not shape.rank.is_dynamic:
        sides = [str(side) if side.is_dynamic else side.get_length() for side in shape]
    word = port.get_element_type().get_type_name()
    usual = word in {"f32", "f16", "f64", "u8", "i8"}
    return FileInput(port.any_name, sides, word, port.get_element_type().to_dtype() if usual else None)


def _round(request: Any, feed: Mapping[str, Any], runs: int) -> list[_Run]:
    """Every node of a newly compiled model, in the order they run."""
    for _ in range(_WARM_UP):
        request.infer(feed)
    before = [_microseconds(info) for info in request.get_profiling_info()]
    for _ in range(runs):
        request.infer(feed)
    found = []
    for info, first in zip(request.get_profiling_info(), before, strict=True):
        whole = (_WARM_UP + runs) * _microseconds(info) - _WARM_UP * first
        executed = info.status == info.Status.EXECUTED
        found.append(_Run(info.node_name, info.node_type, executed, max(0.0, whole / runs) / 1e3))
    return found


def _microseconds(info: Any) -> float:
    return float(info.real_time.total_seconds() * 1e6)


def _operators(model: Any) -> dict[str, _Operator]:
    """The runtime model by name."""
    found: dict[str, _Operator] = {}
    stored: set[str] = set()
    for node in model.get_ordered_ops():
        told = {key: str(value.value) for key, value in node.get_rt_info().items()}
        sources = [port.get_source_output().get_node().get_friendly_name() for port in node.inputs()]
        name = node.get_friendly_name()
        if told["layerType"] == "Const" or (sources and stored.issuperset(sources)):
            stored.add(name)
        inputs = zip(node.inputs(), sources, strict=True)
        found[name] = _Operator(
            told["layerType"],
            tuple(told["originalLayersNames"].split(",")),
            _PRECISIONS.get(told["runtimePrecision"], "fp32"),
            tuple(_tensor(port, source in stored) for port, source in inputs),
            tuple(_tensor(port) for port in node.outputs()),
        )
    return found


def _tensor(port: Any, stored: bool = False) -> _Tensor:
    shape = tuple(port.get_shape())
    return _Tensor(shape, prod(shape) * port.get_element_type().size, stored)


def _node(
    run: _Run, operator: _Operator, ms: float, names: Mapping[str, str], layers: Collection[str]
) -> tuple[NodeTime, bool]:
    """(the node, whether its macs are known)."""
    sort, inputs, outputs = operator.sort, operator.inputs, operator.outputs
    kind = _KINDS.get(run.op, run.op)
    macs, params, known = 0, 0, sort not in _UNKNOWN_MACS
    weight = inputs[1].shape if len(inputs) > 1 else ()
    if sort in ("Convolution", "Deconvolution"):
        known = sum(origin.endswith(_BIAS) for origin in operator.origins) < 2  # two merged into one
        transposed = sort == "Deconvolution"
        macs = convolution_macs(weight, inputs[0].shape if transposed else outputs[0].shape)
        grouped = len(weight) > len(outputs[0].shape)
        plain = (weight[0] * weight[1], *weight[2:]) if grouped else weight
        kind = "ConvTranspose" if transposed else convolution_kind(plain, inputs[0].shape)
    elif sort in ("FullyConnected", "MatMul"):
        macs = matmul_macs(inputs[0].shape, outputs[0].shape)
    if macs:
        params = sum(prod(each.shape) for each in inputs if each.stored)
    return NodeTime(
        run.name,
        run.op,
        kind,
        _layer(run.name, operator.origins, names, layers),
        ms,
        macs,
        sum(each.bytes for each in inputs if not each.stored),
        sum(each.bytes for each in outputs),
        params,
        sum(each.bytes for each in inputs if each.stored),
        operator.precision,
    ), known


def _layer(
    name: str, origins: Sequence[str], names: Mapping[str, str], layers: Collection[str]
) -> str | None:
    """The layer of the node itself, else of the first thing merged into it that has one."""
    for origin in sorted(origins, key=lambda each: each != name):
        layer = layer_of(names.get(origin, origin).removesuffix(_BIAS), layers)
        if layer is not None:
            return layer
    return None
