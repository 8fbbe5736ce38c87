"""What every driver of automatic ratios works with: a share of channels to keep for each layer in, a score out.

Any policy is brought to the same budget of macs, exactly: shares are scaled together, then filled channel by channel.
The network is cut, not masked (it gives the same scores and is cheaper to run), its batch norms are estimated anew, and
a metric on held-out pictures says what it is worth, without training (AMC, He et al., 1802.03494, section 3.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from gossamer.compress.prune.apply import apply_pruning
from gossamer.compress.prune.plan import PrunePlan
from gossamer.compress.prune.prunable import Kept, Prunable
from gossamer.compress.prune.repair import reconstruct, reestimate_norms
from gossamer.compress.prune.scores import FROM_PICTURES, Batches, Importance
from gossamer.errors import GossamerError, ModelError
from gossamer.nn.modes import in_eval, taken_off
from gossamer.nn.objective import CLASS_SCORES, Objective
from gossamer.search.space import Counts, Evaluated, Policy

__all__ = ["Environment", "Metric", "Repair", "input_sides"]

Metric = Callable[[nn.Module], float]
"""Of a network on pictures that it was not calibrated on; the larger the better."""
Repair = Literal["norms", "fitted", "none"]
"""Batch norms estimated anew (a second), layers fitted to what they gave before (several), nothing."""

_HALVINGS = 24
_NEAR = 0.005
"""A budget is met within this, from below."""


def _check(repair: str, macs: float) -> None:
    if repair not in get_args(Repair):
        raise GossamerError(f"repair is one of {', '.join(get_args(Repair))}; got {repair!r}, take norms")
    if not 0 < macs <= 1:
        raise GossamerError(
            f"macs is a share above 0 and at most 1 of what stays, got {macs:g}; give e.g. 0.5"
        )


class Environment:
    """A network whose layers may be cut, a budget, and a metric; equal counts are measured once."""

    def __init__(
        self,
        network: nn.Module,
        example: Sequence[int] | Tensor,
        *,
        metric: Metric,
        macs: float = 0.5,
        batches: Batches = (),
        importance: Importance = "l2",
        multiple: int = 1,
        floor: float = 0.1,
        keep: Sequence[str] = (),
        repair: Repair = "norms",
        objective: Objective = CLASS_SCORES,
        seed: int = 0,
    ) -> None:
        """`macs` is the share that may stay; `repair` is done on `batches` before scoring, and only where there are some.

        Raises:
            GossamerError: a value out of its range.
            ModelError: the network has nothing to prune, or the budget is below every layer at its least.
        """
        _check(repair, macs)
        self.network, self.metric = network, metric
        self.shape = tuple(int(side) for side in (example.shape if isinstance(example, Tensor) else example))
        self.batches, self._repair = batches, repair
        self.prunable = Prunable(
            network,
            example,
            importance=importance,
            batches=batches if importance in FROM_PICTURES else (),
            multiple=multiple,
            floor=floor,
            keep=keep,
            objective=objective,
            seed=seed,
        )
        self.layers = tuple(layer for layer in self.prunable.layers if layer.bundles)
        self.choices = tuple(layer.counts()[::-1] for layer in self.layers)
        """Of each layer the counts that it can have, the least first."""
        self.whole: Counts = tuple(choices[-1] for choices in self.choices)
        self.least: Counts = tuple(choices[0] for choices in self.choices)
        self.whole_macs = self.macs(self.whole)
        self.limit = math.floor(self.whole_macs * macs + 1e-6)
        self.evaluations = 0
        """Networks measured so far, by all drivers together."""
        self._known: dict[Counts, Evaluated] = {}
        if self.macs(self.least) > self.limit:
            raise ModelError(
                f"{macs:.0%} of the macs cannot be reached: {self.macs(self.least) / self.whole_macs:.1%} stays with every "
                "layer at its least; lower floor or multiple, or ask for more"
            )

    # costs and counts

    def macs(self, counts: Counts) -> int:
        """Exact macs of the network that keeps these counts."""
        return self.prunable.cost(self.kept(counts))

    def shares(self, counts: Counts) -> tuple[float, ...]:
        """Counts as shares of the whole layers."""
        return tuple(count / whole for count, whole in zip(counts, self.whole, strict=True))

    def nearest(self, policy: Policy) -> Counts:
        """The nearest counts that the layers can have, whatever they cost.

        Raises:
            GossamerError: not one share a layer, or a share that is no number.
        """
        if len(policy) != len(self.layers) or not all(math.isfinite(share) for share in policy):
            raise GossamerError(
                f"a policy is a finite share for each of {len(self.layers)} layers, got {len(policy)} numbers; see layers"
            )
        return tuple(
            choices[int(np.abs(np.asarray(choices) - share * choices[-1]).argmin())]
            for choices, share in zip(self.choices, policy, strict=True)
        )

    def settle(self, policy: Policy) -> Counts:
        """Counts within the budget: shares times one number, the largest that fits, then filled up.

        The macs are below the budget by at most 0.5 % of it where the network has steps as small as that.
        """
        self.nearest(policy)
        shares = np.maximum(np.asarray(policy, np.float64), 1e-6)
        low, high = 0.0, float(1 / shares.min())
        if self.macs(self.nearest((shares * high).tolist())) <= self.limit:
            low = high
        for _ in range(_HALVINGS if low < high else 0):
            middle = (low + high) / 2
            if self.macs(self.nearest((shares * middle).tolist())) <= self.limit:
                low = middle
            else:
                high = middle
        wanted = (shares * low).tolist()
        found = self._filled(self.nearest(wanted), wanted, range(len(shares)))
        if self.macs(found) >= self.limit * (1 - _NEAR):
            return found
        others = [self._exchanged(found, wanted, number) for number in range(len(shares))]
        return max([found, *others], key=self.macs)

    def _filled(self, counts: Counts, wanted: Policy, layers: Iterable[int]) -> Counts:
        """Steps are put back while any fits, those first that are furthest below what is wanted."""
        open_ = set(layers)
        while open_:
            number = min(open_, key=lambda each: (counts[each] - wanted[each] * self.whole[each], each))
            tried = self._stepped(counts, number, 1)
            if tried != counts and self.macs(tried) <= self.limit:
                counts = tried
            else:
                open_.remove(number)
        return counts

    def _exchanged(self, counts: Counts, wanted: Policy, number: int) -> Counts:
        """One step more of a layer, for as little of the others as makes room for it; then filled up."""
        found = self._stepped(counts, number, 1)
        others = [each for each in range(len(counts)) if each != number]
        while found != counts and self.macs(found) > self.limit:
            lower = {self._stepped(found, each, -1) for each in others} - {found}
            if not lower:
                return counts
            found = min(lower, key=lambda each: (abs(self.macs(each) - self.limit), each))
        return self._filled(found, wanted, others)

    def _stepped(self, counts: Counts, number: int, step: int) -> Counts:
        """A layer's next larger or smaller count; the counts as they are where there is none."""
        choices = self.choices[number]
        at = choices.index(counts[number]) + step
        return (*counts[:number], choices[at], *counts[number + 1 :]) if 0 <= at < len(choices) else counts

    def wall(self, before: Sequence[int], share: float) -> int:
        """AMC's clipped action: the count for the next layer after those in `before`, at most `share` of it.

        It is as large as lets the budget be met with all later layers at their least (1802.03494, algorithm 1).
        """
        number = len(before)
        choices, later = self.choices[number], self.least[number + 1 :]
        wanted = int(np.abs(np.asarray(choices) - share * choices[-1]).argmin())
        low, high = 0, wanted
        while low < high:
            middle = (low + high + 1) // 2
            if self.macs((*before, choices[middle], *later)) <= self.limit:
                low = middle
            else:
                high = middle - 1
        return choices[low]

    def uniform(self) -> Counts:
        """The same share of every layer, as a width multiplier thins a network."""
        return self.settle([1.0] * len(self.layers))

    def ranked(self) -> Counts | None:
        """What pruning leaves that compares the channels of all layers; None where the importance cannot be compared."""
        if not self.prunable.comparable:
            return None
        kept = self.prunable.choose(self.limit / self.whole_macs)
        return tuple(int(kept[list(layer.sets)].sum()) for layer in self.layers)

    # networks

    def plan(self, counts: Counts) -> PrunePlan:
        """What is cut to keep these counts."""
        return self.prunable.plan(self.kept(counts))

    def cut(self, counts: Counts) -> nn.Module:
        """The network with these counts as it is judged: a new one, repaired."""
        plan = self.plan(counts)
        pruned = apply_pruning(self.network, plan).eval()
        if self._repair == "none" or not len(self.batches):
            return pruned
        if self._repair == "fitted":
            return reconstruct(self.network, pruned, plan, self.batches)
        return reestimate_norms(pruned, self.batches)

    def evaluate(self, policy: Policy) -> Evaluated:
        """A policy brought to the budget, and its score."""
        return self.evaluate_counts(self.settle(policy))

    def evaluate_counts(self, counts: Counts) -> Evaluated:
        """These counts as they are, within the budget or not.

        Raises:
            GossamerError: the metric gives no number.
        """
        if counts not in self._known:
            score = float(self.metric(self.cut(counts)))
            if not math.isfinite(score):
                raise GossamerError(
                    f"a metric is a finite number, a pruned network gave {score}; see that it gives finite scores"
                )
            self.evaluations += 1
            share = self.macs(counts) / self.whole_macs
            self._known[counts] = Evaluated(counts, self.shares(counts), share, score)
        return self._known[counts]

    def kept(self, counts: Counts) -> Kept:
        """Of every set of the network whether it stays."""
        kept = self.prunable.whole
        for layer, count in zip(self.layers, counts, strict=True):
            kept[list(layer.sets[: len(layer.sets) - count])] = False
        return kept


def input_sides(network: nn.Module, shape: Sequence[int], names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Module -> (height, width) of its input where the network's is of `shape` (1, bands, H, W); those that run."""
    sides: dict[str, tuple[int, int]] = {}

    def watch(name: str) -> Any:
        def hook(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            last = args[0].shape[2:] if args[0].dim() == 4 else (1, 1)
            sides[name] = int(last[0]), int(last[1])

        return hook

    handles = [network.get_submodule(name).register_forward_pre_hook(watch(name)) for name in names]
    with taken_off(handles), torch.no_grad(), in_eval(network):
        network(torch.zeros((1, *shape[1:]), device=next(network.parameters()).device))
    return sides
