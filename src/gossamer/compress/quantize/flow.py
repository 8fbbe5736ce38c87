"""Which layer's numbers arrive at which: found by running the network once on the meta device and noting its operators.

What lies between two layers decides which edits leave the outputs alone: an operator f with f(s x) = s f(x) for every
s > 0 lets a scale of a channel through, and no other does.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gossamer.errors import ModelError

__all__ = ["Flow", "Layer", "Reader", "follow", "heavy_layers"]

Layer = nn.Conv2d | nn.Linear

_aten = torch.ops.aten
_HOMOGENEOUS = frozenset(
    [
        "relu",
        "leaky_relu",
        "prelu",
        "_prelu_kernel",
        "max_pool2d_with_indices",
        "avg_pool2d",
        "_adaptive_avg_pool2d",
        "mean",
        "clone",
        "alias",
        "detach",
        "dropout",
        "native_dropout",
    ]
)
_VIEWS = frozenset({"view", "_unsafe_view", "reshape", "squeeze"})


class Reader(NamedTuple):
    """A layer that reads channels: its inputs `start`, `start + places`, ... are channel 0, 1, ... of who wrote them."""

    layer: str
    start: int
    places: int
    """Inputs a channel has there: 1, or the pixels of a map that was flattened."""


@dataclass(frozen=True)
class _Step:
    operator: str
    inputs: tuple[int, ...]
    output: int
    layer: str
    channels: tuple[int, ...]
    """Of each input, in order."""
    plain: bool
    """Whether the arguments are such that a scale of a channel passes."""
    places: int = 1


@dataclass(frozen=True)
class Flow:
    """`readers[layer]` are all who read a layer's outputs, where nothing else does and nothing between hinders a scale."""

    layers: tuple[str, ...]
    """Convolutions and linear layers that run exactly once, in order."""
    readers: Mapping[str, tuple[Reader, ...]]


def heavy_layers(network: nn.Module) -> dict[str, Layer]:
    """The convolutions and linear layers of a network by name."""
    return {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}


def follow(network: nn.Module, shape: Sequence[int]) -> Flow:
    """Follow a network at the shape (B, bands, H, W).

    Raises:
        ModelError: it does not run at that shape, or decides by values.
    """
    try:
        twin = copy.deepcopy(network).to("meta").eval()
        recorder = _Recorder(twin)
        picture = torch.empty((1, *shape[1:]), device="meta")
        with torch.no_grad(), recorder:
            result = twin(picture)
    except (RuntimeError, ValueError, TypeError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(
            f"cannot follow {type(network).__name__} at {tuple(shape)}: {line}; give pictures of the size that it takes"
        ) from error
    ends = {recorder.value(t) for t in tree_leaves(result) if isinstance(t, Tensor)}
    return _flow(recorder.steps, ends)


class _Recorder(TorchDispatchMode):
    """Numbers every value; an operator in place makes a new one."""

    def __init__(self, twin: nn.Module) -> None:
        super().__init__()
        self._layer_of = {id(layer.weight): name for name, layer in heavy_layers(twin).items()}
        self._values: dict[int, int] = {}
        self._alive: list[Tensor] = []
        self._transposed: dict[int, str] = {}
        self.steps: list[_Step] = []

    def value(self, tensor: Tensor, *, new: bool = False) -> int:
        """The number of what a tensor holds now."""
        if new or id(tensor) not in self._values:
            self._values[id(tensor)] = len(self._alive)
            self._alive.append(tensor)
        return self._values[id(tensor)]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        numbers = tuple(self.value(t) for t in inputs)
        output = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        if packet is _aten.t and id(args[0]) in self._layer_of:
            self._transposed[id(output)] = self._layer_of[id(args[0])]
            self._alive.append(output)
            return output
        made = next((t for t in tree_leaves(output) if isinstance(t, Tensor)), None)
        if made is not None:
            name = packet.__name__.removesuffix("_")
            known = _read(name, args, made, inputs)
            layer = self._layer(name, args)
            channels = tuple(t.shape[1] if t.dim() > 1 else 0 for t in inputs)
            number = self.value(made, new=True)
            read = 1 if layer or name in ("_prelu_kernel", "prelu") else len(numbers)
            data = 1 if name == "addmm" else 0
            taken = numbers[data : data + 1] if read == 1 else numbers
            self.steps.append(_Step(name, taken, number, layer, channels, known[0], known[1]))
        return output

    def _layer(self, name: str, args: Any) -> str:
        """The layer that an operator is, or ''."""
        if name == "convolution":
            return "" if args[6] else self._layer_of.get(id(args[1]), "")
        if name in ("addmm", "mm") and len(args) > 1:
            return self._transposed.get(id(args[2 if name == "addmm" else 1]), "")
        return ""


def _read(name: str, args: Any, made: Tensor, inputs: Sequence[Tensor]) -> tuple[bool, int]:
    """(whether a scale of a channel passes, the places that a channel takes behind it)."""
    if name in ("prelu", "_prelu_kernel"):
        return True, 1
    if name == "constant_pad_nd":
        return len(args[1]) <= 4 and (len(args) < 3 or args[2] == 0), 1
    if name == "cat":
        return len({t.dim() for t in inputs}) == 1 and (len(args) > 1 and args[1] in (1, 1 - made.dim())), 1
    if name == "mean":
        axes = {axis % inputs[0].dim() for axis in args[1]} if len(args) > 1 and args[1] else {0}
        return axes <= {2, 3}, 1
    if name in _VIEWS:
        before, after = inputs[0].shape, made.shape
        flat = len(before) == 4 and len(after) >= 2 and before[0] == after[0]
        places = int(before[2] * before[3]) if flat else 1
        whole = flat and (
            after[1] == before[1] * places if len(after) == 2 else tuple(after) == tuple(before)
        )
        return whole, places if len(after) == 2 else 1
    return name in _HOMOGENEOUS, 1


def _flow(steps: Sequence[_Step], ends: set[int]) -> Flow:
    runs = [step.layer for step in steps if step.layer]
    once = tuple(layer for layer in runs if runs.count(layer) == 1)
    users: dict[int, list[_Step]] = {}
    for step in steps:
        for number in dict.fromkeys(step.inputs):
            users.setdefault(number, []).append(step)
    found = {}
    for step in steps:
        if step.layer in once:
            readers = _readers(step.output, users, ends, start=0, places=1)
            if readers and all(reader.layer in once for reader in readers):
                found[step.layer] = tuple(readers)
    return Flow(once, found)


def _readers(
    value: int, users: Mapping[int, Sequence[_Step]], ends: set[int], *, start: int, places: int
) -> list[Reader] | None:
    """Everyone who reads a value, or None where something stands between."""
    if value in ends or not users.get(value):
        return None
    found: list[Reader] = []
    for step in users[value]:
        if step.layer:
            found.append(Reader(step.layer, start * places, places))
            continue
        if not step.plain or step.inputs.count(value) != 1 or (step.operator == "cat" and places > 1):
            return None
        before = sum(step.channels[: step.inputs.index(value)]) if step.operator == "cat" else 0
        behind = _readers(step.output, users, ends, start=start + before, places=places * step.places)
        if behind is None:
            return None
        found += behind
    return found
