"""A network's layers as counts of channels: which go first, what any choice of counts costs, and the plan that cuts it.

Sets that look alike (they touch the same axes of the same parameters) are one layer's channels. Scores of weights are
compared after dividing by their layer's mean, per multiply-accumulate that removing them saves (DepGraph, 2301.12900, with the
normalisation of isomorphic pruning, 2407.04616).
"""

from __future__ import annotations

import copy
import fnmatch
import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from gossamer.compress.prune.budget import Budget, Quantity
from gossamer.compress.prune.plan import PrunePlan
from gossamer.compress.prune.scores import COMPARABLE, Batches, Importance, scores_of
from gossamer.compress.trace.channels import Channels, find_channels
from gossamer.errors import GossamerError, ModelError
from gossamer.nn.objective import CLASS_SCORES, Objective
from gossamer.nn.standardised import plain_convolutions

__all__ = ["Prunable", "PrunableLayer", "Scope", "quantity_of"]

Scope = Literal["auto", "global", "layer"]
"""Channels of all layers compared, or the same share of each; auto compares where the importance is comparable."""
Kept = NDArray[np.bool_]
"""Of every set, whether it stays."""

_TOLERANCE = 1e-12


@dataclass(frozen=True)
class PrunableLayer:
    """Channels that are alike; `bundles` are sets in the order in which they leave, a multiple of channels at a time."""

    name: str
    """The first layer that gives these channels."""
    others: tuple[str, ...]
    """Further layers that give the same ones."""
    sets: tuple[int, ...]
    """All sets, the least important first."""
    bundles: tuple[tuple[int, ...], ...]
    relative: tuple[float, ...]
    """What each bundle matters: where 1 is the layer's mean set, or in the unit of a comparable importance."""

    @property
    def least(self) -> int:
        """How many sets stay when every bundle has left."""
        return len(self.sets) - sum(len(bundle) for bundle in self.bundles)

    def counts(self) -> tuple[int, ...]:
        """The counts that the layer can have, the largest first."""
        found = [len(self.sets)]
        for bundle in self.bundles:
            found.append(found[-1] - len(bundle))
        return tuple(found)


def quantity_of(what: str) -> Quantity:
    """What a target is reached by: weights are of one type, so that their bytes fall as the params do."""
    return "macs" if what == "macs" else "params"


