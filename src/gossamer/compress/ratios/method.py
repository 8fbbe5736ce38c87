"""Automatic ratios as a method: `auto:macs=50%`, `auto:macs=50%,driver=amc,evaluations=400`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import nn

from gossamer.compress.method import Metric, Plan, Proposal, Work
from gossamer.compress.prune.method import Prune
from gossamer.compress.prune.plan import PrunePlan
from gossamer.compress.prune.prunable import Prunable
from gossamer.compress.prune.scores import Importance
from gossamer.compress.ratios.drivers import DriverName, driver_of
from gossamer.compress.ratios.environment import Environment
from gossamer.errors import GossamerError, ModelError
from gossamer.timing.table.latency_table import Platform

__all__ = ["Auto"]

_TOLD = 10
"""A line is told every so many evaluations."""


@dataclass(frozen=True)
class Auto:
    """Structured pruning to a share of the macs, with ratios that a driver searches on the work's metric."""

    macs: float = 0.5
    driver: DriverName = "amc"
    evaluations: int = 100
    importance: Importance | Literal["auto"] = "auto"
    multiple: int | None = None
    """Channels that stay together; what fills the processor's vectors by default."""
    floor: float = 0.1
    keep: tuple[str, ...] = ()
    name: str = "auto"

    def propose(self, network: nn.Module, work: Work) -> Proposal:
        """Parts are the layers that lose channels; the plan is pruning's, so that it is replayed as such.

        Raises:
            GossamerError: the work has no metric, or a setting is out of its range.
            ModelError: the network has nothing to prune, or the budget cannot be reached.
        """
        if work.metric is None:
            raise GossamerError(
                "auto searches ratios by a metric on held-out pictures and none was given; give pictures with --data, or take prune"
            )
        environment = self._environment(network, work, work.metric)

        def tick(spent: int, best: float) -> None:
            if spent % _TOLD == 0:
                work.tell(f"{self.driver}: {spent} of {self.evaluations} evaluations, best score {best:.4f}")

        found = driver_of(self.driver)(environment, evaluations=self.evaluations, seed=work.seed, tick=tick)
        uniform = environment.evaluate_counts(environment.uniform()).score
        names = [layer.name for layer in environment.layers]
        cuts = list(zip(names, found.counts, environment.whole, strict=True))
        parts = tuple(dict.fromkeys(name for name, count, whole in cuts if count < whole))

        def plan_of(chosen: Sequence[str]) -> PrunePlan:
            return environment.plan(tuple(count if name in chosen else whole for name, count, whole in cuts))

        share = environment.macs(found.counts) / environment.whole_macs
        notes = (
            f"{self.driver} scores {found.score:.4f} after {found.evaluations} evaluations, uniform ratios {uniform:.4f}, "
            "before repair",
            f"{share:.1%} of the macs stay; {len(parts)} layers lose channels",
        )
        facts = {
            "driver": self.driver,
            "score": found.score,
            "uniform_score": uniform,
            "evaluations": found.evaluations,
            "shares": [[name, share] for name, share in zip(names, found.policy, strict=True)],
            "frozen": dict(environment.prunable.channels.frozen),
        }
        return Proposal(parts, plan_of, notes, facts)

    def _environment(self, network: nn.Module, work: Work, metric: Metric) -> Environment:
        """In multiples that fill the processor's vectors, narrower ones where the budget cannot be reached so."""
        if self.importance != "auto":
            importance = self.importance
        else:
            importance = "reconstruction" if work.batches else "l1"
        multiple = self.multiple
        if multiple is None:
            block = Platform.here(runtime=work.on).channel_block
            multiple = Prunable(network, work.shape).widest_multiple(block)
        while True:
            try:
                return Environment(
                    network,
                    work.shape,
                    metric=metric,
                    macs=self.macs,
                    batches=work.batches,
                    importance=importance,
                    multiple=multiple,
                    floor=self.floor,
                    keep=self.keep,
                    objective=work.objective,
                    seed=work.seed,
                )
            except ModelError:
                if self.multiple is not None or multiple == 1:
                    raise
                multiple //= 2

    def apply(self, network: nn.Module, plan: Plan, work: Work) -> nn.Module:
        """As pruning does: cut, checked, repaired."""
        return Prune(macs=self.macs).apply(network, plan, work)

    def read(self, document: Mapping[str, Any]) -> Plan:
        """See `PrunePlan`."""
        return PrunePlan.from_json(document)

    def milder(self, share: float) -> Auto:
        """A target nearer to the whole network: this share of the way."""
        return replace(self, macs=1 - (1 - self.macs) * share)
