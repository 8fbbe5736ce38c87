"""Ten kills at random moments of one training, ten resumptions: the final weights against those of a whole run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gossamer.zoo.checkpoints import read_checkpoint

KILLS = 10
COMMAND = (
    "train", "demo:scenes", "--model", "mobilenet_v2_0.35", "--size", "64", "--epochs", "40",
    "--set", "mixup=0.2", "--set", "cutmix=0.5", "--set", "multi_scale=0.2",
)  # fmt: skip


def run() -> Iterator[str]:
    """Each kill is up to two seconds after the first new checkpoint: where it fell, and how many of the final tensors are equal to the last bit."""
    seed = int.from_bytes(os.urandom(4))
    draws = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="gossamer-resume-") as name:
        whole, broken = Path(name, "whole"), Path(name, "broken")
        _start(whole).wait()
        for kill in range(1, KILLS + 1):
            checkpoint = broken / "train" / "last.ckpt"
            before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            process = _start(broken, resume=(broken / "config.yaml").is_file())
            while process.poll() is None and (
                not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before
            ):
                time.sleep(0.01)
            time.sleep(draws.uniform(0, 2))
            process.send_signal(signal.SIGKILL)
            process.wait()
            rows = broken / "metrics.csv"
            validations = len(rows.read_text().splitlines()) - 1 if rows.exists() else 0
            yield f"kill {kill}: {validations} validations told so far"
        code = _start(broken, resume=(broken / "config.yaml").is_file()).wait()
        ours, theirs = (read_checkpoint(run / "train" / "final.safetensors") for run in (whole, broken))
        equal = sum(np.array_equal(ours[k].numpy(), theirs[k].numpy()) for k in ours)
        yield f"exit code {code}; {equal} of {len(ours)} tensors equal to the last bit (kills drawn from seed {seed})"


def _start(out: Path, *, resume: bool = False) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "gossamer",
        *COMMAND,
        "--out",
        str(out),
        *(["--resume"] if resume else []),
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
