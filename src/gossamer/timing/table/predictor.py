"""Latency of a network before it is run: the sum of its blocks from a table, set right on a few whole networks.

latency = a * sum + b * (borders between blocks) + c * (megabytes that cross them). A block timed alone pays for its call
and, at its ends, for changing the layout of its maps, which the whole network does not. So the sum takes of every block
the time of the pair it makes with the next one less the time of the next one alone, and of the last its own time. The
times come from `latency_table`, the coefficients from at most 20 whole networks measured on the same platform, the
interval from how far each of them lies from a fit without it. Blocks that the table lacks are measured, or estimated
from the blocks it has and said to be extrapolated. Only cutting a network needs torch.

On 42 networks of the zoo (an EPYC core, ONNX Runtime 1.31, 200 splits into 12 and 30) the plain sum of blocks with a
free a, borders and constant was off by 7.5 % on average, with border megabytes for the constant by 6.0 %, the sum of
pairs with a alone by 4.4 %: b and c are used only where they clearly help.

Sources: additive tables (ProxylessNAS, Cai et al., 1812.00332; FBNet, Wu et al., 1812.03443), kernels of unseen size by
regression (nn-Meter, Zhang et al., MobiSys 2021), intervals by split-conformal prediction on held-out residuals
(Vovk et al. 2005; leave-one-out residuals as in the jackknife).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from gossamer.errors import DataError, ModelError
from gossamer.timing.table.block_regressor import COVERAGE, BlockRegressor
from gossamer.timing.table.latency_table import LatencyTable, Platform, Row

if TYPE_CHECKING:
    from gossamer.timing.table.block_times import Timer
    from gossamer.timing.table.blocks_of import Cut, Unit

__all__ = [
    "COVERAGE",
    "RAW",
    "BlockRegressor",
    "CalibratedOn",
    "Calibration",
    "Prediction",
    "UnitLatency",
    "assemble",
    "borders_of",
    "calibrate",
    "conformal_radius",
    "fit_calibration",
    "load_calibration",
    "predict",
]

MAX_NETWORKS = 20
_FEW = 8
_RIDGE = 0.01
_WORTH = 0.8

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class CalibratedOn:
    """One whole network of a calibration."""

    name: str
    sum_ms: float
    borders: int
    """Blocks but one."""
    border_mb: float
    """Maps that go from block to block, in 10^6 bytes."""
    measured_ms: float


@dataclass(frozen=True)
class Calibration:
    """latency_ms = a * sum_ms + b * borders + c * border_mb, and how wrong that is on networks it was not fitted on."""

    a: float
    b: float
    c: float
    networks: tuple[CalibratedOn, ...] = ()
    residuals: tuple[float, ...] = ()
    """(measured - predicted) / predicted, each network predicted by a fit on the others."""

    def latency_ms(self, sum_ms: float, borders: int, border_mb: float) -> float:
        """The network's latency, never below zero."""
        return max(0.0, self.a * sum_ms + self.b * borders + self.c * border_mb)

    def to_json(self) -> dict[str, Any]:
        """The calibration as a JSON object."""
        document = asdict(self)
        return {**document, "networks": list(document["networks"]), "residuals": list(self.residuals)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Calibration:
        """Read what `to_json` wrote.

        Raises:
            DataError: a key is missing or of the wrong kind.
        """
        try:
            networks = tuple(CalibratedOn(**network) for network in document["networks"])
            residuals = tuple(float(residual) for residual in document["residuals"])
            a, b, c = (float(document[name]) for name in "abc")
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"a calibration needs a, b, c, networks and residuals ({error}); calibrate again"
            ) from error
        return cls(a, b, c, networks, residuals)


RAW = Calibration(1.0, 0.0, 0.0)
"""The plain sum, for a platform that was never calibrated."""


@dataclass(frozen=True)
class UnitLatency:
    """One block of a prediction: what it adds to the network. `measured` where it and its border with the next are."""

    name: str
    latency_ms: float
    source: Literal["measured", "extrapolated"]


@dataclass(frozen=True)
class Prediction:
    """Latency of one picture; `low_ms` and `high_ms` are None where the platform was never calibrated."""

    latency_ms: float
    low_ms: float | None
    high_ms: float | None
    coverage: float
    """Share of networks like the calibration's that lie inside the interval: 0.9 from 9 networks on, else n / (n + 1)."""
    sum_ms: float
    units: tuple[UnitLatency, ...]
    extrapolated: bool
    """Whether any block is an estimate; the interval is wider then, but promises nothing."""

    def to_json(self) -> dict[str, Any]:
        """The prediction as a JSON object."""
        return {**asdict(self), "units": [asdict(unit) for unit in self.units]}


