"""Predicted latency of networks of the zoo that the predictor never saw whole, against measured latency.

GOSSAMER_TABLE names a file to keep the measurements in; a second run then measures nothing.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gossamer._machine import load_per_core
from gossamer.cost.blocks_of import cut, measure_units, whole
from gossamer.cost.latency_table import LatencyTable, Platform
from gossamer.cost.predictor import calibrate, predict
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CATALOGUE
from gossamer.zoo.counted import counted

CALIBRATION, UNSEEN = 12, 30
MAX_MACS = 700e6
CUT = "ESPNetv2"
"""Looks at the picture again in every stage: refused by the predictor."""


def chosen() -> tuple[list[str], list[str]]:
    """(names to calibrate on, names to predict): evenly over the zoo ordered by macs, the same every time."""
    names = [
        (count.macs, name)
        for name, entry in CATALOGUE.items()
        if entry.family != CUT and (count := counted(name, entry.input)) and count.macs <= MAX_MACS
    ]
    ordered = [name for _, name in sorted(names)]
    places = np.linspace(0, len(ordered) - 1, CALIBRATION + UNSEEN).round().astype(int)
    picked = [ordered[place] for place in places]
    own = np.linspace(0, len(picked) - 1, CALIBRATION).round().astype(int).tolist()
    return [picked[i] for i in own], [name for i, name in enumerate(picked) if i not in set(own)]


def run() -> Iterator[str]:
    """The errors of all predictions and of the plain sum, then one line for each of the worst five."""
    platform = Platform.here()
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
        found = {name: _compare(name, table, platform) for name in unseen}
    values = np.array(list(found.values()))
    measured = values[:, 0]
    for label, column in (("predicted", 1), ("sum of pairs", 2)):
        errors = np.abs(values[:, column] / measured - 1)
        yield (
            f"{label}, {len(unseen)} unseen networks: mean error {100 * errors.mean():.1f} %, within 5 % "
            f"{100 * (errors <= 0.05).mean():.0f} %, within 10 % {100 * (errors <= 0.1).mean():.0f} %"
        )
    macs = np.array([float(counted(name, CATALOGUE[name].input).macs) for name in unseen])  # type: ignore[union-attr]
    errors = np.abs(macs * np.median(measured / macs) / measured - 1)
    yield f"macs times one constant, fitted on the 30 themselves: mean error {100 * errors.mean():.1f} %"
    inside = ((values[:, 3] <= measured) & (measured <= values[:, 4])).mean()
    yield f"inside the 90 % interval: {100 * inside:.0f} %; {time.perf_counter() - started:.0f} s, load {load_per_core():.2f} a core"
    worst = sorted(found, key=lambda name: -abs(found[name][1] / found[name][0] - 1))[:5]
    for name in worst:
        real, guess, plain, *_ = found[name]
        yield f"worst: {name} measured {real:.2f} ms, predicted {guess:.2f} ms ({100 * (guess / real - 1):+.1f} %), sum {plain:.2f} ms"


def _built(name: str) -> tuple[object, tuple[int, int, int, int]]:
    side = CATALOGUE[name].input
    return build(name).eval(), (1, 3, side, side)  # type: ignore[attr-defined]


def _compare(name: str, table: LatencyTable, platform: Platform) -> tuple[float, ...]:
    """(measured, predicted, plain sum, low, high) in ms."""
    network, shape = _built(name)
    end = whole(network, shape, name)  # type: ignore[arg-type]
    pieces = cut(network, shape)  # type: ignore[arg-type]
    measure_units([*pieces.units, *pieces.pairs, end], table, platform)
    measured = table.find(platform, [end.key])[end.key].latency_ms
    guess = predict(network, shape, table, platform, measure_missing=False)
    return measured, guess.latency_ms, guess.sum_ms, guess.low_ms or 0.0, guess.high_ms or 0.0