class Prunable:
    """A network that can be pruned: its layers in the order of the network."""

    def __init__(
        self,
        network: nn.Module,
        example: Sequence[int] | Tensor,
        *,
        importance: Importance = "l2",
        batches: Batches = (),
        multiple: int = 1,
        floor: float = 0.1,
        keep: Sequence[str] = (),
        objective: Objective = CLASS_SCORES,
        seed: int = 0,
    ) -> None:
        """Follow the network once and score its channels; `keep` are layers, or patterns of names, to leave whole.

        Raises:
            GossamerError: a value out of its range, or a pattern that no layer has.
            ModelError: the network cannot be followed, or has nothing to prune.
        """
        if multiple < 1 or not 0 <= floor < 1:
            raise GossamerError(
                f"multiple is at least 1 and floor from 0 to below 1, got {multiple} and {floor:g}; give e.g. 8 and 0.1"
            )
        network = plain_convolutions(network)
        self.channels = find_channels(network, example)
        self.comparable = importance in COMPARABLE
        self.scores = self._scored(network, importance, batches, objective, seed)
        self._floor = floor
        self.layers = self._layers(multiple)
        self.layer_ms: Mapping[str, float] | None = None
        """Times of the whole network's layers, where somebody measured them: what `milliseconds` are told from."""
        if keep:
            self._leave(keep)

    def _layers(self, multiple: int) -> list[PrunableLayer]:
        alike = not self.comparable
        return [
            _layer(
                self.channels,
                sets,
                self.scores,
                1 if self.channels.heads.issuperset(sets) else multiple,  # a head is many channels wide
                self._floor,
                alike=alike,
            )
            for sets in self.channels.alike()
        ]

    def in_multiples(self, multiple: int) -> Prunable:
        """The same network with the same scores, whose layers keep a multiple of channels."""
        found = copy.copy(self)
        names = {layer.name for layer in self.layers}
        found.layers = [layer for layer in self._layers(multiple) if layer.name in names]
        return found

    def widest_multiple(self, block: int) -> int:
        """The largest of block, block / 2, ... 1 of which the middle layer has four: coarser steps leave no choice."""
        heads = self.channels.heads
        sizes = [len(layer.sets) for layer in self.layers if not heads.issuperset(layer.sets)]
        middle = int(np.median(sizes)) if sizes else 1
        while block > 1 and 4 * block > middle:
            block //= 2
        return block

    def _scored(
        self, network: nn.Module, importance: Importance, batches: Batches, objective: Objective, seed: int
    ) -> NDArray[np.float64]:
        if self.channels.count == 0:
            frozen = [f"{count} {reason}" for reason, count in self.channels.frozen.items()]
            raise ModelError(
                f"{type(network).__name__} has no channel that may go ({', '.join(frozen) or 'it has no convolutions'}); "
                "prune another network"
            )
        return scores_of(network, self.channels, importance, batches=batches, objective=objective, seed=seed)

    def _leave(self, keep: Sequence[str]) -> None:
        for pattern in keep:
            if not any(_matches(layer, pattern) for layer in self.layers):
                names = ", ".join(layer.name for layer in self.layers[:5])
                raise GossamerError(
                    f"no layer that can be pruned matches {pattern!r}; layers are e.g. {names}, patterns as in 'stages.0.*'"
                )
        self.layers = [
            layer for layer in self.layers if not any(_matches(layer, pattern) for pattern in keep)
        ]

    # costs

    def cost(self, kept: Kept, what: Quantity = "macs") -> int:
        """Exact macs or params of the network that keeps these sets."""
        return self.channels.params(kept) if what == "params" else self.channels.macs(kept)

    @property
    def whole(self) -> Kept:
        """Everything stays."""
        return np.ones(self.channels.count, np.bool_)

    # choices

    def at(self, counts: Mapping[str, int]) -> Kept:
        """So many sets of each layer by name, the most important; layers not named stay whole.

        Raises:
            GossamerError: a count below 1, or a layer that is not there.
        """
        kept = self.whole
        layers = {layer.name: layer for layer in self.layers}
        for name, count in counts.items():
            if name not in layers or not 1 <= count <= len(layers[name].sets):
                has = len(layers[name].sets) if name in layers else "none"
                raise GossamerError(
                    f"{name} can keep 1 to {has} channels, got {count}; see the layers' counts"
                )
            kept[list(layers[name].sets[: len(layers[name].sets) - count])] = False
        return kept

    def share_of(self, what: str, target: float, network: nn.Module) -> float:
        """The share that a target asks for, which above 1 is a number of `what`: macs, params or bytes of weights.

        Raises:
            GossamerError: the network is below that number already.
        """
        if target <= 1:
            return target
        if what == "bytes":
            whole = sum(p.numel() * p.element_size() for p in network.parameters())
        else:
            whole = self.cost(self.whole, quantity_of(what))
        if target > whole:
            raise GossamerError(
                f"the network has {whole} {what} and the target is {target:.0f}: there is nothing to take away"
            )
        return target / whole

    def choose(self, target: float, *, what: Quantity = "macs", scope: Scope = "auto") -> Kept:
        """Sets leave, the least important per saving first, until at most this share is left; the last percent is filled.

        `scope` "global" compares all layers' channels, "layer" takes the same share of each. Norms of weights tell little
        between layers: half of ResNet-56's macs gone by them globally leaves 11 % accuracy, evenly 58 %.

        Raises:
            ModelError: the share cannot be reached.
        """
        if scope == "auto":
            scope = "global" if self.comparable else "layer"
        budget = Budget(self.channels, what, self.layer_ms)
        whole = budget.total
        limit = whole * target * (1 + _TOLERANCE)
        kept = self.whole
        heap: list[tuple[float, int, int]] = []
        for number, layer in enumerate(self.layers):
            if layer.bundles:
                heapq.heappush(heap, (_rank(budget, layer, 0, scope), number, 0))
        gone: list[tuple[int, int]] = []
        while budget.total > limit:
            if not heap:
                raise ModelError(
                    f"{target:.0%} of the {what} cannot be reached: {budget.total / whole:.1%} stays with every layer at its "
                    "least; lower floor or multiple, or ask for more"
                )
            _, number, at = heapq.heappop(heap)
            layer = self.layers[number]
            now = _rank(budget, layer, at, scope)
            if heap and now > heap[0][0] * (1 + 1e-9):
                heapq.heappush(heap, (now, number, at))
                continue
            kept[list(layer.bundles[at])] = False
            budget.change(layer.bundles[at], -1)
            gone.append((number, at))
            if at + 1 < len(layer.bundles):
                heapq.heappush(heap, (_rank(budget, layer, at + 1, scope), number, at + 1))
        self._fill(budget, limit, gone, kept)
        return kept

    def _fill(self, budget: Budget, limit: float, gone: Sequence[tuple[int, int]], kept: Kept) -> None:
        """Put back what still fits, the last to go first, a layer's inner bundles too.

        A layer's first bundle may be the odd rest above the multiples: it comes back only when all others are back.
        """
        left = list(reversed(gone))
        while left:
            back: list[tuple[int, int]] = []
            for number, at in left:
                bundles = self.layers[number].bundles
                others = any(each[0] == number and each[1] != at and each not in back for each in left)
                if at == 0 and others and len(bundles[0]) != len(bundles[-1]):
                    continue
                if budget.total + budget.growth(bundles[at]) <= limit:
                    budget.change(bundles[at], 1)
                    kept[list(bundles[at])] = True
                    back.append((number, at))
            if not back:
                return
            left = [each for each in left if each not in back]

    # plans

    def plan(self, kept: Kept) -> PrunePlan:
        """The choice as data."""
        channels = self.channels
        labels = channels.kept_labels(kept)
        removed = {
            each.layer: (int(labels[each.outputs].sum()), len(each.outputs))
            for each in channels.products
            if (each.outputs >= 0).all() and not labels[each.outputs].all()
        }
        return PrunePlan(
            channels.places(kept),
            channels.given(kept),
            channels.macs(kept),
            channels.macs(self.whole),
            channels.params(kept),
            channels.params(self.whole),
            removed,
            channels.frozen,
        )