def fit_calibration(networks: Sequence[CalibratedOn]) -> Calibration:
    """Coefficients that make relative errors on the networks small (a >= 0), with leave-one-out residuals.

    b and c are 0 unless they take a fifth off the leave-one-out error, and always below 8 networks; a alone is drawn a
    little towards 1 there (ridge).

    Raises:
        DataError: none or more than 20 networks, or a time that is not above 0.
    """
    if not 1 <= len(networks) <= MAX_NETWORKS:
        raise DataError(
            f"a calibration takes 1 to {MAX_NETWORKS} networks, got {len(networks)}; choose some that differ in size"
        )
    for network in networks:
        if not (
            0 < network.sum_ms < math.inf and 0 < network.measured_ms < math.inf and network.borders >= 0
        ):
            raise DataError(f"a calibration takes times above 0, got {network}; measure it again")
    forms = [[0], [0, 1, 2]] if len(networks) >= _FEW else [[0]]
    residuals = [_held_out(networks, form) for form in forms]
    sizes = [float(np.mean(np.abs(of))) for of in residuals]
    best = len(forms) - 1 if sizes[-1] < _WORTH * sizes[0] else 0
    a, b, c = _fit(networks, forms[best])
    return Calibration(a, b, c, tuple(networks), tuple(residuals[best]))


def _held_out(networks: Sequence[CalibratedOn], form: list[int]) -> list[float]:
    """(measured - predicted) / predicted of each network by a fit on the others."""
    residuals: list[float] = []
    for i, network in enumerate(networks):
        others = [*networks[:i], *networks[i + 1 :]]
        a, b, c = _fit(others, form) if others else (1.0, 0.0, 0.0)
        guess = a * network.sum_ms + b * network.borders + c * network.border_mb
        guess = max(guess, 1e-3 * network.measured_ms)
        residuals.append((network.measured_ms - guess) / guess)
    return residuals


def _fit(networks: Sequence[CalibratedOn], form: list[int]) -> tuple[float, float, float]:
    """Least squares on relative errors with the columns of `form`, each scaled to size one, around a = 1."""
    measured = np.array([n.measured_ms for n in networks])
    columns = np.array([[n.sum_ms, n.borders, n.border_mb] for n in networks]) / measured[:, None]
    scale = np.maximum(np.sqrt((columns**2).mean(0)), 1e-12)
    ridge = _RIDGE if len(networks) < _FEW else 1e-12

    def solve(kept: list[int], wanted: _Array) -> _Array:
        found = np.zeros(3)
        if kept:
            part = columns[:, kept] / scale[kept]
            square = part.T @ part / len(networks) + ridge * np.eye(len(kept))
            found[kept] = np.linalg.solve(square, part.T @ wanted / len(networks)) / scale[kept]
        return found

    a, b, c = solve(form, 1.0 - columns[:, 0]) + np.array([1.0, 0.0, 0.0])
    if a < 0:  # the best fit with a >= 0 then lies at a = 0: the problem is convex
        a, b, c = solve(form[1:], np.ones(len(networks)))
    return float(a), float(b), float(c)


def conformal_radius(residuals: Sequence[float], coverage: float = COVERAGE) -> tuple[float, float]:
    """(half width, coverage it stands for) of an interval around a prediction, both as shares.

    The half width is the ceil((n + 1) * coverage)-th smallest absolute residual. Fewer than coverage / (1 - coverage)
    residuals cannot promise the coverage: then it is the largest, which stands for n / (n + 1).

    Raises:
        DataError: there are no residuals.
    """
    if not residuals:
        raise DataError("an interval needs residuals of at least 1 network, got none; calibrate first")
    count = len(residuals)
    sizes = sorted(abs(residual) for residual in residuals)
    rank = math.ceil((count + 1) * coverage - 1e-9)
    if rank > count:
        return sizes[-1], count / (count + 1)
    return sizes[rank - 1], coverage


def borders_of(units: Sequence[Unit]) -> tuple[int, float]:
    """(borders between the blocks of a network, megabytes of fp32 maps that cross them)."""
    return len(units) - 1, sum(4e-6 * math.prod(unit.shape) for unit in units[1:])


def load_calibration(table: LatencyTable, platform: Platform) -> Calibration | None:
    """The calibration of a platform that the table keeps; None where it was never calibrated.

    Raises:
        DataError: it is damaged.
    """
    document = table.calibration(platform)
    return None if document is None else Calibration.from_json(document)


