"""Predicted latency of networks of the zoo that the predictor never saw whole, against measured latency.

Twice: with every block timed, and with those blocks estimated that no other network has (their pairs too).
GOSSAMER_PRECISION=int8 does it for quantized files. GOSSAMER_TABLE names a file to keep the measurements in; a second run then measures nothing.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gossamer._machine import load_per_core
from gossamer.timing.table.block_regressor import BlockRegressor
from gossamer.timing.table.block_times import measure_units
from gossamer.timing.table.blocks_of import Cut, cut, whole
from gossamer.timing.table.latency_table import LatencyTable, Platform, Row
from gossamer.timing.table.predictor import Calibration, assemble, calibrate
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CLASSIFIERS
from gossamer.zoo.counted import counted

CALIBRATION, UNSEEN = 12, 30
MAX_MACS = 700e6
CUT = "ESPNetv2"
"""Looks at the picture again in every stage: refused by the predictor."""


def chosen() -> tuple[list[str], list[str]]:
    """(names to calibrate on, names to predict): evenly over the zoo ordered by macs, the same every time."""
    names = [
        (count.macs, name)
        for name, entry in CLASSIFIERS.items()
        if entry.family != CUT and (count := counted(name, entry.input)) and count.macs <= MAX_MACS
    ]
    ordered = [name for _, name in sorted(names)]
    places = np.linspace(0, len(ordered) - 1, CALIBRATION + UNSEEN).round().astype(int)
    picked = [ordered[place] for place in places]
    own = np.linspace(0, len(picked) - 1, CALIBRATION).round().astype(int).tolist()
    return [picked[i] for i in own], [name for i, name in enumerate(picked) if i not in set(own)]


def run() -> Iterator[str]:
    """The errors of all predictions and of the plain sum, then one line for each of the worst five."""
    platform = Platform.here(precision="int8" if os.environ.get("GOSSAMER_PRECISION") == "int8" else "fp32")
    known, unseen = chosen()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        table = LatencyTable(Path(os.environ.get("GOSSAMER_TABLE") or Path(folder, "table.sqlite")))
        calibration = calibrate({name: _built(name) for name in known}, table, platform)
        yield (
            f"{platform}: {calibration.a:.3f} x sum + {calibration.b:.4f} ms x borders + {calibration.c:.3f} ms x border MB from "
            f"{len(known)} networks in {time.perf_counter() - started:.0f} s, load {load_per_core():.2f} a core"
        )
        started = time.perf_counter()
        both = {name: _measured(name, table, platform) for name in [*known, *unseen]}
        rows = table.rows(platform)
    times = {row.key: row.latency_ms for row in rows}
    cuts = {name: pieces for name, (pieces, _) in both.items()}
    wholes = {name: times[both[name][1]] for name in unseen}
    found = {name: _compare(cuts[name], wholes[name], rows, calibration) for name in unseen}
    values = np.array(list(found.values()))
    measured = values[:, 0]
    for label, column in (("predicted", 1), ("sum of pairs", 2)):
        errors = np.abs(values[:, column] / measured - 1)
        yield (
            f"{label}, {len(unseen)} unseen networks: mean error {100 * errors.mean():.1f} %, within 5 % "
            f"{100 * (errors <= 0.05).mean():.0f} %, within 10 % {100 * (errors <= 0.1).mean():.0f} %"
        )
    macs = np.array([float(counted(name, CLASSIFIERS[name].input).macs) for name in unseen])  # type: ignore[union-attr]
    errors = np.abs(macs * np.median(measured / macs) / measured - 1)
    yield f"macs times one constant, fitted on the 30 themselves: mean error {100 * errors.mean():.1f} %"
    inside = ((values[:, 3] <= measured) & (measured <= values[:, 4])).mean()
    yield f"inside the 90 % interval: {100 * inside:.0f} %; {time.perf_counter() - started:.0f} s, load {load_per_core():.2f} a core"
    yield from _estimated(wholes, cuts, rows, calibration)
    worst = sorted(found, key=lambda name: -abs(found[name][1] / found[name][0] - 1))[:5]
    for name in worst:
        real, guess, plain, *_ = found[name]
        yield f"worst: {name} measured {real:.2f} ms, predicted {guess:.2f} ms ({100 * (guess / real - 1):+.1f} %), sum {plain:.2f} ms"


def _built(name: str) -> tuple[object, tuple[int, int, int, int]]:
    side = CLASSIFIERS[name].input
    return build(name).eval(), (1, 3, side, side)  # type: ignore[attr-defined]


def _measured(name: str, table: LatencyTable, platform: Platform) -> tuple[Cut, str]:
    """(the network's pieces, without their files; the key of the whole), all of them in the table."""
    network, shape = _built(name)
    end = whole(network, shape, name)  # type: ignore[arg-type]
    pieces = cut(network, shape)  # type: ignore[arg-type]
    measure_units([*pieces.units, *pieces.pairs, end], table, platform)
    return Cut(*([replace(unit, model=b"") for unit in part] for part in pieces)), end.key


def _compare(
    pieces: Cut, measured: float, rows: Sequence[Row], calibration: Calibration
) -> tuple[float, ...]:
    """(measured, predicted, plain sum, low, high) in ms."""
    guess = assemble(pieces, rows, calibration)
    return measured, guess.latency_ms, guess.sum_ms, guess.low_ms or 0.0, guess.high_ms or 0.0


def _estimated(
    unseen: Mapping[str, float], cuts: Mapping[str, Cut], rows: Sequence[Row], calibration: Calibration
) -> Iterator[str]:
    """Errors where a network's own blocks are left out of the table; `unseen` is name -> measured ms."""
    users = Counter(key for pieces in cuts.values() for key in _keys(pieces))
    times = {row.key: row.latency_ms for row in rows}
    blocks: list[float] = []
    networks: list[tuple[float, ...]] = []
    for name, measured in unseen.items():
        own = {key for key in _keys(cuts[name]) if users[key] == 1}
        rest = [row for row in rows if row.key not in own]
        regressor = BlockRegressor(rest)
        missing = {unit.key: unit for unit in cuts[name].units if unit.key in own}
        blocks += [regressor.latency_ms(unit) / times[key] - 1 for key, unit in missing.items()]
        if own:
            networks.append(_compare(cuts[name], measured, rest, calibration))
    values = np.array(networks)
    errors, whole_errors = np.abs(blocks), np.abs(values[:, 1] / values[:, 0] - 1)
    inside = ((values[:, 3] <= values[:, 0]) & (values[:, 0] <= values[:, 4])).mean()
    yield (
        f"estimated, {len(blocks)} blocks of one network only: mean error {100 * errors.mean():.1f} %, "
        f"median {100 * np.median(errors):.1f} %, nine in ten within {100 * np.quantile(errors, 0.9):.0f} %"
    )
    yield (
        f"their {len(networks)} networks: mean error {100 * whole_errors.mean():.1f} %, inside the wider interval "
        f"{100 * inside:.0f} %, which is +-{100 * (values[:, 4] / values[:, 1] - 1).mean():.0f} % on average"
    )


def _keys(pieces: Cut) -> set[str]:
    return {unit.key for part in pieces for unit in part}
