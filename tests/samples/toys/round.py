"""The method `round`: weights rounded to so many decimals, layer by layer."""

import copy
from dataclasses import dataclass, replace
from typing import ClassVar

from gossamer.compress.method import Proposal
from gossamer.errors import ModelError


@dataclass(frozen=True)
class RoundPlan:
    decimals: dict[str, int]

    def to_json(self):
        return {"edit": "round", "decimals": self.decimals}


@dataclass(frozen=True)
class Round:
    decimals: int = 2
    name: str = "round"
    place: ClassVar[int] = 3
    spoils: ClassVar[str] = "weights that change afterwards are round no more"

    def propose(self, network, work):
        layers = tuple(name for name, weights in network.named_parameters() if weights.dim() > 1)
        note = f"{len(layers)} layers keep {self.decimals} decimals"
        return Proposal(layers, lambda parts: RoundPlan(dict.fromkeys(parts, self.decimals)), (note,))

    def apply(self, network, plan, work):
        ours = copy.deepcopy(network)
        weights = dict(ours.named_parameters())
        if unknown := set(plan.decimals) - set(weights):
            raise ModelError(f"a plan is of this network, it names {min(unknown)!r}; make it anew")
        for name, decimals in plan.decimals.items():
            weights[name].data = weights[name].data.round(decimals=decimals)
        return ours

    def read(self, document):
        return RoundPlan({str(name): int(count) for name, count in document["decimals"].items()})

    def milder(self, share):
        return replace(self, decimals=self.decimals + round(3 * (1 - share)))
