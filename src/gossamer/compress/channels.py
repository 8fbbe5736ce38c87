"""Which channels of a network belong together: found by running it once on the meta device with a label on each number.

Every channel that a layer makes gets a label, an integer. Whatever only moves numbers (views, permutations, splits,
concatenations, padding) is done to the labels as well, so that index maps need no rules of their own. Where two
channels meet (additions, gates, norms, depthwise kernels) their labels are joined. What is joined is one set: it is
kept or removed as a whole. The idea of coupled channels is DepGraph's (Fang et al., 2301.12900); labels instead of
rules make the maps exact.

A number that is no channel has label -1: pictures, constants, padding, and what came out of an operator that is not
known here. Sets that reach a network's outputs or such an operator are frozen, by name.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from gossamer.errors import ModelError
from gossamer.nn.channels import OWN_NUMBERS

__all__ = ["Channels", "Product", "Slot", "find_channels"]

Labels = NDArray[np.int64]
_aten = torch.ops.aten

_POINTWISE = frozenset(
    [
        "relu",
        "hardtanh",
        "hardswish",
        "hardsigmoid",
        "silu",
        "sigmoid",
        "tanh",
        "gelu",
        "leaky_relu",
        "elu",
        "mish",
        "clamp",
        "clamp_min",
        "clamp_max",
        "neg",
        "abs",
        "exp",
        "sqrt",
        "rsqrt",
        "pow",
        "reciprocal",
        "log",
        "clone",
        "detach",
        "_to_copy",
        "native_dropout",
        "dropout",
        "softplus",
        "erf",
        "copy_",
    ]
)
_JOINS = frozenset({"add", "sub", "mul", "div", "maximum", "minimum", "where"})
_MOVES = frozenset(
    [
        "permute",
        "transpose",
        "t",
        "expand",
        "squeeze",
        "unsqueeze",
        "slice",
        "select",
        "cat",
        "constant_pad_nd",
        "alias",
        "as_strided",
        "unbind",
        "stack",
        "flip",
        "index_select",
        "repeat",
    ]
)
_VIEWS = frozenset({"view", "_unsafe_view", "reshape"})
_SPATIAL = frozenset(
    {
        "max_pool2d_with_indices",
        "avg_pool2d",
        "_adaptive_avg_pool2d",
        "upsample_nearest2d",
        "upsample_bilinear2d",
    }
)
_REDUCTIONS = frozenset({"mean", "sum", "amax"})
_NORMS = frozenset({"native_batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit"})


@dataclass(frozen=True)
class Slot:
    """One axis of a parameter or buffer, and the label of each of its places (-1 where it may not change)."""

    name: str
    axis: int
    labels: Labels


@dataclass(frozen=True)
class Product:
    """A convolution or matrix product: macs = `factor` x outputs kept x inputs kept / groups."""

    layer: str
    factor: int
    outputs: Labels
    inputs: Labels
    groups: int

    def macs(self, kept: NDArray[np.bool_]) -> int:
        """Multiply-accumulates where `kept` (by label) says which channels there are; label -1 always is."""
        return self.factor * _count(self.outputs, kept) * _count(self.inputs, kept) // self.groups


def _count(labels: Labels, kept: NDArray[np.bool_]) -> int:
    return int(np.where(labels < 0, True, kept[labels]).sum())


@dataclass
class Channels:
    """The channels of a network: `sets[label]` is the set that a label belongs to, -1 where it is frozen."""

    sets: Labels
    slots: list[Slot]
    products: list[Product]
    frozen: dict[str, int]
    """Why sets are frozen -> how many channels."""
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Of all parameters."""
    outputs: dict[str, Labels] = field(default_factory=dict)
    """Labels of the channels that each module gives, by its name."""

    @property
    def count(self) -> int:
        """How many sets may be removed."""
        return int(self.sets.max(initial=-1)) + 1

    def set_of(self, labels: Labels) -> Labels:
        """The set of each label, -1 where it is frozen or no channel."""
        return np.where(labels < 0, -1, self.sets[np.maximum(labels, 0)]) if len(self.sets) else labels

    def kept_labels(self, kept_sets: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """By label, from what is kept by set; frozen labels are."""
        found: NDArray[np.bool_] = np.where(
            self.sets < 0, True, kept_sets[self.sets] if len(kept_sets) else True
        )
        return found

    def macs(self, kept_sets: NDArray[np.bool_]) -> int:
        """Exact multiply-accumulates of the network that keeps these sets."""
        kept = self.kept_labels(kept_sets)
        return sum(each.macs(kept) for each in self.products)

    def params(self, kept_sets: NDArray[np.bool_]) -> int:
        """Exact parameters of the network that keeps these sets."""
        kept = self.kept_labels(kept_sets)
        sizes = {name: list(shape) for name, shape in self.shapes.items()}
        for slot in self.slots:
            if slot.name in sizes:
                sizes[slot.name][slot.axis] = _count(slot.labels, kept)
        return sum(prod(shape) for shape in sizes.values())


def find_channels(network: nn.Module, example: Sequence[int] | Tensor) -> Channels:
    """Trace the network once at the shape (B, bands, H, W) of the example; a small picture is enough.

    Raises:
        ModelError: it does not run at that shape, or decides by values.
    """
    shape = tuple(int(side) for side in (example.shape if isinstance(example, Tensor) else example))
    handles: list[Any] = []
    try:
        twin = _on_meta(network)
        tracer = _Tracer(twin, _shared(network))
        picture = torch.empty((1, *shape[1:]), device="meta")
        tracer.label(picture, np.full(picture.shape, -1, np.int64))
        handles += list(tracer.listen(twin))
        with torch.no_grad(), tracer:
            result = twin(picture)
        tracer.freeze_outputs(result)
    except (RuntimeError, ValueError, TypeError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(
            f"cannot follow {type(network).__name__} at {shape}: {line}; give an example that it takes, and no values "
            "to decide by"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    return tracer.channels()


def _shared(network: nn.Module) -> set[str]:
    every = list(network.named_parameters(remove_duplicate=False))
    counts = Counter(id(parameter) for _, parameter in every)
    return {name for name, parameter in every if counts[id(parameter)] > 1}


def _on_meta(network: nn.Module) -> nn.Module:
    """A copy without values.

    Raises:
        ModelError: hooks make its weights anew, as torch.nn.utils.weight_norm does.
    """
    try:
        return copy.deepcopy(network).to("meta").eval()
    except RuntimeError as error:
        if "deepcopy" not in str(error):
            raise
        raise ModelError(
            f"{type(network).__name__} has weights that a hook makes anew and that cannot be copied; take the hook off first, "
            "e.g. torch.nn.utils.remove_weight_norm, or use torch.nn.utils.parametrizations"
        ) from error


class _Tracer(TorchDispatchMode):
    """Runs the labels beside the network."""

    def __init__(self, twin: nn.Module, shared: set[str]) -> None:
        """`shared` are parameters that several modules have: on the meta device they are apart."""
        super().__init__()
        self._names = {id(tensor): name for name, tensor in [*twin.named_parameters(), *twin.named_buffers()]}
        self._shared = shared
        self._shapes = {name: tuple(p.shape) for name, p in twin.named_parameters()}
        self._labels: dict[int, Labels] = {}
        self._alive: list[Tensor] = []
        self._transposed: dict[int, str] = {}
        self._parent: list[int] = []
        self._why: dict[int, str] = {}
        self._slots: dict[tuple[str, int], Labels] = {}
        self._products: list[Product] = []
        self._outputs: dict[str, Labels] = {}
        self._inside: list[str] = []

    def listen(self, twin: nn.Module) -> Iterator[Any]:
        """Hooks that note the channels of every module's output."""
        for name, module in twin.named_modules():

            def enter(module: nn.Module, _args: Any) -> None:
                self._inside.append(type(module).__name__)

            def note(_module: nn.Module, _args: Any, output: Any, name: str = name) -> None:
                self._inside.pop()
                if isinstance(output, Tensor) and output.dim() == 4:
                    channel = self.by_channel(self.of(output))
                    if channel is not None:
                        self._outputs[name] = channel

            yield module.register_forward_pre_hook(enter)
            yield module.register_forward_hook(note)

    # labels of tensors

    def label(self, tensor: Tensor, labels: Labels) -> None:
        """Give a tensor its labels, of its own shape."""
        self._labels[id(tensor)] = labels
        self._alive.append(tensor)

    def of(self, tensor: Tensor) -> Labels:
        """The labels of a tensor; of a parameter new ones, a channel an element of every axis but those of 1."""
        known = self._labels.get(id(tensor))
        if known is not None:
            return known
        name = self._names.get(id(tensor))
        wide = [axis for axis, size in enumerate(tensor.shape) if size > 1]
        if name is None or len(wide) != 1:
            return np.full(tuple(tensor.shape), -1, np.int64)
        labels = self.slot(name, wide[0], self.new(tensor.shape[wide[0]]))
        return np.broadcast_to(
            labels.reshape([-1 if axis == wide[0] else 1 for axis in range(tensor.dim())]), tensor.shape
        )

    def new(self, count: int) -> Labels:
        """Labels that no other channel has."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return np.arange(start, start + count, dtype=np.int64)

    def slot(self, name: str, axis: int, labels: Labels) -> Labels:
        """Say which channels the places of a parameter's axis are; used twice, both are joined."""
        if name in self._shared:
            self.freeze(labels, "of a weight that several layers share")
        before = self._slots.get((name, axis))
        if before is None:
            self._slots[name, axis] = labels.copy()
            return labels
        self.join(before, labels)
        return before

    # sets of labels

    def root(self, label: int) -> int:
        """The label that stands for a set."""
        while self._parent[label] != label:
            self._parent[label] = self._parent[self._parent[label]]
            label = self._parent[label]
        return label

    def join(self, left: Labels, right: Labels) -> None:
        """Join what stands at the same place; beside a number that is no channel a channel must stay."""
        pairs = np.unique(np.stack([np.ravel(left), np.ravel(right)], 1), axis=0)
        for a, b in pairs.tolist():
            if a < 0 or b < 0:
                if a != b:
                    self._why.setdefault(max(a, b), "added to what is no channel")
                continue
            self._parent[self.root(a)] = self.root(b)

    def freeze(self, labels: Labels, why: str) -> None:
        """Keep these channels, whatever is asked for."""
        for label in np.unique(labels).tolist():
            if label >= 0:
                self._why.setdefault(label, why)

    def freeze_outputs(self, result: Any) -> None:
        """What a network gives has as many channels as before."""
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.freeze(self.of(tensor), "outputs of the network")

    def channels(self) -> Channels:
        """What was found, sets numbered by their first label."""
        roots = np.array([self.root(label) for label in range(len(self._parent))], np.int64)
        frozen = {self.root(label) for label in self._why}
        numbers: dict[int, int] = {}
        sets = np.full(len(roots), -1, np.int64)
        for label, root in enumerate(roots.tolist()):
            if root not in frozen:
                sets[label] = numbers.setdefault(root, len(numbers))
        reasons: dict[str, int] = {}
        for why in self._why.values():
            reasons[why] = reasons.get(why, 0) + 1
        slots = [Slot(name, axis, labels) for (name, axis), labels in self._slots.items()]
        return Channels(sets, slots, self._products, reasons, self._shapes, self._outputs)

    # operators

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        packet, name = func.overloadpacket, func.overloadpacket.__name__
        plain = name.removesuffix("_")
        if packet is _aten.t and id(args[0]) in self._names:
            self._transposed[id(output)] = self._names[id(args[0])]
            self._alive.append(output)
            return output
        known: Callable[..., None] | None = _HANDLERS.get(plain)
        if known is None:
            self._unknown(name, (args, kwargs), output)
        else:
            known(self, func, args, kwargs or {}, output)
        return output

    def _unknown(self, name: str, operands: Any, output: Any) -> None:
        for tensor in tree_leaves(operands):
            if isinstance(tensor, Tensor) and id(tensor) in self._labels:
                self.freeze(self.of(tensor), f"into {name}")
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor):
                self.label(tensor, np.full(tuple(tensor.shape), -1, np.int64))

    def by_channel(self, labels: Labels, axis: int = 1) -> Labels | None:
        """The label of each channel, where all its numbers have the same or none; None where they differ."""
        others = tuple(i for i in range(labels.ndim) if i != axis)
        channel: Labels = labels.max(axis=others)
        shape = [1] * labels.ndim
        shape[axis] = -1
        same = (labels == channel.reshape(shape)) | (labels == -1)
        return channel if bool(same.all()) else None

    def convolution(self, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
        """(B, in, ...) with weight (out, in / groups, ...)."""
        name = self._names.get(id(args[1]))
        inputs = self.by_channel(self.of(args[0]))
        if name is None or inputs is None or args[6]:
            self._unknown("a convolution whose weight or input is no plain one", args, output)
            return
        groups, out_channels = int(args[8]), output.shape[1]
        outputs = self.new(out_channels)
        if groups > 1 and groups != args[0].shape[1]:
            self._tie(inputs, groups)
            self._tie(outputs, groups)
        if groups == args[0].shape[1]:  # one filter a channel: outputs go with their input
            self.join(outputs, np.repeat(inputs, out_channels // groups))
            self.freeze(outputs[np.repeat(inputs, out_channels // groups) < 0], "made of what is no channel")
            within = np.full(1, -1, np.int64)
        else:
            within = inputs[: len(inputs) // groups]
        outputs = self.slot(name, 0, outputs)
        if len(within) > 1 or groups == 1:
            self.slot(name, 1, within)
        if args[2] is not None and id(args[2]) in self._names:
            self.slot(self._names[id(args[2])], 0, outputs)
        factor = prod(output.shape[2:]) * prod(args[1].shape[2:])
        whole = np.full(groups, -1, np.int64) if groups == args[0].shape[1] else inputs
        self._products.append(Product(name.rpartition(".")[0], factor, outputs, whole, groups))
        self._spread(outputs, output)

    def _tie(self, labels: Labels, groups: int) -> None:
        """Groups lose the channels at the same places, so that they stay of one size."""
        rows = labels.reshape(groups, -1)
        for row in rows[1:]:
            self.join(rows[0], row)

    def _spread(self, channel: Labels, output: Tensor, axis: int = 1) -> None:
        shape = [1] * output.dim()
        shape[axis] = -1
        self.label(output, np.broadcast_to(channel.reshape(shape), tuple(output.shape)))

    def linear(self, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
        """addmm(bias, x, weight.t()) or mm(x, weight.t())."""
        bias, x, weight = args[:3] if func.overloadpacket is _aten.addmm else (None, *args[:2])
        name = self._transposed.get(id(weight))
        inputs = None if name is None else self.by_channel(self.of(x), axis=x.dim() - 1)
        if name is None or inputs is None:
            self._unknown("a product of activations", args, output)
            return
        outputs = self.slot(name, 0, self.new(output.shape[-1]))
        self.slot(name, 1, inputs)
        if bias is not None and id(bias) in self._names:
            self.slot(self._names[id(bias)], 0, outputs)
        rows = prod(output.shape[:-1])
        self._products.append(Product(name.rpartition(".")[0], rows, outputs, inputs, 1))
        self._spread(outputs, output, axis=output.dim() - 1)

    def norm(self, func: Any, args: Any, kwargs: Any, output: Any) -> None:
        """A batch norm goes with its channels."""
        channel = self.by_channel(self.of(args[0]))
        if channel is None:
            self._unknown("a norm over more than one channel", args, output)
            return
        for tensor in args[1:5]:
            if isinstance(tensor, Tensor) and id(tensor) in self._names:
                self.slot(self._names[id(tensor)], 0, channel)
        self.label(output[0], self.of(args[0]))

    def group_norm(self, func: Any, args: Any, kwargs: Any, output: Any) -> None:
        """(x, weight, bias, N, C, places, groups, eps): a group is normalised as one, so that it stays or goes whole."""
        channel = self.by_channel(self.of(args[0]))
        names = [self._names.get(id(each)) for each in args[1:3] if isinstance(each, Tensor)]
        if channel is None or len(names) != 2 or None in names:
            self._unknown("a group norm without weights", args, output)
            return
        rows = channel.reshape(int(args[6]), -1)
        for place in range(1, rows.shape[1]):
            self.join(rows[:, 0], rows[:, place])
        for name in names:
            self.slot(str(name), 0, channel)
        self.label(output[0], self.of(args[0]))

    def pixel_shuffle(self, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
        """(B, C r r, H, W) -> (B, C, H r, W r): the r r channels that become one stay or go together."""
        channel = self.by_channel(self.of(args[0]))
        if channel is None:
            self._unknown("a pixel shuffle of more than channels", args, output)
            return
        rows = channel.reshape(output.shape[1], -1)
        for place in range(1, rows.shape[1]):
            self.join(rows[:, 0], rows[:, place])
        self._spread(rows[:, 0], output)

    def pointwise(self, func: Any, args: Any, kwargs: Any, output: Any) -> None:
        """Labels stay where they are; a PReLU's slopes go with their channels."""
        first = output[0] if isinstance(output, (tuple, list)) else output
        self.label(first, self.of(args[0]))

    def slopes(self, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
        """PReLU with a slope a channel."""
        name = self._names.get(id(args[1])) or self._names.get(id(getattr(args[1], "_base", None)))
        channel = self.by_channel(self.of(args[0]))
        if args[1].numel() > 1:
            if name is None or channel is None:
                self._unknown("a PReLU whose slopes are no plain parameter", args, output)
                return
            self.slot(name, 0, channel)
        self.label(output, self.of(args[0]))

    def joins(self, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
        """Numbers that meet belong together; beside a size of 1 nothing meets."""
        shape = tuple(output.shape)
        tensors = [t for t in tree_leaves(args) if isinstance(t, Tensor)]
        parts = [
            np.broadcast_to(self.of(t), shape) for t in tensors if t.numel() > 1 or t.dim() == output.dim()
        ]
        if not parts:
            self.label(output, np.full(shape, -1, np.int64))
            return
        found = parts[0]
        for other in parts[1:]:
            both = (found >= 0) & (other >= 0)
            self.join(found[both], other[both])
            if func.overloadpacket.__name__.startswith(("add", "sub")):
                self._keep_beside_constants(found, other, tensors)
            found = np.maximum(found, other)
        self.label(output, found)

    def _keep_beside_constants(self, left: Labels, right: Labels, tensors: Sequence[Tensor]) -> None:
        """A channel may go where zeros were padded beside it only if the padding goes too: no module does that by itself."""
        lone = np.where((left >= 0) != (right >= 0), np.maximum(left, right), -1)
        if all(t.dim() > 1 for t in tensors):
            self.freeze(lone, "added to padding")

    def moves(self, func: Any, args: Any, kwargs: Any, output: Any) -> None:
        """The same move on the labels."""
        moved = func(*tree_map(self._as_labels, args), **_without_device(kwargs))
        self._take(moved, output)
        cuts = func.overloadpacket in (_aten.slice, _aten.select, _aten.index_select, _aten.unbind)
        adapted = self._inside and self._inside[-1] in OWN_NUMBERS
        if cuts and not adapted and args[0].dim() > 1 and _axis(args, kwargs, args[0].dim()) == 1:
            if isinstance(output, Tensor) and output.shape == args[0].shape:
                return
            self.freeze(self.of(args[0]), "cut at fixed places")

    def _as_labels(self, value: Any) -> Any:
        return (
            torch.from_numpy(np.require(self.of(value), requirements=["C", "W"]))
            if isinstance(value, Tensor)
            else value
        )

    def _take(self, moved: Any, output: Any) -> None:
        for ours, theirs in zip(tree_leaves(moved), tree_leaves(output), strict=True):
            if isinstance(theirs, Tensor):
                self.label(theirs, ours.numpy())

    def pads(self, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
        """Zeros are no channels."""
        padded = func(self._as_labels(args[0]), args[1], -1)
        self._take(padded, output)

    def splits(self, func: Any, args: Any, kwargs: Any, output: Any) -> None:
        """Pieces of one size come of a rule such as `chunk`: they must stay of one size."""
        axis = int(args[2] if len(args) > 2 else kwargs.get("dim", 0))
        labels = self.of(args[0])
        self._take(
            func(torch.from_numpy(np.require(labels, requirements=["C", "W"])), *args[1:], **kwargs), output
        )
        sizes = {tuple(piece.shape) for piece in output}
        if func.overloadpacket is _aten.split and axis in (1, 1 - labels.ndim) and len(sizes) == 1:
            first, *rest = (self.of(piece) for piece in output)
            for piece in rest:
                self.join(first, piece)
        elif func.overloadpacket is not _aten.split and axis in (1, 1 - labels.ndim):
            self.freeze(labels, "split at fixed places")

    def views(self, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
        """A channel axis that is cut into groups keeps groups of one size."""
        labels = self.of(args[0])
        moved = labels.reshape(tuple(output.shape))
        self.label(output, moved)
        before, after = tuple(args[0].shape), tuple(output.shape)
        if len(after) > len(before) > 1 and after[1] != before[1] and before[1] == after[1] * after[2]:
            for place in range(1, after[1]):
                self.join(moved[:, 0], moved[:, place])

    def spatial(self, func: Any, args: Any, kwargs: Any, output: Any) -> None:
        """Pools and resizing keep channels."""
        first = output[0] if isinstance(output, (tuple, list)) else output
        channel = self.by_channel(self.of(args[0]))
        if channel is None or first.shape[1] != len(channel):
            self._unknown("a pool over more than places", args, output)
            return
        self._spread(channel, first)

    def reductions(self, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
        """A mean over places keeps channels; over channels it mixes them."""
        labels = self.of(args[0])
        axes = args[1] if len(args) > 1 and args[1] is not None else list(range(labels.ndim))
        axes = tuple(int(axis) % labels.ndim for axis in ([axes] if isinstance(axes, int) else axes))
        highest = labels.max(axis=axes, keepdims=True)
        if not bool(((labels == highest) | (labels == -1)).all()):
            self._unknown("a sum over channels", args, output)
            return
        self.label(output, np.broadcast_to(highest, highest.shape).reshape(tuple(output.shape)))


def _axis(args: Sequence[Any], kwargs: Mapping[str, Any], ndim: int) -> int:
    axis = args[1] if len(args) > 1 and isinstance(args[1], int) else kwargs.get("dim", 0)
    return int(axis) % ndim


def _without_device(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in kwargs.items() if key not in ("device", "dtype", "layout", "pin_memory")
    }


_HANDLERS: dict[str, Callable[..., None]] = {
    "convolution": _Tracer.convolution,
    "addmm": _Tracer.linear,
    "mm": _Tracer.linear,
    "constant_pad_nd": _Tracer.pads,
    "split": _Tracer.splits,
    "split_with_sizes": _Tracer.splits,
    "_prelu_kernel": _Tracer.slopes,
    "prelu": _Tracer.slopes,
    "native_group_norm": _Tracer.group_norm,
    "pixel_shuffle": _Tracer.pixel_shuffle,
    **dict.fromkeys(_NORMS, _Tracer.norm),
    **dict.fromkeys(_POINTWISE, _Tracer.pointwise),
    **dict.fromkeys(_JOINS, _Tracer.joins),
    **dict.fromkeys(_MOVES - {"constant_pad_nd"}, _Tracer.moves),
    **dict.fromkeys(_VIEWS, _Tracer.views),
    **dict.fromkeys(_SPATIAL, _Tracer.spatial),
    **dict.fromkeys(_REDUCTIONS, _Tracer.reductions),
}
