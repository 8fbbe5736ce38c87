"""Energy of one run, from the processor's own counters (RAPL), where Linux lets them be read.

The counters are of whole packages: cores, caches and what else is on the chip, and all that runs there meanwhile. The
power of the machine at rest is measured first, so that a figure without it can stand beside the whole.
Source: Linux, Documentation/power/powercap/powercap.rst.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gossamer.errors import GossamerError

__all__ = ["RAPL", "Energy", "measure_energy", "why_not"]

RAPL = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Energy:
    """Joules of one run, and the watts behind them."""

    joules: float
    """Of all packages, what they use at rest included."""
    joules_above_idle: float
    """Without what the packages would have used at rest; noise can make it negative."""
    watts: float
    """While it ran."""
    idle_watts: float
    """At rest, before the runs."""
    runs: int
    seconds: float
    packages: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        return {**asdict(self), "packages": list(self.packages)}


@dataclass(frozen=True)
class _Package:
    """One counter of a processor package, in microjoules; it starts again at 0 after `highest`."""

    name: str
    counter: Path
    highest: int

    def read(self) -> int:
        return int(self.counter.read_text())

    def joules(self, before: int, after: int) -> float:
        """Between two readings; the counter started again once at most, which takes a package many minutes."""
        used = after - before
        return (used if used >= 0 else used + self.highest + 1) / 1e6


def why_not(root: Path = RAPL) -> str | None:
    """Why energy cannot be measured here, in one line, or None where it can."""
    found = _packages(root)
    return found if isinstance(found, str) else None


def measure_energy(
    run: Callable[[], object], seconds: float = 5.0, idle_seconds: float = 2.0, *, root: Path = RAPL
) -> Energy | None:
    """Energy of `run`, repeated for `seconds` after `idle_seconds` at rest; None where `why_not` has a reason.

    Raises:
        GossamerError: no time to measure in.
    """
    if seconds <= 0 or idle_seconds <= 0:
        raise GossamerError(
            f"energy needs time to run and to rest, got seconds={seconds} and idle_seconds={idle_seconds}; "
            "give both above 0"
        )
    packages = _packages(root)
    if isinstance(packages, str):
        return None
    run()
    try:
        before, started = _read(packages), time.perf_counter()
        time.sleep(idle_seconds)
        idle_watts = _joules(packages, before) / (time.perf_counter() - started)
        before, started, runs = _read(packages), time.perf_counter(), 0
        while runs == 0 or time.perf_counter() - started < seconds:
            run()
            runs += 1
        joules, elapsed = _joules(packages, before), time.perf_counter() - started
    except _UnreadableError:
        return None
    return Energy(
        joules / runs,
        (joules - idle_watts * elapsed) / runs,
        joules / elapsed,
        idle_watts,
        runs,
        elapsed,
        tuple(package.name for package in packages),
    )


class _UnreadableError(Exception):
    """A counter that could be read before and no longer can."""


def _read(packages: Sequence[_Package]) -> list[int]:
    try:
        return [package.read() for package in packages]
    except (OSError, ValueError) as error:
        raise _UnreadableError from error


def _joules(packages: Sequence[_Package], before: Sequence[int]) -> float:
    """Of all packages since a reading."""
    readings = zip(packages, before, _read(packages), strict=True)
    return sum(package.joules(first, last) for package, first, last in readings)


def _packages(root: Path) -> list[_Package] | str:
    """The counters of the processor packages, or why there are none."""
    if not root.is_dir():
        return (
            f"{root} does not exist: only Linux has it, and virtual machines seldom do; "
            "measure on the machine itself"
        )
    packages: list[_Package] = []
    for folder in sorted(root.glob("intel-rapl:*")):
        counter = folder / "energy_uj"
        try:
            name = (folder / "name").read_text().strip()
            if not name.startswith("package"):  # parts of a package, or psys, which holds the packages
                continue
            package = _Package(name, counter, int((folder / "max_energy_range_uj").read_text()))
            package.read()
        except PermissionError:
            return f"{counter} may be read by root only; run `sudo chmod a+r {counter}` once after each start"
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0][:120]
            return f"{counter} cannot be read ({reason}); load the driver intel_rapl_msr anew"
        packages.append(package)
    if not packages:
        return f"{root} has no counter of a processor package (intel-rapl:0); load the driver intel_rapl_msr"
    return packages
