"""Training beside other processes: pictures a second with and without five of them, by how threads wait."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

BURNERS = 5
MINUTES = 0.4
COMMAND = (
    "train", "demo:scenes", "--model", "efficientnet_lite0[:4]@imagenet", "--size", "96", "--minutes", str(MINUTES),
    "--set", "start_resolution=1",
)  # fmt: skip
PICTURES = 576


def run() -> Iterator[str]:
    """The share is against what two of seven runnable threads get of the cores; 0.7 of it is asked for."""
    cores = os.cpu_count() or 1
    fair = cores / (cores + BURNERS)
    for policy in ("PASSIVE", "ACTIVE"):
        quiet, busy = (_speed(policy, count) for count in (0, BURNERS))
        yield (
            f"{policy}: {quiet:.0f} pictures/s alone, {busy:.1f} beside {BURNERS} others: "
            f"{busy / quiet / fair:.2f} of the fair share"
        )


def _speed(policy: str, burners: int) -> float:
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(burners)]
    try:
        with tempfile.TemporaryDirectory(prefix="gossamer-busy-") as folder:
            out = Path(folder) / "run"
            command = [sys.executable, "-m", "gossamer", *COMMAND, "--out", str(out), "--json"]
            subprocess.run(
                command, env={**os.environ, "OMP_WAIT_POLICY": policy}, check=True, capture_output=True
            )
            with (out / "metrics.csv").open(newline="") as lines:
                last = list(csv.DictReader(lines))[-1]
            return float(last["passes"]) * PICTURES / float(last["seconds"])
    finally:
        for process in burning:
            process.kill()
