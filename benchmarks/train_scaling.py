"""One process against two (DDP) of one thread each, interleaved: pictures a second, and what share of twice one they reach."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROUNDS = 3
COMMAND = (
    "train", "demo:scenes", "--model", "mobilenet_v2_0.5", "--size", "96", "--epochs", "3",
    "--set", "batch=64", "--set", "start_resolution=1",
)  # fmt: skip


def run() -> Iterator[str]:
    """The batch is 64 in both, so that each of two processes takes 32 of it."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="gossamer-scaling-") as name:
        for number in range(ROUNDS):
            for devices, found in rates.items():
                found.append(_rate(Path(name, f"{number}-{devices}"), devices))
    one, two = (statistics.median(found) for found in rates.values())
    yield f"1 process: {one:.0f} pictures/s; 2 processes: {two:.0f} pictures/s (medians of {ROUNDS})"
    yield f"ratio {two / one:.2f}, efficiency {two / one / 2:.0%}"


def _rate(out: Path, devices: int) -> float:
    command = [sys.executable, "-m", "gossamer", *COMMAND, "--devices", str(devices), "--out", str(out)]
    subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=1200
    )
    stage: dict[str, float] = json.loads((out / "stages" / "3-train.json").read_text())
    return stage["pictures_per_second"]
