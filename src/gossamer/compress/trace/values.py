"""The channels of a network as values: which belong together, what they cost, where they stand in its parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

__all__ = ["Channels", "Labels", "Product", "Slot"]

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Slot:
    """One axis of a parameter or buffer, and the label of each of its places (-1 where it may not change)."""

    name: str
    axis: int
    labels: Labels


@dataclass(frozen=True)
class Product:
    """A convolution or matrix product; of attention the outputs are heads. Macs = `factor` x outputs kept x inputs kept / groups."""

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
    """Labels of the channels that each module gives, by its name; of attention heads by `name.num_heads`."""
    heads: frozenset[int] = frozenset()
    """Sets that are attention heads: each is many channels wide."""

    @property
    def count(self) -> int:
        """How many sets may be removed."""
        return int(self.sets.max(initial=-1)) + 1

    def set_of(self, labels: Labels) -> Labels:
        """The set of each label, -1 where it is frozen or no channel."""
        return np.where(labels < 0, -1, self.sets[np.maximum(labels, 0)]) if len(self.sets) else labels

    def alike(self) -> list[list[int]]:
        """Sets by the axes of parameters that they touch, in the order of the network: one layer's channels each."""
        touched: dict[int, list[tuple[int, int]]] = {}
        for number, slot in enumerate(self.slots):
            found = self.set_of(slot.labels)
            for which, count in zip(*np.unique(found[found >= 0], return_counts=True), strict=True):
                touched.setdefault(int(which), []).append((number, int(count)))
        layers: dict[tuple[tuple[int, int], ...], list[int]] = {}
        for which in sorted(touched):
            layers.setdefault(tuple(touched[which]), []).append(which)
        return list(layers.values())

    def kept_labels(self, kept_sets: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """By label, from what is kept by set; frozen labels are."""
        found: NDArray[np.bool_] = np.where(
            self.sets < 0, True, kept_sets[self.sets] if len(kept_sets) else True
        )
        return found

    def places(self, kept_sets: NDArray[np.bool_]) -> dict[str, dict[int, tuple[int, ...]]]:
        """Parameter or buffer -> axis -> the places that stay, of those that lose some."""
        kept = self.kept_labels(kept_sets)
        places: dict[str, dict[int, tuple[int, ...]]] = {}
        for slot in self.slots:
            stays = (slot.labels < 0) | kept[slot.labels]
            if not stays.all():
                places.setdefault(slot.name, {})[slot.axis] = tuple(np.flatnonzero(stays).tolist())
        return places

    @property
    def head_counts(self) -> dict[str, int]:
        """`name.num_heads` -> how many heads an attention has, where some may go."""
        return {
            name: len(labels)
            for name, labels in self.outputs.items()
            if self.heads.intersection(self.set_of(labels).tolist())
        }

    def given(self, kept_sets: NDArray[np.bool_]) -> dict[str, int]:
        """How many channels modules give from now on, of those that lose some; and how many heads they have."""
        kept = self.kept_labels(kept_sets)
        counts = {name: _count(labels, kept) for name, labels in self.outputs.items()}
        return {name: count for name, count in counts.items() if count < len(self.outputs[name])}

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
