"""Few bits as a method: `quantize:weights=uniform,bits=4,activation_bits=8`, `quantize:weights=pot`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import nn

from gossamer.compress.method import Plan, Proposal, Work
from gossamer.compress.quantize.qat_apply import apply_bits
from gossamer.compress.quantize.qat_plan import USUAL_BITS, BitPlan, plan_bits
from gossamer.compress.quantize.schedule import shaping_of
from gossamer.errors import GossamerError
from gossamer.nn.layer_bits import Kind
from gossamer.nn.shaping import Shaping

__all__ = ["Quantize"]

_FLOAT = 32


@dataclass(frozen=True)
class Quantize:
    """Weights and inputs of few bits; see `plan_bits`. 32 bits are float, 0 bits of weights what the kind usually has."""

    weights: Kind = "uniform"
    bits: int = 0
    activation_bits: int = 8
    first_last: int = 8
    depthwise: int = 8
    per_channel: bool = True
    fold: bool = False
    shortcut: bool = True
    name: str = "quantize"
    place: ClassVar[int] = 3
    spoils: ClassVar[str] = (
        "its grid and scales are of the weights and channels that were there, the new ones are not on it"
    )

    def propose(self, network: nn.Module, work: Work) -> Proposal:
        """Parts are the layers that get few bits."""
        plan = plan_bits(
            network,
            work.shape,
            weights=self.weights,
            bits=self.bits or None,
            activation_bits=_or_float(self.activation_bits),
            first_last=_or_float(self.first_last),
            depthwise=_or_float(self.depthwise),
            per_channel=self.per_channel,
            fold=self.fold,
            shortcut=self.shortcut,
        )
        costs = plan.costs()
        counted = {kind: getattr(costs, kind) for kind in ("macs", "adds", "shifts", "xnors")}
        notes = (
            f"weights take {costs.weight_bytes / 1e3:.1f} kB of {costs.weight_bytes_before / 1e3:.1f}, "
            f"{costs.bops / costs.bops_before:.1%} of the bit operations stay; "
            + ", ".join(f"{count / 1e6:.1f} M {kind}" for kind, count in counted.items() if count),
            f"{len(plan.layers)} layers of few bits, {len(plan.spared)} of them with more than the others, "
            f"{len(plan.left)} stay in float",
        )
        return Proposal(tuple(plan.layers), plan.only, notes, {"spared": plan.spared, "left": plan.left})

    def apply(self, network: nn.Module, plan: Plan, work: Work) -> nn.Module:
        """Steps from the weights and from the pictures."""
        return apply_bits(network, _of_ours(plan), work.batches)

    def shaping(self, network: nn.Module, plan: Plan) -> Shaping | None:
        """Powers of two are fixed share by share, binary networks trained in two stages."""
        return shaping_of(_of_ours(plan).layers)

    def read(self, document: Mapping[str, Any]) -> Plan:
        """See `BitPlan`."""
        return BitPlan.from_json(document)

    def milder(self, share: float) -> Quantize:
        """More bits: this share of the way down from 8; ternary and binary weights become uniform ones."""
        bits = self.bits or USUAL_BITS.get(self.weights, 8)
        more = min(8, bits + round((8 - bits) * (1 - share)))
        inputs = max(self.activation_bits, more)
        if self.weights == "pot":
            return replace(self, bits=min(6, more))
        if self.weights == "apot":
            return replace(self, bits=more)
        return replace(self, weights="uniform", bits=max(2, more), activation_bits=inputs)


def _or_float(bits: int) -> int | None:
    return None if bits == _FLOAT else bits


def _of_ours(plan: Plan) -> BitPlan:
    if not isinstance(plan, BitPlan):
        raise GossamerError(f"quantize applies plans of its own, got a {type(plan).__name__}")
    return plan
