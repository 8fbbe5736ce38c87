"""Counting what a network costs on the meta device: no weights, no memory, any torch module.

Definitions (one inference at the given input, fp32, eager, batch norm not folded):
macs             multiply-accumulates of convolutions and matrix products
elementwise      operations of everything else: numbers given by pointwise operators, read by reductions, seen by pools
params           learnable numbers; param_bytes their bytes
bytes_read       operands each operator reads, activations only; bytes_written what it writes
peak_bytes       the largest sum of activations alive at once
receptive_field  sides in input pixels of what a number sees through convolutions and pools
intensity        macs a byte moved, weights among them
uncounted        operators that compute but have no formula here: what they do is missing from the sums

A network that decides by values cannot run without them: it is counted on random numbers, and a note says so.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gossamer.cost.figures import Cost, LayerCost, OperatorCost
from gossamer.cost.operators import (
    SIDE_RESULTS,
    VIEWS,
    elementwise_operations,
    is_known,
    macs_of,
    operator_kind,
    shaped,
)
from gossamer.cost.receptive import Field, grown
from gossamer.errors import ModelError
from gossamer.nn.modes import taken_off
from gossamer.nn.network import shipped_params

__all__ = ["Cost", "Input", "LayerCost", "OperatorCost", "measure", "measure_sizes"]

Input = Sequence[int] | Tensor
"""A shape with the batch first, or a tensor whose shape and type count."""


@dataclass
class _Tally:
    """Sums of one layer, or of one sort of operator."""

    runs: int = 0
    macs: int = 0
    elementwise: int = 0
    read: int = 0
    written: int = 0

    def add(self, macs: int, elementwise: int, read: int, written: int) -> None:
        self.runs += 1
        self.macs += macs
        self.elementwise += elementwise
        self.read += read
        self.written += written


class _Counter(TorchDispatchMode):
    """Sees every operator, knows which layer runs, and which storages are alive."""

    def __init__(self, parameters: set[int]) -> None:
        super().__init__()
        self.names = [""]
        self.layers: dict[str, _Tally] = {}
        self.operators: dict[str, _Tally] = {}
        self.uncounted: set[str] = set()
        self.parameters = parameters
        self.fields: dict[int, Field] = {}
        self.alive = 0
        self.peak = 0
        self._seen: set[int] = set()

    def hold(self, tensor: Tensor, field: Field | None) -> None:
        """Count a storage as alive until nobody refers to it."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.parameters:
            return
        if field is not None:
            self.fields[key] = field
        if key in self._seen:
            return
        self._seen.add(key)
        size = storage.nbytes()
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.fields.pop(key, None)
        self.alive -= size

    def field_of(self, tensor: Tensor) -> Field | None:
        """What a number of the tensor sees, where that is known."""
        return self.fields.get(tensor.untyped_storage()._cdata)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet, name = func.overloadpacket, func.overloadpacket.__name__
        output = shaped(name, args)
        if output is None:
            output = func(*args, **(kwargs or {}))
        if name in VIEWS:
            return output
        if not is_known(packet, name):
            self.uncounted.add(name)
        operands = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        first = output[0] if name in SIDE_RESULTS else output
        results = [t for t in tree_leaves(first) if isinstance(t, Tensor)]
        keys = [t.untyped_storage()._cdata for t in operands]
        read = sum(_bytes(t) for t, key in zip(operands, keys, strict=True) if key not in self.parameters)
        written = sum(_bytes(t) for t in results)
        figures = macs_of(packet, args, output), elementwise_operations(name, args, output), read, written
        self.layers.setdefault(self.names[-1], _Tally()).add(*figures)
        self.operators.setdefault(operator_kind(packet, name, args), _Tally()).add(*figures)
        field = grown(name, args, first, [self.fields[key] for key in keys if key in self.fields])
        for tensor in results:
            self.hold(tensor, field)
        return output


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def measure(network: nn.Module, input: Input | Sequence[Input]) -> Cost:
    """Count one inference of `network` at an input shape (B, bands, H, W), or of the shape of a tensor.

    A network with several inputs takes a list of shapes or tensors, in the order of its forward; `Cost.input` is then
    the first of them.

    Raises:
        ModelError: the network does not run at that shape.
    """
    inputs = _inputs(input)
    problem: Exception
    try:
        return _count(_on(network, "meta"), [_example(each, "meta") for each in inputs])
    except (RuntimeError, ValueError, TypeError) as error:
        if isinstance(error, ModelError):
            raise
        problem = error
    kind, shapes = type(network).__name__, " and ".join(str(_shape(each)) for each in inputs)
    if any(t.is_meta for t in [*network.parameters(), *network.buffers()]):
        raise ModelError(
            f"{kind} does not run on an input of shape {shapes} without weights: {_line(problem)}; "
            "give another input, or the network with weights where it decides by values"
        ) from problem
    try:
        found = _count(_on(network, "cpu"), [_example(each, "cpu") for each in inputs])
    except Exception as error:  # a stranger's forward may raise anything
        raise ModelError(
            f"{kind} does not run on an input of shape {shapes}: {_line(error)}; give another --input"
        ) from error
    note = f"cannot run without values ({_line(problem)}): counted in one run on random numbers, others may differ"
    return _with_note(found, note)


