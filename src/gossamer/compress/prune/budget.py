"""What a network costs as sets of channels go: macs or params, exact, kept up to date set by set.

Milliseconds are told from the times of the layers of the whole network, each taken to shrink as its macs do: good enough
to rank by, and measured afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gossamer.compress.trace.channels import Channels

__all__ = ["Budget", "Quantity"]

Quantity = Literal["macs", "params", "milliseconds"]


class Budget:
    """A sum of products of counts; each count is of the places of one axis, each place belongs to a set or stays."""

    def __init__(
        self, channels: Channels, what: Quantity, layer_ms: Mapping[str, float] | None = None
    ) -> None:
        """`layer_ms` are the times of layers, by name, for milliseconds."""
        if what == "params":
            terms = _params_terms(channels)
        else:
            terms = _macs_terms(channels, None if what == "macs" else layer_ms or {})
        self._factors = [factor for factor, _ in terms]
        self._sizes = [[len(labels) for labels in parts] for _, parts in terms]
        self._places = _places([parts for _, parts in terms])
        """Set -> (term, part, how many of its places)."""
        self.total = sum(self._value(term) for term in range(len(terms)))

    def _value(self, term: int) -> float:
        value = self._factors[term]
        for size in self._sizes[term]:
            value *= size
        return value

    def change(self, sets: Sequence[int], sign: int) -> float:
        """Take sets out (-1) or put them back (1); by how much the total moved."""
        touched = {term for which in sets for term, _, _ in self._places.get(which, ())}
        before = sum(self._value(term) for term in touched)
        for which in sets:
            for term, part, count in self._places.get(which, ()):
                self._sizes[term][part] += sign * count
        moved = sum(self._value(term) for term in touched) - before
        self.total += moved
        return moved

    def saving(self, sets: Sequence[int]) -> float:
        """What taking these sets out would save now."""
        saved = -self.change(sets, -1)
        self.change(sets, 1)
        return saved

    def growth(self, sets: Sequence[int]) -> float:
        """What putting these sets back would cost now."""
        grown = self.change(sets, 1)
        self.change(sets, -1)
        return grown


_Terms = list[tuple[float, list[NDArray[np.int64]]]]


def _places(terms: Sequence[Sequence[NDArray[np.int64]]]) -> dict[int, list[tuple[int, int, int]]]:
    found: dict[int, list[tuple[int, int, int]]] = {}
    for term, parts in enumerate(terms):
        for part, labels in enumerate(parts):
            for which, count in zip(*np.unique(labels[labels >= 0], return_counts=True), strict=True):
                found.setdefault(int(which), []).append((term, part, int(count)))
    return found


def _macs_terms(channels: Channels, layer_ms: Mapping[str, float] | None) -> _Terms:
    """With times, each layer's macs are weighed such that the whole layer costs its time; without one, nothing."""
    terms: _Terms = []
    for each in channels.products:
        parts = [channels.set_of(each.outputs), channels.set_of(each.inputs)]
        factor = each.factor / each.groups
        if layer_ms is not None:
            factor = layer_ms.get(each.layer, 0.0) / (len(parts[0]) * len(parts[1]))
        terms.append((factor, parts))
    return terms


def _params_terms(channels: Channels) -> _Terms:
    axes: dict[str, dict[int, NDArray[np.int64]]] = {}
    for slot in channels.slots:
        if slot.name in channels.shapes:
            axes.setdefault(slot.name, {})[slot.axis] = channels.set_of(slot.labels)
    terms: _Terms = []
    for name, shape in channels.shapes.items():
        known = axes.get(name, {})
        rest = int(np.prod([size for axis, size in enumerate(shape) if axis not in known], initial=1))
        terms.append((float(rest), [known[axis] for axis in sorted(known)]))
    return terms
