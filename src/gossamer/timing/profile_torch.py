"""Where the time goes in torch itself: the time of every operator of an eager module on the CPU, beside what it costs.

The module runs as it is, nothing fused, under torch's profiler; hooks tell which layer runs. A node is an operator as
the module calls it, with all that it calls in turn. Macs and bytes are those that `meter.measure` counts by layer;
where a layer runs several operators they are split by the sizes of the operands.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.autograd.profiler import record_function
from torch.profiler import ProfilerActivity, profile

from gossamer.cost.figures import LayerCost
from gossamer.cost.formulas import convolution_kind
from gossamer.cost.meter import measure
from gossamer.deploy.runtimes.node_times import (
    NodeTime,
    Profile,
    Shape,
    check_request,
    typical,
)
from gossamer.errors import ModelError
from gossamer.nn.modes import taken_off

__all__ = ["profile_torch"]

_LAYER = "gossamer layer "
_OPERATOR = "aten::"
_WARM_UP = 3
_CONVOLUTIONS = frozenset({"_convolution", "conv1d", "conv2d", "conv3d", "convolution"})
_TRANSPOSED = frozenset({"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"})
_PRODUCTS = frozenset(
    {"addmm", "baddbmm", "bilinear", "bmm", "einsum", "linear", "matmul", "mm", "mv"}
    | {"scaled_dot_product_attention"}
)
_VIEWS = frozenset(
    {
        "as_strided",
        "chunk",
        "detach",
        "expand",
        "expand_as",
        "flatten",
        "narrow",
        "permute",
        "reshape",
        "select",
    }
    | {"slice", "split", "split_with_sizes", "squeeze", "t", "to", "transpose", "unbind", "unflatten"}
    | {"unsqueeze", "view", "view_as"}
)
"""Operators that give their input under another shape, as a rule: they move nothing."""
_KINDS = {
    "linear": "Gemm",
    "addmm": "Gemm",
    "cat": "Concat",
    "concat": "Concat",
    "hardtanh": "Clip",
    "relu6": "Clip",
    "clamp": "Clip",
    "matmul": "MatMul",
    "bmm": "MatMul",
    "hardswish": "HardSwish",
    "hardsigmoid": "HardSigmoid",
    "max_pool2d": "MaxPool",
    "avg_pool2d": "AveragePool",
}
"""Operators that ONNX calls otherwise than torch's name in capitals."""


class _Call(NamedTuple):
    """One operator of one run."""

    layer: str
    op: str
    shapes: tuple[Shape, ...]
    """Of all its operands; those that are no tensors have none."""
    ms: float


def profile_torch(network: Any, shape: Sequence[int], *, threads: int = 1, runs: int = 30) -> Profile:
    """Run a module on random numbers of a shape (B, bands, H, W), in eval mode; it is left as it was.

    Raises:
        ModelError: the network is no module, does not run at that shape, is not on the CPU, or computes nothing.
        GossamerError: fewer than one run, or than one thread.
    """
    check_request(runs, threads)
    if not isinstance(network, nn.Module):
        raise ModelError(
            f"a profile on torch is taken of a module, got a {type(network).__name__}; build one"
        )
    elsewhere = {str(tensor.device) for tensor in network.parameters()} - {"cpu"}
    if elsewhere:
        raise ModelError(
            f"profiles are taken on the CPU, got a network on {', '.join(sorted(elsewhere))}; move it with .cpu()"
        )
    cost = measure(network, shape)
    taken = _run(
        network, torch.randn(tuple(shape), generator=torch.Generator().manual_seed(0)), threads, runs
    )
    if not taken[0]:
        raise ModelError("no node ran: the network computes nothing from its input; profile another network")
    by_layer: dict[str, list[int]] = {}
    for i, call in enumerate(taken[0]):
        by_layer.setdefault(call.layer, []).append(i)
    times = _times(taken)
    costs = {layer.name: layer for layer in cost.layers}
    modules = dict(network.named_modules())
    nodes: dict[int, NodeTime] = {}
    for name, places in by_layer.items():
        calls = [taken[0][i]._replace(ms=times[i]) for i in places]
        nodes.update(zip(places, _nodes(calls, costs.get(name), modules[name]), strict=True))
    return Profile(tuple(nodes[i] for i in sorted(nodes)), runs, threads, cost.uncounted, "torch")


def _times(taken: Sequence[Sequence[_Call]]) -> list[float]:
    """Milliseconds of each operator of the first run; another run may call others if the network looks at numbers."""
    found: dict[tuple[str, str, int], list[float]] = {}
    for run in taken:
        for key, call in zip(_keys(run), run, strict=True):
            found.setdefault(key, []).append(call.ms)
    return [typical(found[key]) for key in _keys(taken[0])]


def _keys(run: Sequence[_Call]) -> list[tuple[str, str, int]]:
    """(layer, operator, how often this layer called it before)."""
    seen: dict[tuple[str, str], int] = {}
    keys = []
    for call in run:
        count = seen[call.layer, call.op] = seen.get((call.layer, call.op), -1) + 1
        keys.append((call.layer, call.op, count))
    return keys