def _matches(layer: PrunableLayer, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in (layer.name, *layer.others))


def _layer(
    channels: Channels,
    sets: Sequence[int],
    scores: NDArray[np.float64],
    multiple: int,
    floor: float,
    *,
    alike: bool,
) -> PrunableLayer:
    """Sets in the order they go, so many at a time, down to the floor; `alike` gives every layer the same mean."""
    order = sorted(sets, key=lambda which: (scores[which], which))
    least = max(1, int(np.ceil(floor * len(order))))
    if len(order) >= multiple:
        least = min(len(order), max(multiple, -(-least // multiple) * multiple))
    size = len(order) % multiple or multiple
    mean = (float(scores[list(sets)].mean()) if alike else 0.0) or 1.0
    bundles: list[tuple[int, ...]] = []
    start = 0
    while start < len(order) and len(order) - (start + size) >= least:
        bundles.append(tuple(order[start : start + size]))
        start += size
        size = multiple
    relative = tuple(float(scores[list(bundle)].sum()) / mean for bundle in bundles)
    first, *others = _givers(channels, sets)
    return PrunableLayer(first, tuple(others), tuple(order), tuple(bundles), relative)


def _givers(channels: Channels, sets: Sequence[int]) -> list[str]:
    """Layers whose outputs are of these sets; of a set that no layer gives, the parameter that has it."""
    given = [p.layer for p in channels.products if np.isin(channels.set_of(p.outputs), sets).any()]
    if given:
        return list(dict.fromkeys(given))
    return [slot.name for slot in channels.slots if np.isin(channels.set_of(slot.labels), sets).any()][:1]


def _rank(budget: Budget, layer: PrunableLayer, at: int, scope: Scope) -> float:
    """What goes first: by importance for what it saves, or evenly in all layers."""
    if scope == "layer":
        gone = sum(len(bundle) for bundle in layer.bundles[: at + 1])
        return gone / sum(len(bundle) for bundle in layer.bundles)
    return layer.relative[at] / max(budget.saving(layer.bundles[at]), 1e-9)
