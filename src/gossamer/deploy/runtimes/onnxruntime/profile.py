"""Where the time goes: the time of every node of an ONNX file on ONNX Runtime, beside what the node costs.

Nodes are those that run: after the runtime's own optimiser, which merges operators, adds `ReorderInput` and
`ReorderOutput` around its blocked layout and fills channels up to its block. Figures are counted from the shapes that
the profile gives, so filled-up channels count as well: this is the work that is done, not the work that is asked for.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

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

__all__ = ["profile_events", "profile_file"]

_CONVOLUTIONS = {"Conv": 1, "FusedConv": 1, "ConvInteger": 1, "ConvTranspose": 1, "QLinearConv": 3}
"""Operators and the position of their weight among the inputs."""
_PRODUCTS = frozenset(
    {"FusedGemm", "FusedMatMul", "Gemm", "MatMul", "MatMulInteger", "MatMulIntegerToFloat", "QGemm"}
    | {"QLinearMatMul"}
)
_UNKNOWN_MACS = frozenset(
    {"Attention", "DynamicQuantizeMatMul", "Einsum", "GRU", "LSTM", "MatMulNBits", "MultiHeadAttention"}
    | {"NhwcFusedConv", "RNN"}
)
"""Operators that multiply and add, but whose shapes in a profile do not tell how often."""
_VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators that give their input under another shape: they move nothing."""
_ITEM_BYTES = {"float": 4, "float16": 2, "double": 8, "int8": 1, "uint8": 1, "int32": 4, "int64": 8}
_INPUT_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
}
_WARM_UP = 3
_KERNEL = "_kernel_time"


def profile_file(path: Path, *, threads: int = 1, runs: int = 30, layers: Collection[str] = ()) -> Profile:
    """Run an ONNX file under the runtime's profiler, optimised as when it is used, on random numbers.

    `layers` are the names of the network's modules, which nodes are matched with; without them the names are taken
    as the file has them.

    Raises:
        BundleError: the file is missing or no ONNX file that can be run.
        ModelError: it does not take exactly one input of a fixed shape.
        GossamerError: fewer than one run, or than one thread.
    """
    import onnxruntime as ort

    check_request(runs, threads)
    check_file(path)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.enable_profiling = True
    with tempfile.TemporaryDirectory(prefix="gossamer-profile-") as folder:
        options.profile_file_prefix = str(Path(folder, "run"))
        try:
            session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own exception types differ by version
            reason = str(error).splitlines()[0][:160]
            raise BundleError(
                f"{path} is no ONNX file that can be run ({reason}); export it again"
            ) from error
        try:
            inputs = [
                FileInput(each.name, each.shape, each.type, _INPUT_TYPES.get(each.type))
                for each in session.get_inputs()
            ]
            feed = random_input(path, inputs)
            for _ in range(_WARM_UP + runs):
                session.run(None, feed)
        finally:
            written = session.end_profiling()
        events = json.loads(Path(written).read_text())
    return profile_events(events, threads=threads, warm_up=_WARM_UP, layers=layers)


def profile_events(
    events: Sequence[Mapping[str, Any]], *, threads: int = 1, warm_up: int = 0, layers: Collection[str] = ()
) -> Profile:
    """The profile behind the events of a profile file.

    The first `warm_up` runs are left out. A node's time is the median of the faster half of its others.

    Raises:
        ModelError: no node ran.
    """
    first: dict[tuple[str, str], Mapping[str, Any]] = {}
    times: dict[tuple[str, str], list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_KERNEL):
            key = (event["name"].removesuffix(_KERNEL), str(event["args"].get("node_index", "")))
            first.setdefault(key, event["args"])
            times.setdefault(key, []).append(event["dur"] / 1e3)
    if not times:
        raise ModelError("no node ran: the network computes nothing from its input; profile another file")
    uncounted: list[str] = []
    nodes: list[NodeTime] = []
    for (key, args), durations in zip(first.items(), times.values(), strict=True):
        node, known = _node(key[0], args, typical(durations[warm_up:]), layers)
        nodes.append(node)
        if not known:
            uncounted.append(node.name)
    runs = min(len(each) for each in times.values()) - warm_up
    return Profile(tuple(nodes), runs, threads, tuple(uncounted))


def _node(name: str, args: Mapping[str, Any], ms: float, layers: Collection[str]) -> tuple[NodeTime, bool]:
    """(the node, whether its macs are known)."""
    op = str(args["op_name"])
    types, inputs = _shapes(args.get("input_type_shape", []))
    _, outputs = _shapes(args.get("output_type_shape", []))
    item = _ITEM_BYTES.get(types[0], 4) if types else 4
    precision = "int8" if item == 1 else "fp16" if item == 2 else "fp32"
    read, written = int(args.get("activation_size", 0)), int(args.get("output_size", 0))
    stored = int(args.get("parameter_size", 0))
    kind = "Reorder" if op.startswith("Reorder") else op.removeprefix("Fused")
    macs, params, known = 0, 0, op not in _UNKNOWN_MACS
    if op in _CONVOLUTIONS:
        weight = inputs[_CONVOLUTIONS[op]] if len(inputs) > _CONVOLUTIONS[op] else ()
        known = len(weight) > 2
        if known:
            macs = convolution_macs(weight, inputs[0] if op == "ConvTranspose" else outputs[0])
            params = prod(weight) + _bias(inputs[_CONVOLUTIONS[op] :])
            kind = convolution_kind(weight, inputs[0], transposed=op == "ConvTranspose")
            if not stored:  # another node makes the weights, and they came in among the activations
                stored, read = params * item, max(0, read - params * item)
    elif op in _PRODUCTS:
        macs, params, packed = _product(inputs, outputs[0])
        stored += packed * item
        params = params if stored else 0
    elif op in _VIEWS:
        read = written = stored = 0
    layer = layer_of(name, layers)
    return NodeTime(name, op, kind, layer, ms, macs, read, written, params, stored, precision), known


def _product(inputs: Sequence[Shape], output: Shape) -> tuple[int, int, int]:
    """(macs, numbers of weight and bias, numbers of the weight where the profile leaves it out as packed)."""
    macs, columns = matmul_macs(inputs[0], output), output[-1]
    weight = macs * columns // prod(output)
    bias = columns if any(shape == (columns,) for shape in inputs[1:]) else 0
    there = any(len(shape) > 1 for shape in inputs[1:])
    return macs, weight + bias, 0 if there else weight


def _shapes(listed: Sequence[Mapping[str, Sequence[int]]]) -> tuple[list[str], list[Shape]]:
    """Types and shapes out of [{"float": [1, 3, 8, 8]}, ...]."""
    pairs = [(kind, tuple(shape)) for each in listed for kind, shape in each.items()]
    return [kind for kind, _ in pairs], [shape for _, shape in pairs]


def _bias(rest: Sequence[Shape]) -> int:
    """Numbers of the bias among the inputs from the weight on."""
    return next((shape[0] for shape in rest[1:] if len(shape) == 1 and shape[0] == rest[0][0]), 0)
