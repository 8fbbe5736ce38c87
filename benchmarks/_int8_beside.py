"""NNCF and OpenVINO beside our int8: `_int8_peers` is run in .venv-peers on a folder of files, and read back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks._pictures import Numbers
from benchmarks.cost_peers import ENVIRONMENT, ROOT

MISSING = "NNCF is not in .venv-peers and has no row; .venv-peers/bin/pip install nncf==3.4.0"


@dataclass(frozen=True)
class PeerRow:
    """What a network of OpenVINO answers and costs; ratios are int8 over fp32 in OpenVINO, 1 thread."""

    answers: Numbers
    bytes: int
    seconds: float = 0.0
    """Of the processor, for the quantizer."""
    ratio: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Of wall time: median over the rounds, and where the median lies with about 95 %."""
    cpu_ratio: float = 1.0
    float_operators: dict[str, int] | None = None


def installed() -> bool:
    """Whether the peers' environment holds NNCF."""
    return any((ENVIRONMENT / "lib").glob("python*/site-packages/nncf/__init__.py"))


def peer_rows(folder: Path, rows: Sequence[str]) -> dict[str, PeerRow]:
    """`fp32` and the named rows of `_int8_peers.MAKERS`.

    Raises:
        RuntimeError: the peer stops with an error, whose last line it tells.
    """
    done = subprocess.run(
        [str(ENVIRONMENT / "bin" / "python"), "-m", "benchmarks._int8_peers", str(folder), *rows],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        raise RuntimeError(f"the peer could not be run: {done.stderr.strip().splitlines()[-1][:200]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return {
        name: PeerRow(
            np.array(row["answers"], np.int64),
            row["bytes"],
            row.get("seconds", 0.0),
            tuple(row.get("ratio", (1.0, 1.0, 1.0))),
            row.get("cpu_ratio", 1.0),
            row.get("float"),
        )
        for name, row in found.items()
    }
