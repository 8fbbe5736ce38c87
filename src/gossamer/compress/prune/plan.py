"""Which channels go: scores by set, and a budget in multiply-accumulates or parameters met exactly.

Sets that look alike (they touch the same axes of the same parameters) are one layer's channels. Scores are compared
after dividing by their layer's mean, per multiply-accumulate that removing them saves (DepGraph, 2301.12900, with the
normalisation of isomorphic pruning, 2407.04616).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gossamer.compress.channels import Channels, find_channels
from gossamer.errors import GossamerError, ModelError
from gossamer.nn.channels import read_kept, written_kept

__all__ = ["Importance", "PrunePlan", "plan_pruning", "scores_of"]

Importance = Literal["l1", "l2", "norm-scale", "random"]
_TOLERANCE = 1e-12


@dataclass(frozen=True)
class PrunePlan:
    """What stays of every parameter: name -> axis -> places kept; and of every module's output channels."""

    kept: Mapping[str, Mapping[int, tuple[int, ...]]]
    outputs: Mapping[str, int]
    macs: int
    macs_before: int
    params: int
    params_before: int
    removed: Mapping[str, tuple[int, int]]
    """Layer -> (channels it gives after, before), of layers that lose some."""
    frozen: Mapping[str, int]
    """Why channels were not touched -> how many."""

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {
            "edit": "prune",
            "kept": written_kept(self.kept),
            "outputs": dict(self.outputs),
            "macs": self.macs,
            "macs_before": self.macs_before,
            "params": self.params,
            "params_before": self.params_before,
            "removed": {name: list(pair) for name, pair in self.removed.items()},
            "frozen": dict(self.frozen),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> PrunePlan:
        """Read what `to_json` wrote.

        Raises:
            ModelError: a key is missing or of the wrong kind.
        """
        try:
            kept = read_kept(document["kept"])
            removed = {str(k): (int(v[0]), int(v[1])) for k, v in document["removed"].items()}
            outputs = {str(k): int(v) for k, v in document["outputs"].items()}
            return cls(
                kept,
                outputs,
                int(document["macs"]),
                int(document["macs_before"]),
                int(document["params"]),
                int(document["params_before"]),
                removed,
                dict(document["frozen"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"a pruning plan needs kept, outputs, macs, params, removed and frozen ({type(error).__name__}: {error}); "
                "write it with to_json"
            ) from error


def plan_pruning(
    network: nn.Module,
    example: Sequence[int] | Tensor,
    *,
    macs: float | None = None,
    params: float | None = None,
    importance: Importance = "l2",
    scope: Literal["global", "layer"] = "global",
    multiple: int = 1,
    floor: float = 0.1,
    seed: int = 0,
) -> PrunePlan:
    """Choose channels to keep so that macs, or params, are at most this share of what they were, and close to it.

    `scope` "global" compares all layers' channels, "layer" takes the same share of each. Layers keep a `multiple` of
    channels (where they have that many), and a share of at least `floor`.

    Raises:
        GossamerError: not exactly one target, or one outside 0 to 1.
        ModelError: the network cannot be followed, has nothing to prune, or not enough for the target.
    """
    _check_target(macs, params, multiple, floor)
    channels = find_channels(network, example)
    if channels.count == 0:
        why = (
            ", ".join(f"{count} {reason}" for reason, count in channels.frozen.items())
            or "it has no convolutions"
        )
        raise ModelError(
            f"{type(network).__name__} has no channel that may go ({why}); prune another network"
        )
    whole = np.ones(channels.count, np.bool_)
    scores = scores_of(network, channels, importance, seed=seed)
    budget = _Budget(channels, "macs" if macs is not None else "params")
    target = (macs if macs is not None else params) or 0.0
    kept = _choose(channels, scores, budget, target, scope=scope, multiple=multiple, floor=floor)
    labels = channels.kept_labels(kept)
    places: dict[str, dict[int, tuple[int, ...]]] = {}
    for slot in channels.slots:
        stays = (slot.labels < 0) | labels[slot.labels]
        if not stays.all():
            places.setdefault(slot.name, {})[slot.axis] = tuple(np.flatnonzero(stays).tolist())
    outputs = {
        name: int(((found < 0) | labels[found]).sum())
        for name, found in channels.outputs.items()
        if not ((found < 0) | labels[found]).all()
    }
    removed = {
        each.layer: (int(labels[each.outputs].sum()), len(each.outputs))
        for each in channels.products
        if (each.outputs >= 0).all() and not labels[each.outputs].all()
    }
    return PrunePlan(
        places,
        outputs,
        channels.macs(kept),
        channels.macs(whole),
        channels.params(kept),
        channels.params(whole),
        removed,
        channels.frozen,
    )


def _check_target(macs: float | None, params: float | None, multiple: int, floor: float) -> None:
    given = [value for value in (macs, params) if value is not None]
    if len(given) != 1:
        raise GossamerError(f"a plan has one target, macs or params, got {len(given)}; give e.g. macs=0.5")
    if not 0 < given[0] <= 1:
        raise GossamerError(
            f"a target is a share above 0 and at most 1 of what stays, got {given[0]:g}; give e.g. 0.5"
        )
    if multiple < 1 or not 0 <= floor < 1:
        raise GossamerError(
            f"multiple is at least 1 and floor from 0 to below 1, got {multiple} and {floor:g}; give e.g. 8 and 0.1"
        )


def scores_of(
    network: nn.Module, channels: Channels, importance: Importance, *, seed: int = 0
) -> NDArray[np.float64]:
    """How much each set matters: the sum over its slices of the weights' norms, or of its norm's scales."""
    if importance == "random":
        return np.random.default_rng(seed).random(channels.count) + 1e-9
    tensors = dict(network.named_parameters())
    scores = np.zeros(channels.count)
    for slot in channels.slots:
        weight = tensors.get(slot.name)
        if weight is None or (weight.dim() > 1) == (importance == "norm-scale"):
            continue
        if importance == "norm-scale" and not slot.name.endswith("weight"):
            continue
        with torch.no_grad():
            flat = (
                weight.detach().double().movedim(slot.axis, 0).flatten(1)
                if weight.dim() > 1
                else weight[:, None]
            )
            size = flat.abs().sum(1) if importance in ("l1", "norm-scale") else flat.square().sum(1).sqrt()
        found = channels.sets[np.maximum(slot.labels, 0)]
        valid = (slot.labels >= 0) & (found >= 0)
        np.add.at(scores, found[valid], size.cpu().numpy()[valid])
    return scores


class _Budget:
    """Macs or params as sets go, kept up to date."""

    def __init__(self, channels: Channels, what: Literal["macs", "params"]) -> None:
        sets = channels.sets
        terms: list[tuple[float, list[NDArray[np.int64]]]] = []
        if what == "macs":
            terms = [
                (each.factor / each.groups, [_sets(sets, each.outputs), _sets(sets, each.inputs)])
                for each in channels.products
            ]
        else:
            axes: dict[str, dict[int, NDArray[np.int64]]] = {}
            for slot in channels.slots:
                if slot.name in channels.shapes:
                    axes.setdefault(slot.name, {})[slot.axis] = _sets(sets, slot.labels)
            for name, shape in channels.shapes.items():
                known = axes.get(name, {})
                rest = int(np.prod([size for axis, size in enumerate(shape) if axis not in known], initial=1))
                terms.append((float(rest), [known[axis] for axis in sorted(known)]))
        self.factors = [factor for factor, _ in terms]
        self.sizes = [[len(labels) for labels in parts] for _, parts in terms]
        self.places: dict[int, list[tuple[int, int, int]]] = {}
        """Set -> (term, part, how many of its places)."""
        for term, (_, parts) in enumerate(terms):
            for part, labels in enumerate(parts):
                for which, count in zip(*np.unique(labels[labels >= 0], return_counts=True), strict=True):
                    self.places.setdefault(int(which), []).append((term, part, int(count)))
        self.total = sum(self._value(term) for term in range(len(terms)))

    def _value(self, term: int) -> float:
        value = self.factors[term]
        for size in self.sizes[term]:
            value *= size
        return value

    def change(self, sets: Sequence[int], sign: int) -> float:
        """Take sets out (-1) or put them back (1); by how much the total moved."""
        touched = {term for which in sets for term, _, _ in self.places.get(which, ())}
        before = sum(self._value(term) for term in touched)
        for which in sets:
            for term, part, count in self.places.get(which, ()):
                self.sizes[term][part] += sign * count
        moved = sum(self._value(term) for term in touched) - before
        self.total += moved
        return moved

    def saving(self, sets: Sequence[int]) -> float:
        """What taking these sets out would save now."""
        saved = -self.change(sets, -1)
        self.change(sets, 1)
        return saved


def _sets(sets: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(labels < 0, -1, sets[np.maximum(labels, 0)])


def _layers(channels: Channels) -> list[list[int]]:
    """Sets by the axes that they touch."""
    touched: dict[int, list[tuple[int, int]]] = {}
    for number, slot in enumerate(channels.slots):
        found = _sets(channels.sets, slot.labels)
        for which, count in zip(*np.unique(found[found >= 0], return_counts=True), strict=True):
            touched.setdefault(int(which), []).append((number, int(count)))
    layers: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for which in sorted(touched):
        layers.setdefault(tuple(touched[which]), []).append(which)
    return list(layers.values())


def _choose(
    channels: Channels,
    scores: NDArray[np.float64],
    budget: _Budget,
    target: float,
    *,
    scope: Literal["global", "layer"],
    multiple: int,
    floor: float,
) -> NDArray[np.bool_]:
    """The sets to keep: bundles go, the least important per saving first, until the total is at most the target."""
    whole = budget.total
    limit = whole * target * (1 + _TOLERANCE)
    kept = np.ones(channels.count, np.bool_)
    queues = [_bundles(layer, scores, multiple, floor) for layer in _layers(channels)]
    heap: list[tuple[float, int, int]] = []
    for number, (bundles, relative) in enumerate(queues):
        if bundles:
            heapq.heappush(heap, (_rank(budget, bundles, relative, 0, scope), number, 0))
    gone: list[tuple[int, list[int]]] = []
    while budget.total > limit:
        if not heap:
            raise ModelError(
                f"{target:.0%} cannot be reached: {budget.total / whole:.1%} stays with every layer at its least "
                f"({floor:.0%}, multiples of {multiple}); lower floor or multiple, or ask for more"
            )
        _, number, at = heapq.heappop(heap)
        bundles, relative = queues[number]
        now = _rank(budget, bundles, relative, at, scope)
        if heap and now > heap[0][0] * (1 + 1e-9):
            heapq.heappush(heap, (now, number, at))
            continue
        kept[bundles[at]] = False
        budget.change(bundles[at], -1)
        gone.append((number, bundles[at]))
        if at + 1 < len(bundles):
            heapq.heappush(heap, (_rank(budget, bundles, relative, at + 1, scope), number, at + 1))
    _fill(budget, limit, gone, kept)
    return kept


def _bundles(
    layer: Sequence[int], scores: NDArray[np.float64], multiple: int, floor: float
) -> tuple[list[list[int]], list[float]]:
    """Sets of a layer in the order they go, so many at a time, and what each bundle matters (1 is the layer's mean)."""
    order = sorted(layer, key=lambda which: (scores[which], which))
    least = max(1, int(np.ceil(floor * len(order))))
    if len(order) >= multiple:
        least = min(len(order), max(multiple, -(-least // multiple) * multiple))
    first = len(order) % multiple or multiple
    mean = float(scores[list(layer)].mean()) or 1.0
    bundles: list[list[int]] = []
    start = 0
    while start < len(order) and len(order) - (start + (first if start == 0 else multiple)) >= least:
        size = first if start == 0 else multiple
        bundles.append(order[start : start + size])
        start += size
    relative = [float(scores[bundle].sum()) / mean for bundle in bundles]
    return bundles, relative


def _rank(
    budget: _Budget,
    bundles: list[list[int]],
    relative: list[float],
    at: int,
    scope: Literal["global", "layer"],
) -> float:
    """What goes first: by importance for what it saves, or evenly in all layers."""
    if scope == "layer":
        return (sum(len(bundle) for bundle in bundles[: at + 1])) / sum(len(bundle) for bundle in bundles)
    return relative[at] / max(budget.saving(bundles[at]), 1e-9)


def _fill(
    budget: _Budget, limit: float, gone: Sequence[tuple[int, list[int]]], kept: NDArray[np.bool_]
) -> None:
    """Put back what still fits, the last to go first; a layer's bundles come back in their order, so multiples hold."""
    full: set[int] = set()
    for layer, bundle in reversed(gone):
        if layer in full:
            continue
        budget.change(bundle, 1)
        if budget.total <= limit:
            kept[bundle] = True
        else:
            budget.change(bundle, -1)
            full.add(layer)
