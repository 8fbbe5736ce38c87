"""THE table of drivers, and their results side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gossamer.compress.ratios.environment import Environment
from gossamer.compress.ratios.latency_table import LayerTable
from gossamer.compress.ratios.states import States
from gossamer.errors import GossamerError, nearest
from gossamer.search import amc, evolve, integer, netadapt, uniform
from gossamer.search.trials import Found, Tick

__all__ = ["DRIVERS", "Compared", "DriverName", "compare", "driver_of"]

DriverName = Literal["amc", "evolve", "integer", "netadapt", "uniform"]


class Driver(Protocol):
    """A way to search ratios."""

    def __call__(
        self, environment: Environment, /, *, evaluations: int, seed: int, tick: Tick | None = None
    ) -> Found:
        """Search with at most so many evaluations; equal seeds give equal results.

        Raises:
            GossamerError: fewer evaluations than the driver needs.
        """


def _amc(environment: Environment, *, evaluations: int, seed: int, tick: Tick | None = None) -> Found:
    return amc.drive(environment, States(environment), evaluations=evaluations, seed=seed, tick=tick)


def _netadapt(environment: Environment, *, evaluations: int, seed: int, tick: Tick | None = None) -> Found:
    def measured() -> LayerTable:
        return LayerTable(environment)

    return netadapt.drive(environment, measured, evaluations=evaluations, seed=seed, tick=tick)


DRIVERS: Mapping[str, Driver] = {
    "amc": _amc,
    "evolve": evolve.drive,
    "integer": integer.drive,
    "netadapt": _netadapt,
    "uniform": uniform.drive,
}


@dataclass(frozen=True)
class Compared:
    """One run of one driver."""

    driver: str
    seed: int
    found: Found
    gain: float
    """Of the score over the uniform policy's."""
    seconds: float
    """Of the processor. What an earlier driver has measured is not measured again: compare in fresh environments."""


def driver_of(name: str) -> Driver:
    """The driver of that name.

    Raises:
        GossamerError: there is none.
    """
    if name not in DRIVERS:
        raise GossamerError(
            f"driver is one of {', '.join(DRIVERS)}; got {name!r}, {nearest(name, DRIVERS) or 'take integer'}"
        )
    return DRIVERS[name]


def compare(
    environment: Environment,
    drivers: Sequence[str] = tuple(DRIVERS),
    *,
    evaluations: int,
    seeds: Sequence[int] = (0,),
) -> list[Compared]:
    """Every driver with every seed, all with the same number of evaluations to spend.

    Raises:
        GossamerError: an unknown driver, or fewer evaluations than one of them needs.
    """
    base = environment.evaluate_counts(environment.uniform()).score
    found = []
    for name in drivers:
        drive = driver_of(name)
        for seed in seeds:
            start = time.process_time()
            result = drive(environment, evaluations=evaluations, seed=seed)
            found.append(Compared(name, seed, result, result.score - base, time.process_time() - start))
    return found
