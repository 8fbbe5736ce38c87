"""Labels that run beside a network: one on each number, joined where channels meet. What operators do stands in rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gossamer.compress.trace.values import Channels, Labels, Product, Slot

__all__ = ["Rule", "Table", "Tracer"]

Rule = Callable[["Tracer", Any, Any, Any, Any], None]
"""(tracer, operator, arguments, keyword arguments, output): gives the output its labels."""
_aten = torch.ops.aten


class Table(NamedTuple):
    """Numbers of a parameter, and which of its elements each one is (flat, -1 for none)."""

    name: str
    shape: tuple[int, ...]
    elements: Labels


class Tracer(TorchDispatchMode):
    """Runs the labels beside the network."""

    def __init__(self, twin: nn.Module, shared: set[str], rules: Mapping[str, Rule]) -> None:
        """`rules` say by operator what it does to labels; `shared` are parameters that several modules have: on the meta device they are apart."""
        super().__init__()
        self._rules = rules
        self.names = {id(tensor): name for name, tensor in [*twin.named_parameters(), *twin.named_buffers()]}
        self._shared = shared
        self._shapes = {name: tuple(p.shape) for name, p in twin.named_parameters()}
        self._labels: dict[int, Labels] = {}
        self.alive: list[Tensor] = []
        self.transposed: dict[int, str] = {}
        self._parent: list[int] = []
        self._why: dict[int, str] = {}
        self._slots: dict[tuple[str, int], Labels] = {}
        self.products: list[Product] = []
        self._outputs: dict[str, Labels] = {}
        self.inside: list[str] = []
        """Classes of the modules that run, the innermost last."""
        self.path: list[str] = [""]
        """Their names."""
        self.scores: set[int] = set()
        """Labels of what stands for the scores of an attention head."""
        self.heads: dict[str, Labels] = {}
        """The attention heads of modules, by their name."""
        self.tables: dict[int, Table] = {}
        """Tensors whose numbers are those of a parameter with several axes, moved about."""

    def listen(self, twin: nn.Module) -> Iterator[Any]:
        """Hooks that note the channels of every module's output."""
        for name, module in twin.named_modules():

            def enter(module: nn.Module, _args: Any, name: str = name) -> None:
                self.inside.append(type(module).__name__)
                self.path.append(name)

            def note(_module: nn.Module, _args: Any, output: Any, name: str = name) -> None:
                self.inside.pop()
                self.path.pop()
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
        self.alive.append(tensor)

    def of(self, tensor: Tensor) -> Labels:
        """The labels of a tensor; of a parameter new ones, a channel an element of every axis but those of 1."""
        known = self._labels.get(id(tensor))
        if known is not None:
            return known
        name = self.names.get(id(tensor))
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

    def heads_of(self, heads: Labels) -> None:
        """Say that the module that runs has these attention heads; another number of them a second time is frozen."""
        known = self.heads.setdefault(self.path[-1], heads)
        if len(known) != len(heads) or (self.roots(known) != self.roots(heads)).any():
            for each in (known, heads):
                self.freeze(
                    each,
                    f"heads of a {self.inside[-1] if self.inside else 'network'} that are mixed, or of two attentions",
                )

    def fixed_product(self, macs: int, outputs: int = 1, inputs: int = 1) -> None:
        """A product whose operands all stay, by the module that runs."""
        rows = macs // (outputs * inputs)
        if rows * outputs * inputs != macs:  # in groups
            rows, outputs, inputs = macs, 1, 1
        kept = [np.full(count, -1, np.int64) for count in (outputs, inputs)]
        self.products.append(Product(self.path[-1], rows, kept[0], kept[1], 1))

    # sets of labels

    def root(self, label: int) -> int:
        """The label that stands for a set."""
        while self._parent[label] != label:
            self._parent[label] = self._parent[self._parent[label]]
            label = self._parent[label]
        return label

    def roots(self, labels: Labels) -> Labels:
        """The label that stands for each one's set, -1 of what is no channel."""
        distinct, places = np.unique(labels, return_inverse=True)
        found = np.array([self.root(label) if label >= 0 else -1 for label in distinct.tolist()], np.int64)
        return found[places].reshape(labels.shape)

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
        outputs = self._outputs | {
            f"{name}.num_heads".lstrip("."): labels for name, labels in self.heads.items()
        }
        heads = frozenset(
            int(sets[label]) for labels in self.heads.values() for label in labels if sets[label] >= 0
        )
        return Channels(sets, slots, self.products, reasons, self._shapes, outputs, heads)

    # operators

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        packet, name = func.overloadpacket, func.overloadpacket.__name__
        plain = name.removesuffix("_")
        if packet is _aten.t and id(args[0]) in self.names:
            self.transposed[id(output)] = self.names[id(args[0])]
            self.alive.append(output)
            return output
        known = self._rules.get(plain)
        if known is None:
            self.unknown(name, (args, kwargs), output)
        else:
            known(self, func, args, kwargs or {}, output)
        return output

    def unknown(self, name: str, operands: Any, output: Any) -> None:
        """Freeze what goes into it; what comes out is no channel."""
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

    def spread(self, channel: Labels, output: Tensor, axis: int = 1) -> None:
        """Give an output these channels along an axis."""
        shape = [1] * output.dim()
        shape[axis] = -1
        self.label(output, np.broadcast_to(channel.reshape(shape), tuple(output.shape)))
