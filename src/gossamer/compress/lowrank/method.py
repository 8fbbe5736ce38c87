"""Low rank as a method: `factorise:macs=70%`, `factorise:params=60%,kinds=svd+tucker2,check=no`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gossamer.compress.lowrank.apply import apply_factors, check_factorised
from gossamer.compress.lowrank.plan import FactorPlan, plan_factors
from gossamer.compress.lowrank.timing import runtime_timer
from gossamer.compress.method import Plan, Proposal, Work
from gossamer.errors import GossamerError
from gossamer.nn.edits.factorise import KINDS

__all__ = ["Factorise"]


@dataclass(frozen=True)
class Factorise:
    """Factors in place of layers; see `plan_factors`. `check` leaves layers dense whose factors are not faster."""

    macs: float | None = None
    params: float | None = None
    kinds: tuple[str, ...] = ("svd", "spatial-svd", "tucker2")
    multiple: int = 8
    check: bool = True
    name: str = "factorise"
    place: ClassVar[int] = 1
    spoils: ClassVar[str] = (
        "factors tie channels that pruning would choose from, and lose more when they are cut"
    )

    def check_settings(self) -> None:
        """Raises GossamerError for a kind of factors that there is not."""
        for kind in self.kinds:
            if kind not in KINDS:
                raise GossamerError(f"a layer is factorised by {', '.join(KINDS)}; got {kind!r}")

    def propose(self, network: nn.Module, work: Work) -> Proposal:
        """Parts are the layers that become factors.

        Raises:
            GossamerError: a kind of factors that there is not.
        """
        self.check_settings()
        plan = plan_factors(
            network,
            work.shape,
            macs=self.macs,
            params=self.params,
            kinds=self.kinds,  # type: ignore[arg-type]
            calibration=_pictures(work),
            multiple=self.multiple,
            timer=runtime_timer(work.on, threads=work.threads) if self.check else None,
            seed=work.seed,
        )
        notes = [
            f"{plan.macs / plan.macs_before:.1%} of the macs and {plan.params / plan.params_before:.1%} of the params stay; "
            f"{len(plan.layers)} layers become factors",
            *([plan.note] if plan.note else []),
        ]
        return Proposal(
            tuple(plan.layers), lambda parts: _of(plan, parts), tuple(notes), {"dense": dict(plan.dense)}
        )

    def apply(self, network: nn.Module, plan: Plan, work: Work) -> nn.Module:
        """Factors of the weights, or of what the layers give on the pictures.

        Raises:
            GossamerError: the plan is of another method.
        """
        if not isinstance(plan, FactorPlan):
            raise GossamerError(f"factorise applies plans of its own, got a {type(plan).__name__}")
        factored = apply_factors(network, plan, calibration=_pictures(work) if plan.calibrated else None)
        check_factorised(network, factored, work.shape)
        return factored.eval()

    def read(self, document: Mapping[str, Any]) -> Plan:
        """See `FactorPlan`."""
        return FactorPlan.from_json(document)

    def milder(self, share: float) -> Factorise:
        """A target nearer to the whole network: this share of the way."""
        return replace(
            self,
            macs=None if self.macs is None else 1 - (1 - self.macs) * share,
            params=None if self.params is None else 1 - (1 - self.params) * share,
        )


def _pictures(work: Work) -> Tensor | None:
    return torch.cat([pictures for pictures, _ in work.batches]) if work.batches else None


def _of(plan: FactorPlan, parts: Sequence[str]) -> FactorPlan:
    """The same plan for these layers only, its costs exact."""
    layers = {name: each for name, each in plan.layers.items() if name in parts}
    left = [each for name, each in plan.layers.items() if name not in parts]
    macs = plan.macs + sum(each.macs_before - each.macs for each in left)
    params = plan.params + sum(each.params_before - each.params for each in left)
    return replace(plan, layers=layers, macs=macs, params=params)
