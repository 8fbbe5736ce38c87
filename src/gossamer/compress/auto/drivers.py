"""THE table of drivers, and their results side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gossamer.compress.auto import amc, evolve, integer, netadapt, uniform
from gossamer.compress.auto.environment import Environment
from gossamer.compress.auto.trials import Driver, Found
from gossamer.errors import GossamerError, nearest

__all__ = ["DRIVERS", "Compared", "DriverName", "compare", "driver_of"]

DriverName = Literal["amc", "evolve", "integer", "netadapt", "uniform"]

DRIVERS: Mapping[str, Driver] = {
    "amc": amc.drive,
    "evolve": evolve.drive,
    "integer": integer.drive,
    "netadapt": netadapt.drive,
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
