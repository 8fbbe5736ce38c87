"""The additive latency model on measured NAS-Bench-201 tables of other people's devices: no timing here.

One weight for each operator on each edge of the cell, fitted on N cells by relative least squares, held against 2,000
others. PyTorch runs edges that lead nowhere, TFLite drops them: its columns are fitted on the live edges only. The
columns `fpga` and `eyeriss` are sums made up by their authors and prove nothing; entries below 0.1 ms are cells that
were folded away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DATA = (
    Path(os.environ.get("GOSSAMER_SHARED", Path(__file__).resolve().parents[2] / "shared" / "data")) / "nas"
)
LIVE: Mapping[str, bool] = {
    "gold_6226": False,
    "gold_6240": False,
    "silver_4114": False,
    "silver_4210r": False,
    "raspi4": True,
    "pixel3": True,
}
"""Column -> whether the runtime drops dead edges."""
SIZES = (100, 400)
TEST, SEEDS, LEAST_MS, RIDGE = 2000, 5, 0.1, 1e-4
NONE = 0


def live_edges(ops: NDArray[np.uint8], edges: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The operators (M, 6) with every edge that no data reach or whose result the output never sees set to none."""
    reached = np.zeros((len(ops), 4), bool)
    used = np.zeros((len(ops), 4), bool)
    reached[:, 0] = used[:, 3] = True
    for target in range(1, 4):
        for place, (start, end) in enumerate(edges):
            if end == target:
                reached[:, end] |= reached[:, start] & (ops[:, place] != NONE)
    for source in (2, 1, 0):
        for place, (start, end) in enumerate(edges):
            if start == source:
                used[:, start] |= used[:, end] & (ops[:, place] != NONE)
    kept = [reached[:, start] & used[:, end] for start, end in edges]
    return np.where(np.stack(kept, 1), ops, NONE).astype(np.uint8)


def design(ops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(M, 25): a constant, and 1 where an edge has an operator other than none."""
    hot = (ops[:, :, None] == np.arange(1, 5)).reshape(len(ops), -1)
    return np.hstack([np.ones((len(ops), 1)), hot.astype(np.float64)])


def errors(
    features: NDArray[np.float64], times: NDArray[np.float64], count: int, seed: int
) -> NDArray[np.float64]:
    """Relative errors (2000,) of a model fitted on `count` cells."""
    order = np.random.default_rng(seed).permutation(len(times))
    train, test = order[:count], order[count : count + TEST]
    rows = features[train] / times[train, None]
    square = rows.T @ rows + RIDGE * np.trace(rows.T @ rows) / rows.shape[1] * np.eye(rows.shape[1])
    weights = np.linalg.solve(square, rows.sum(0))
    found: NDArray[np.float64] = np.abs(features[test] @ weights / times[test] - 1)
    return found


def run() -> Iterator[str]:
    """One line a column, for each number of cells."""
    file = DATA / "nb201.npz"
    if not file.is_file():
        yield f"no data at {file}; set GOSSAMER_SHARED to the folder of the shared data"
        return
    table = np.load(file, allow_pickle=False)
    devices = table["devices"].tolist()
    live = live_edges(table["ops"], table["edges"].astype(np.int64))
    for column, pruned in LIVE.items():
        times = table["latency_ms"][:, devices.index(column)].astype(np.float64)
        kept = times >= LEAST_MS
        features = design((live if pruned else table["ops"])[kept])
        parts: list[str] = []
        for count in SIZES:
            all_errors = np.concatenate([errors(features, times[kept], count, seed) for seed in range(SEEDS)])
            shares = " / ".join(f"{100 * (all_errors <= limit).mean():.0f} %" for limit in (0.05, 0.1))
            parts.append(f"N={count} MAPE {100 * all_errors.mean():.1f} %, within 5 / 10 % {shares}")
        yield f"{column} ({'live' if pruned else 'all'} edges): {'; '.join(parts)}"
