"""Candidates that need no measuring: a table of blocks timed on this platform already tells that they are too slow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from gossamer.errors import ModelError
from gossamer.fit.candidates import Candidate
from gossamer.fit.config import FitConfig
from gossamer.timing.table.blocks_of import Outline, outline
from gossamer.timing.table.latency_table import LatencyTable, Platform
from gossamer.timing.table.predictor import Calibration, conformal_radius, load_calibration
from gossamer.types import Precision
from gossamer.zoo.build import build

__all__ = ["Interval", "TooSlow", "body_interval"]

_PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
"""What could ship of a candidate."""


class Interval(NamedTuple):
    """Predicted latency of one picture in milliseconds."""

    latency_ms: float
    low_ms: float
    high_ms: float


@dataclass(frozen=True)
class _Known:
    """What the table holds of one platform."""

    calibration: Calibration
    times: dict[str, float]
    """Milliseconds by key."""


class TooSlow:
    """Judges candidates by a calibrated table; without one, or without a limit on latency, it lets all pass."""

    def __init__(self, config: FitConfig, table: LatencyTable) -> None:
        """Read the table for the run's runtime and threads, in every precision that could ship.

        Raises:
            DataError, RunFolderError: the table is damaged, not ours, or cannot be read.
        """
        self._limit = config.budget.limit("latency")
        self._runtime = config.on
        self._known: list[_Known] = []
        self._forms: dict[str, str] = {}
        if self._limit is None or not table.path.exists():
            return
        for precision in _PRECISIONS:
            platform = Platform.here(runtime=config.on, threads=config.threads, precision=precision)
            calibration = load_calibration(table, platform)
            if calibration is None or not calibration.residuals:
                self._known = []
                return
            times = {row.key: row.latency_ms for row in table.rows(platform)}
            self._known.append(_Known(calibration, times))
        self._forms = table.forms()

    def reason(self, candidate: Candidate, width: int) -> str | None:
        """Why not to measure it: in no precision does the interval reach down to the limit.

        The head is left out, since tables seldom hold one for so many classes: the body alone is too slow. None
        where any other block was never timed.
        """
        if self._limit is None or not self._known:
            return None
        pieces = _outline(candidate, width)
        if pieces is None:
            return None
        found = [body_interval(pieces, self._forms, of.times, of.calibration) for of in self._known]
        intervals = [interval for interval in found if interval is not None]
        if len(intervals) < len(found) or any(of.low_ms <= self._limit.value for of in intervals):
            return None
        fastest = min(intervals)
        return f"predicted {fastest.latency_ms:.2f} ms ({fastest.low_ms:.2f} to {fastest.high_ms:.2f}) on {self._runtime}"


def body_interval(
    pieces: Outline, forms: dict[str, str], times: dict[str, float], calibration: Calibration
) -> Interval | None:
    """Predicted latency of a network without its head, from times by key; None where a block or a pair has none."""
    alone = [times.get(forms.get(form, "")) for form in pieces.units[:-1]]
    pairs = [times.get(forms.get(form, "")) for form in pieces.pairs[:-1]]
    known_alone = [time for time in alone if time is not None]
    known_pairs = [time for time in pairs if time is not None]
    if len(known_alone) < len(alone) or len(known_pairs) < len(pairs):
        return None
    total = sum(known_pairs) - sum(known_alone[1:-1])
    if len(alone) == 1:
        total = known_alone[0]
    border_mb = sum(4e-6 * math.prod(shape) for shape in pieces.shapes[1:-1])
    latency = calibration.latency_ms(total, len(alone) - 1, border_mb)
    radius, _ = conformal_radius(calibration.residuals)
    return Interval(latency, latency * max(0.0, 1 - radius), latency * (1 + radius))


def _outline(candidate: Candidate, width: int) -> Outline | None:
    """The candidate's blocks, of a network without weights; None where it does not fall into blocks."""
    try:
        with torch.device("meta"):
            network = build(candidate.spec(width)).eval()
        return outline(network, candidate.input_contract().shape)
    except ModelError:
        return None
