"""One small finished run, shared by all tests of this folder, and by all workers."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

LABELS = ('a "quoted" one', "field", "forêt dense")
WITHIN = "latency<=200ms, params<=0.4M"

# The command line, with pictures that vanish between the check and the training.
VANISHING = """
import os, sys
import gossamer.fit.shortlist as stage
whole = stage.make_shortlist
def vanish(*arguments, **keywords):
    for file in {files!r}:
        os.unlink(file)
    return whole(*arguments, **keywords)
stage.make_shortlist = vanish
sys.argv[0] = "gossamer"
from gossamer.cli import main
main()
"""


@dataclass(frozen=True)
class TinyRun:
    """A finished fit: its folder, data, exit code, and what it printed."""

    path: Path
    data: Path
    vanished: dict[str, str]
    """train and test: a picture that was deleted after the check."""
    code: int
    stdout: str
    stderr: str

    @property
    def result(self):
        return json.loads(self.stdout)


def write_coloured(root, count=6, side=40, seed=0):
    """Classes that a colour tells apart, `count` pictures each; no two alike."""
    rng = np.random.default_rng(seed)
    for band, label in enumerate(LABELS):
        folder = root / label
        folder.mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 120, (side, side, 3))
            pixels[..., band] += 120
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    return root


def _make(root):
    from gossamer.data.check import check

    data = write_coloured(root / "tiny data")
    report = check(data)
    vanished = {
        name: str(report.dataset.samples[report.split.of(name)[0]].path) for name in ("train", "test")
    }
    code = VANISHING.format(files=list(vanished.values()))
    arguments = ["fit", data, "--within", WITHIN, "--minutes", "0.1", "--out", root / "run", "--json"]
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    return {
        "vanished": {k: Path(v).relative_to(data).as_posix() for k, v in vanished.items()},
        "code": result.returncode,
        "stdout": result.stdout,
        "stderr": result.stderr,
    }


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """Made once a session, by the worker that comes first."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny-run"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record = root / "record.json"
        if not record.exists():
            record.write_text(json.dumps(_make(root)))
        return TinyRun(path=root / "run", data=root / "tiny data", **json.loads(record.read_text()))


@pytest.fixture
def coloured():
    """`coloured(root, count=6, side=40, seed=0)`: class folders that a network learns in seconds."""
    return write_coloured


@pytest.fixture
def gossamer(capsys, monkeypatch):
    """`gossamer(*arguments)` -> exit code, standard output, standard error: the command line in this process."""
    from gossamer.cli import app
    from gossamer.cli._common import run

    # whichever test comes first loads torch, and is not told so
    monkeypatch.setattr("gossamer.cli._common.SOON", 60)

    def call(*arguments):
        capsys.readouterr()
        code = run(app, [str(a) for a in arguments])
        return code, *capsys.readouterr()

    return call
