"""Pruning as a method: `prune:macs=50%`, `prune:latency=70%,multiple=8`, `prune:params=1M`, `prune:drop=1%`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from torch import nn

from gossamer.compress.method import Plan, Proposal, Work
from gossamer.compress.prune.apply import apply_pruning, check_pruned
from gossamer.compress.prune.budget import Quantity
from gossamer.compress.prune.latency import plan_latency
from gossamer.compress.prune.plan import PrunePlan
from gossamer.compress.prune.prunable import Kept, Prunable, Scope, quantity_of
from gossamer.compress.prune.repair import reestimate_norms, repair
from gossamer.compress.prune.scores import FROM_PICTURES, Importance
from gossamer.compress.prune.targets import one_target
from gossamer.errors import GossamerError, ModelError
from gossamer.timing.table.latency_table import Platform
from gossamer.types import within

__all__ = ["Prune"]

_CLOSE = 0.97
"""How much of the target wide steps must use."""
_TRIES = 7
"""Of a bisection: the share of the macs to within a percent."""


@dataclass(frozen=True)
class Prune:
    """Structured pruning to one target; see `plan_pruning` for what the others mean."""

    macs: float | None = None
    params: float | None = None
    bytes: float | None = None
    latency: float | None = None
    drop: float | None = None
    """What may be lost of the metric, before any training: as few macs as that allows."""
    importance: Importance | Literal["auto"] = "auto"
    scope: Scope = "auto"
    multiple: int | None = None
    """Channels that stay together; what fills the processor's vectors by default, where that comes close to the target."""
    floor: float = 0.1
    keep: tuple[str, ...] = ()
    ambition: float = 1.0
    """The share of the way to the target that is gone: less than all of it in a milder try."""
    name: str = "prune"
    place: ClassVar[int] = 0
    spoils: ClassVar[str] = ""

    def _prunable(self, network: nn.Module, work: Work) -> Prunable:
        importance: Importance = self.importance if self.importance != "auto" else "l2"
        if self.importance == "auto" and work.batches:
            importance = "reconstruction"
        start = _block(work) if self.latency is not None else 1
        return Prunable(
            network,
            work.shape,
            importance=importance,
            batches=work.batches if importance in FROM_PICTURES else (),
            multiple=self.multiple or start,
            floor=self.floor,
            keep=self.keep,
            objective=work.objective,
            seed=work.seed,
        )

    def check_settings(self) -> None:
        """Raises GossamerError for no target, several, or one that cannot be."""
        self._target()

    def _target(self) -> tuple[str, float]:
        given = {
            "macs": self.macs,
            "params": self.params,
            "bytes": self.bytes,
            "latency": self.latency,
            "drop": self.drop,
        }
        return one_target(given, least_number=1.0 if self.latency is not None else 1000.0)

    def propose(self, network: nn.Module, work: Work) -> Proposal:
        """Parts are the layers that lose channels."""
        what, target = self._target()
        prunable, kept, notes = self._chosen(what, target, network, self._prunable(network, work), work)
        parts = tuple(layer.name for layer in prunable.layers if not kept[list(layer.sets)].all())

        def plan_of(chosen: Sequence[str]) -> PrunePlan:
            return prunable.plan(_restored(prunable, kept, chosen))

        whole = plan_of(parts)
        frozen = sum(whole.frozen.values())
        notes.append(
            f"{whole.macs / whole.macs_before:.1%} of the macs and {whole.params / whole.params_before:.1%} of the params "
            f"stay; {len(parts)} layers lose channels, {frozen} channels may not go"
        )
        return Proposal(parts, plan_of, tuple(notes), {"frozen": dict(whole.frozen)})

    def _chosen(
        self, what: str, target: float, network: nn.Module, prunable: Prunable, work: Work
    ) -> tuple[Prunable, Kept, list[str]]:
        """What stays, in the widths that were taken, and lines on how the target was reached."""
        if what == "latency":
            kept, note = self._fast(network, prunable, work, target)
            return prunable, kept, [note]
        if what == "drop":
            if not self.multiple:
                prunable = prunable.in_multiples(prunable.widest_multiple(_block(work)))
            kept, note = self._least(network, prunable, work, target)
            return prunable, kept, [note]
        share = 1 - self.ambition * (1 - prunable.share_of(what, target, network))
        return *self._reached(quantity_of(what), share, prunable, work), []

    def _fast(self, network: nn.Module, prunable: Prunable, work: Work, target: float) -> tuple[Kept, str]:
        """As many macs as the latency allows."""
        kept, found, tries = plan_latency(
            network,
            prunable,
            work.shape,
            target,
            on=work.on,
            threads=work.threads,
            scope=self.scope,
            ambition=self.ambition,
            tick=lambda each: work.tell(
                f"{each.macs_share:.0%} of the macs take {each.latency_share:.0%} of the latency"
            ),
        )
        return kept, f"{found.latency_share:.0%} of the latency on {work.on}, measured ({tries} tries)"

    def _reached(self, what: Quantity, share: float, prunable: Prunable, work: Work) -> tuple[Prunable, Kept]:
        """In multiples that fill the processor's vectors, as wide as still comes close to the target.

        Other widths leave the fast kernels: EfficientNet-Lite0 with 60 % of the macs in odd widths takes twice the time
        of the whole on ONNX Runtime.
        """
        kept = prunable.choose(share, what=what, scope=self.scope)
        multiple = 1 if self.multiple else prunable.widest_multiple(_block(work))
        while multiple > 1:
            wide = prunable.in_multiples(multiple)
            with contextlib.suppress(ModelError):  # no layer has so few channels: take narrower steps
                found = wide.choose(share, what=what, scope=self.scope)
                if wide.cost(found, what) >= _CLOSE * prunable.cost(kept, what):
                    return wide, found
            multiple //= 2
        return prunable, kept

    def _least(self, network: nn.Module, prunable: Prunable, work: Work, drop: float) -> tuple[Kept, str]:
        """As few macs as keep the metric within `drop`, by bisection: each try is repaired and measured."""
        if work.metric is None:
            raise GossamerError(
                "a drop is measured on pictures, there are none; give --data, or macs=50% as the target"
            )
        drop *= self.ambition
        base = work.metric(network)
        best, low, high = prunable.whole, 0.0, 1.0
        score = base
        for _ in range(_TRIES):
            share = (low + high) / 2
            try:
                kept = prunable.choose(share, scope=self.scope)
            except ModelError:  # no layer has so few channels
                low = share
                continue
            found = work.metric(self.apply(network, prunable.plan(kept), work))
            work.tell(f"{share:.0%} of the macs: {100 * (base - found):+.1f} points lost")
            if within(base - found, drop):
                best, high, score = kept, share, found
            else:
                low = share
        return best, f"{100 * (base - score):.1f} points lost of {100 * drop:.1f} allowed, in {_TRIES} tries"

    def apply(self, network: nn.Module, plan: Plan, work: Work) -> nn.Module:
        """Cut, checked against the masked network, repaired; norms estimated anew where the metric is better with it.

        Raises:
            GossamerError: the plan is of another method.
        """
        if not isinstance(plan, PrunePlan):
            raise GossamerError(f"prune applies plans of its own, got a {type(plan).__name__}")
        cut = apply_pruning(network, plan).eval()
        check_pruned(network, cut, plan, work.shape)
        if work.batches and not work.thorough:
            return reestimate_norms(cut, work.batches)
        fixed = repair(network, cut, plan, work.shape, batches=work.batches)
        if work.metric is None or not work.batches:
            return fixed
        forms = [fixed, reestimate_norms(fixed, work.batches), reestimate_norms(cut, work.batches)]
        worth = [work.metric(form) for form in forms]
        return forms[int(np.argmax(worth))]

    def read(self, document: Mapping[str, Any]) -> Plan:
        """See `PrunePlan`."""
        return PrunePlan.from_json(document)

    def milder(self, share: float) -> Prune:
        """A target nearer to the whole network: this share of the way."""
        return replace(self, ambition=self.ambition * share)


def _block(work: Work) -> int:
    return Platform.here(runtime=work.on).channel_block


def _restored(prunable: Prunable, kept: Kept, chosen: Sequence[str]) -> Kept:
    """Layers that were not chosen get all their channels back."""
    found = kept.copy()
    for layer in prunable.layers:
        if layer.name not in chosen:
            found[list(layer.sets)] = True
    return found