def calibrate(
    networks: Mapping[str, tuple[Any, Sequence[int]]],
    table: LatencyTable,
    platform: Platform,
    *,
    timer: Timer | None = None,
) -> Calibration:
    """Measure whole networks and their blocks, fit the coefficients and keep them in the table.

    `networks` is name -> (network of the zoo, input shape (1, bands, H, W)), at most 20. What the table already
    has is not measured again.

    Raises:
        ModelError: a network that cannot be cut into blocks or exported.
        DataError: none or too many networks, or a platform that is not this machine.
    """
    from gossamer.timing.table.block_times import measure_units
    from gossamer.timing.table.blocks_of import cut, whole

    if not 1 <= len(networks) <= MAX_NETWORKS:
        raise DataError(
            f"a calibration takes 1 to {MAX_NETWORKS} networks, got {len(networks)}; choose some that differ in size"
        )
    cuts = {name: cut(network, shape) for name, (network, shape) in networks.items()}
    ends = {name: whole(network, shape, name) for name, (network, shape) in networks.items()}
    everything = [*(unit for of in cuts.values() for part in of for unit in part), *ends.values()]
    measure_units(everything, table, platform, timer=timer)
    known = {row.key: row.latency_ms for row in table.rows(platform)}
    calibration = fit_calibration(
        [
            CalibratedOn(
                name,
                sum(part.latency_ms for part in _parts(of, known, None)),
                *borders_of(of.units),
                known[ends[name].key],
            )
            for name, of in cuts.items()
        ]
    )
    table.put_calibration(platform, calibration.to_json())
    return calibration


def predict(
    network: Any,
    shape: Sequence[int],
    table: LatencyTable,
    platform: Platform,
    *,
    measure_missing: bool = True,
    timer: Timer | None = None,
) -> Prediction:
    """The latency of a network of the zoo for an input (1, bands, H, W), without running it whole.

    Blocks that the table lacks are timed and written to it; with `measure_missing=False` they are estimated instead.

    Raises:
        ModelError: the network cannot be cut into blocks or exported.
        DataError: the table is damaged or too small to estimate from, or blocks would have to be timed on a
            platform that is not this machine.
    """
    from gossamer.timing.table.block_times import measure_units
    from gossamer.timing.table.blocks_of import cut

    pieces = cut(network, shape)
    if measure_missing:
        measure_units([*pieces.units, *pieces.pairs], table, platform, timer=timer)
    calibration = load_calibration(table, platform) or RAW
    return assemble(pieces, table.rows(platform), calibration)


def assemble(pieces: Cut, rows: Sequence[Row], calibration: Calibration) -> Prediction:
    """The prediction from the blocks, the table's rows and the calibration."""
    known = {row.key: row.latency_ms for row in rows}
    estimated = any(unit.key not in known for part in pieces for unit in part)
    regressor = BlockRegressor(rows) if estimated else None
    parts = _parts(pieces, known, regressor)
    total = max(sum(part.latency_ms for part in parts), 1e-9)
    latency = calibration.latency_ms(total, *borders_of(pieces.units))
    if not calibration.residuals:
        return Prediction(latency, None, None, 0.0, total, tuple(parts), estimated)
    radius, coverage = conformal_radius(calibration.residuals)
    if regressor is not None:
        unsure = sum(abs(part.latency_ms) for part in parts if part.source == "extrapolated")
        radius += regressor.radius * unsure / total
    low, high = latency * max(0.0, 1 - radius), latency * (1 + radius)
    return Prediction(latency, low, high, coverage, total, tuple(parts), estimated)


def _parts(pieces: Cut, known: Mapping[str, float], regressor: BlockRegressor | None) -> list[UnitLatency]:
    """What each block adds: its pair with the next less the next alone; alone where the table lacks that."""
    parts: list[UnitLatency] = []
    for place, unit in enumerate(pieces.units):
        last = place == len(pieces.pairs)
        needed = [unit] if last else [unit, pieces.units[place + 1], pieces.pairs[place]]
        if all(of.key in known for of in needed):
            alone = known[unit.key]
            adds = alone if last else known[needed[2].key] - known[needed[1].key]
            parts.append(UnitLatency(unit.name, adds, "measured"))
        elif regressor is not None:
            guess = known.get(unit.key)
            guess = regressor.latency_ms(unit) if guess is None else guess
            parts.append(UnitLatency(unit.name, guess, "extrapolated"))
        else:
            raise ModelError(f"the table lacks {unit.name}; measure it first")
    return parts
