"""Zeros as methods: `sparsify:share=80%`, `sparsify:pattern=2:4`, and `slim:strength=1` in front of `prune`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from gossamer.compress.method import Plan, Proposal, Work
from gossamer.compress.prune.repair import reestimate_norms
from gossamer.compress.prune.scores import Batches
from gossamer.compress.sparse.plan import SparsePlan, parse_pattern, plan_zeros, weight_scores, zero_mask
from gossamer.compress.sparse.shaping import Gradual, Shrink
from gossamer.compress.trace.channels import find_channels
from gossamer.errors import GossamerError, ModelError
from gossamer.nn.shaping import Shaping

__all__ = ["Slim", "SlimPlan", "Sparsify"]


@dataclass(frozen=True)
class Sparsify:
    """Zeros for a share of the weights, or N of M; see `plan_zeros`. With training they come gradually."""

    share: float | None = None
    pattern: str = ""
    everywhere: bool = False
    name: str = "sparsify"
    place: ClassVar[int] = 2
    spoils: ClassVar[str] = "what is repaired or factorised afterwards has no zeros any more"

    def check_settings(self) -> None:
        """Raises GossamerError for a pattern that is none."""
        if self.pattern:
            parse_pattern(self.pattern)

    def propose(self, network: nn.Module, work: Work) -> Proposal:
        """Parts are the layers that get zeros."""
        plan = plan_zeros(
            network,
            share=self.share,
            pattern=parse_pattern(self.pattern) if self.pattern else None,
            everywhere=self.everywhere,
        )
        weights = sum(parameter.numel() for parameter in network.parameters())
        notes = (
            f"{plan.zeros / weights:.1%} of all {weights / 1e6:.2f} M weights become zero, in {len(plan.layers)} layers; "
            f"{len(plan.left)} layers are left",
            "zeros take no bytes in a packed file (--method pack); no runtime here computes faster with them",
        )
        return Proposal(
            tuple(plan.layers),
            lambda parts: replace(plan, layers={k: v for k, v in plan.layers.items() if k in parts}),
            notes,
            {"left": dict(plan.left)},
        )

    def apply(self, network: nn.Module, plan: Plan, work: Work) -> nn.Module:
        """All zeros at once; whole where training follows.

        With a metric the best of four: weights by their size or by what they give, with norms as they were or anew.

        Raises:
            GossamerError: the plan is of another method.
            ModelError: it is of another network.
        """
        if not isinstance(plan, SparsePlan):
            raise GossamerError(f"sparsify applies plans of its own, got a {type(plan).__name__}")
        sparse = copy.deepcopy(network)
        if work.trains:
            return sparse
        modules = dict(sparse.named_modules())
        layers: dict[str, nn.Conv2d | nn.Linear] = {}
        for name, each in plan.layers.items():
            layer = modules.get(name)
            if not isinstance(layer, nn.Conv2d | nn.Linear) or layer.weight.numel() != each.weights:
                raise ModelError(
                    f"the plan has {each.weights} weights in {name!r}, this network has not; apply a plan to the network "
                    "that it was made for"
                )
            layers[name] = layer
        forms = [_zeroed(sparse, plan, weight_scores(sparse, layers, each)) for each in _scorings(work)]
        if work.metric is None or not work.batches:
            return forms[0]
        forms += [reestimate_norms(form, work.batches) for form in forms]
        return max(forms, key=work.metric)

    def shaping(self, network: nn.Module, plan: Plan) -> Shaping | None:
        """The zeros come gradually in training, wherever they are best.

        Raises:
            GossamerError: the plan is of another method.
        """
        if not isinstance(plan, SparsePlan):
            raise GossamerError(f"sparsify trains by plans of its own, got a {type(plan).__name__}")
        return Gradual(plan.layers)

    def read(self, document: Mapping[str, Any]) -> Plan:
        """See `SparsePlan`."""
        return SparsePlan.from_json(document)

    def milder(self, share: float) -> Sparsify:
        """Fewer zeros: this share of them; a pattern stays what it is."""
        return self if self.share is None else replace(self, share=self.share * share)


def _scorings(work: Work) -> tuple[Batches, ...]:
    return ((), work.batches) if work.batches and work.metric is not None else ((),)


def _zeroed(network: nn.Module, plan: SparsePlan, scores: Mapping[str, Tensor]) -> nn.Module:
    sparse = copy.deepcopy(network)
    with torch.no_grad():
        for name, each in plan.layers.items():
            sparse.get_parameter(f"{name}.weight").mul_(zero_mask(scores[name], each.zeros, each.pattern))
    return sparse


@dataclass(frozen=True)
class SlimPlan:
    """What is shrunk, and how strongly: no channel goes yet."""

    over: Literal["norms", "weights"]
    strength: float
    shape: tuple[int, ...]
    """(1, bands, H, W), at which the channels are followed."""

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {"edit": "slim", "over": self.over, "strength": self.strength, "shape": list(self.shape)}


@dataclass(frozen=True)
class Slim:
    """Training that shrinks channels, in front of `prune:importance=norm-scale` (or l2, over weights).

    `strength` is by how much a learning rate of 1 would shrink a scale in one step.
    """

    over: Literal["norms", "weights"] = "norms"
    strength: float = 1.0
    name: str = "slim"
    place: ClassVar[int] = 0
    spoils: ClassVar[str] = ""

    def propose(self, network: nn.Module, work: Work) -> Proposal:
        """One part: the training as a whole.

        Raises:
            GossamerError: no training follows, or the strength is not above 0.
        """
        if not work.trains:
            raise GossamerError(
                "slim shrinks channels while the network is trained; give --data and --minutes"
            )
        if not 0 < self.strength < float("inf"):
            raise GossamerError(f"slim's strength is above 0, got {self.strength:g}; give e.g. strength=1")
        plan = SlimPlan(self.over, self.strength, work.shape)
        return Proposal(
            ("training",), lambda _parts: plan, (f"{self.over} of channels are shrunk in training",)
        )

    def apply(self, network: nn.Module, plan: Plan, work: Work) -> nn.Module:
        """A copy: what changes comes of training."""
        return copy.deepcopy(network)

    def shaping(self, network: nn.Module, plan: Plan) -> Shaping | None:
        """See `Shrink`.

        Raises:
            GossamerError: the plan is of another method.
            ModelError: nothing of the network may be shrunk so.
        """
        if not isinstance(plan, SlimPlan):
            raise GossamerError(f"slim trains by plans of its own, got a {type(plan).__name__}")
        shrink = Shrink(find_channels(network, plan.shape), network, plan.over, plan.strength)
        if not shrink.rows:
            raise ModelError(
                f"{type(network).__name__} has no {plan.over} of channels that may go; take over=weights, or prune without slim"
            )
        return shrink

    def read(self, document: Mapping[str, Any]) -> Plan:
        """What `to_json` wrote.

        Raises:
            ModelError: a key is missing or of the wrong kind.
        """
        try:
            shape = tuple(int(side) for side in document["shape"])
            return SlimPlan(document["over"], float(document["strength"]), shape)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"a plan of slim needs over, strength and shape, got {document!r:.80}; write it with to_json"
            ) from error

    def milder(self, share: float) -> Slim:
        """Shrinks less strongly."""
        return replace(self, strength=self.strength * share)