def _run(network: nn.Module, batch: torch.Tensor, threads: int, runs: int) -> list[list[_Call]]:
    """The operators of each run, in order."""
    training = [module for module in network.modules() if module.training]
    before = torch.get_num_threads()
    open_ranges: list[record_function] = []
    handles = list(_follow(network, open_ranges))
    with taken_off(handles):
        torch.set_num_threads(threads)
        network.eval()
        with torch.inference_mode(), _quiet():
            for _ in range(_WARM_UP):
                network(batch)
            with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
                for _ in range(runs):
                    network(batch)
        torch.set_num_threads(before)
        for module in training:
            module.training = True
    return _calls(profiler.events() or [])


def _follow(network: nn.Module, open_ranges: list[record_function]) -> Iterator[Any]:
    """Hooks that write into the profile which module runs."""
    for name, module in network.named_modules():

        def enter(_module: nn.Module, _args: Any, name: str = name) -> None:
            open_ranges.append(record_function(_LAYER + name))
            open_ranges[-1].__enter__()

        def leave(_module: nn.Module, _args: Any, _output: Any) -> None:
            open_ranges.pop().__exit__(None, None, None)

        yield module.register_forward_pre_hook(enter)
        yield module.register_forward_hook(leave)


@contextmanager
def _quiet() -> Iterator[None]:
    """Torch's profiler reports its own start and stop, and the lack of a GPU, on stderr unless told not to."""
    name = "KINETO_LOG_LEVEL"
    given = os.environ.get(name)
    os.environ[name] = given or "99"
    try:
        yield
    finally:
        if given is None:
            del os.environ[name]


def _calls(events: Sequence[Any]) -> list[list[_Call]]:
    """What each run's modules call themselves; the range of the network itself opens a run."""
    taken: list[list[_Call]] = []
    for event in sorted(events, key=lambda each: each.time_range.start):
        if event.name == _LAYER:
            taken.append([])
        if not event.name.startswith(_OPERATOR):
            continue
        parent = event.cpu_parent
        while parent is not None and not parent.name.startswith((_LAYER, _OPERATOR)):
            parent = parent.cpu_parent
        if parent is not None and parent.name.startswith(_LAYER):
            layer, op = parent.name.removeprefix(_LAYER), event.name.removeprefix(_OPERATOR)
            shapes = tuple(tuple(shape) for shape in event.input_shapes)
            taken[-1].append(_Call(layer, op, shapes, event.cpu_time_total / 1e3))
    return taken


def _nodes(calls: Sequence[_Call], cost: LayerCost | None, module: nn.Module) -> Iterator[NodeTime]:
    """The nodes of one layer, the layer's costs split among them."""
    stored = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    sizes = [
        (tuple(tensor.shape), tensor.numel() * tensor.element_size()) for tensor in stored if tensor.shape
    ]
    weights = [tuple(tensor.shape) for tensor in module.parameters(recurse=False)]
    moving = [_moved(call, dict(sizes)) for call in calls]
    macs = _split(cost.macs if cost else 0, [_work(call) for call in calls])
    read = _split(cost.bytes_read if cost else 0, moving)
    written = _split(cost.bytes_written if cost else 0, moving)
    for i, call in enumerate(calls):
        yield NodeTime(
            f"{call.layer}/{call.op}",
            call.op,
            _kind(call),
            call.layer or None,
            call.ms,
            macs[i],
            read[i],
            written[i],
            sum(prod(shape) for shape in weights if shape in call.shapes),
            sum(size for shape, size in sizes if shape in call.shapes),
            "fp32",
        )


def _moved(call: _Call, stored: dict[Shape, int]) -> int:
    """Numbers of the operands that are activations."""
    if call.op.removesuffix("_") in _VIEWS:
        return 0
    return sum(prod(shape) for shape in call.shapes if shape and shape not in stored)


def _work(call: _Call) -> int:
    """What a convolution or product costs in proportion to others of its layer; 0 for what does not multiply."""
    if call.op in _CONVOLUTIONS | _TRANSPOSED:
        return prod(call.shapes[0][2:]) * prod(call.shapes[1])
    if call.op in _PRODUCTS:
        return max(1, prod(call.shapes[0]) * prod(call.shapes[1][-1:]) if len(call.shapes) > 1 else 1)
    return 0


def _split(whole: int, parts: Sequence[int]) -> list[int]:
    """A whole number in proportion to parts, to the last one; to the first where all parts are 0."""
    total = sum(parts)
    if not total:
        return [whole, *[0] * (len(parts) - 1)]
    ends = [whole * sum(parts[: i + 1]) // total for i in range(len(parts))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _kind(call: _Call) -> str:
    name = call.op.removesuffix("_").removeprefix("_")
    if call.op in _CONVOLUTIONS:
        return convolution_kind(call.shapes[1], call.shapes[0])
    if call.op in _TRANSPOSED:
        return "ConvTranspose"
    return _KINDS.get(name, "".join(part.capitalize() for part in name.split("_")))