def measure_sizes(network: nn.Module, inputs: Sequence[Input]) -> tuple[Cost, ...]:
    """Costs as a function of the input, from one copy of the network.

    Raises:
        ModelError: the network does not run at one of the shapes.
    """
    twin = network
    if not any(t.is_meta for t in network.parameters()) and len(inputs) > 1:
        twin = _on(network, "meta")
    try:
        return tuple(measure(twin, each) for each in inputs)
    except ModelError:
        if twin is network:
            raise
        return tuple(measure(network, each) for each in inputs)


def _inputs(input: Input | Sequence[Input]) -> list[Input]:
    if isinstance(input, Tensor) or all(isinstance(side, int) for side in input):
        return [input]  # type: ignore[list-item]
    return list(input)  # type: ignore[arg-type]


def _shape(input: Input) -> tuple[int, ...]:
    return tuple(int(side) for side in (input.shape if isinstance(input, Tensor) else input))


def _example(input: Input, device: str) -> Tensor:
    kind = input.dtype if isinstance(input, Tensor) else torch.float32
    if device == "meta":
        return torch.empty(_shape(input), device=device, dtype=kind)
    drawn = torch.randn(_shape(input), generator=torch.Generator().manual_seed(0))
    return drawn.to(kind)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _with_note(cost: Cost, note: str) -> Cost:
    return replace(cost, notes=(*cost.notes, note))


def _count(twin: nn.Module, examples: Sequence[Tensor]) -> Cost:
    """Run the twin once under the counter."""
    counter = _Counter({t.untyped_storage()._cdata for t in [*twin.parameters(), *twin.buffers()]})
    outputs: dict[str, tuple[tuple[int, ...], Field | None]] = {}
    handles = list(_follow(twin, counter, outputs))
    with taken_off(handles), torch.no_grad(), counter:
        for example in examples:
            counter.hold(example, Field(map=_map(example)))
        twin(*examples)
    modules = dict(twin.named_modules())
    layers = tuple(
        _layer(name, module, counter.layers[name], *outputs[name])
        for name, module in modules.items()
        if name in outputs and name in counter.layers
    )
    params = shipped_params(twin)
    sums = counter.operators.values()
    fields = [layer.receptive_field for layer in layers if layer.receptive_field is not None]
    convolves = any(kind.startswith("Conv") for kind in counter.operators)
    return Cost(
        tuple(examples[0].shape),
        sum(p.numel() for p in params),
        sum(tally.macs for tally in sums),
        sum(tally.elementwise for tally in sums),
        sum(_bytes(p) for p in params),
        sum(tally.read for tally in sums),
        sum(tally.written for tally in sums),
        counter.peak,
        tuple(sorted(counter.uncounted)),
        layers,
        tuple(
            OperatorCost(kind, tally.runs, tally.macs, tally.elementwise, tally.read, tally.written)
            for kind, tally in sorted(counter.operators.items(), key=lambda pair: (-pair[1].macs, pair[0]))
        ),
        (max(f[0] for f in fields), max(f[1] for f in fields)) if fields and convolves else None,
    )


def _map(example: Tensor) -> tuple[int, int]:
    """(height, width) of a picture."""
    return (example.shape[-2], example.shape[-1]) if example.dim() > 1 else (0, 0)


def _layer(
    name: str, module: nn.Module, tally: _Tally, output: tuple[int, ...], field: Field | None
) -> LayerCost:
    own = list(module.parameters(recurse=False))
    return LayerCost(
        name,
        type(module).__name__,
        output,
        sum(p.numel() for p in own),
        sum(_bytes(p) for p in own),
        tally.macs,
        tally.elementwise,
        tally.read,
        tally.written,
        None if field is None else field.pixels,
    )


def _on(network: nn.Module, device: str) -> nn.Module:
    """The network itself where it may run there as it is, else a copy."""
    tensors = [*network.parameters(), *network.buffers()]
    if all(t.device.type == device for t in tensors) and not any(m.training for m in network.modules()):
        return network
    try:
        twin = copy.deepcopy(network)
    except (RuntimeError, TypeError) as error:
        raise ModelError(
            f"cannot copy {type(network).__name__} for counting: {error}; remove what cannot be copied"
        ) from error
    return twin.to(device).eval()


def _follow(
    twin: nn.Module, counter: _Counter, outputs: dict[str, tuple[tuple[int, ...], Field | None]]
) -> Iterator[Any]:
    """Hooks that tell the counter which module runs; operators between children belong to the parent."""
    for name, module in twin.named_modules():

        def enter(_module: nn.Module, _args: Any, name: str = name) -> None:
            counter.names.append(name)

        def leave(_module: nn.Module, _args: Any, output: Any, name: str = name) -> None:
            counter.names.pop()
            if isinstance(output, Tensor):
                outputs[name] = tuple(output.shape), counter.field_of(output)

        yield module.register_forward_pre_hook(enter)
        yield module.register_forward_hook(leave)
