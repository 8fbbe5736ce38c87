"""Processor time and memory of a cold start: help, and one prediction from a bare .onnx without torch."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

ROUNDS = 5
HELP_CPU_SECONDS, HELP_BYTES = 0.3, 60e6
PREDICT_SECONDS = 1.5
BLOCK_TORCH = "import sys; sys.modules['torch'] = None; from gossamer.cli import main; sys.argv = ['gossamer', *sys.argv[1:]]; main()"
LAUNCHER = (
    "import os, subprocess, sys; p = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL); "
    "_, s, u = os.wait4(p.pid, 0); print(s, u.ru_utime + u.ru_stime, u.ru_maxrss)"
)
PEER = "import torch, torchvision; torchvision.models.mobilenet_v2().eval()(torch.zeros(1, 3, 128, 128))"


def cost_of(command: Sequence[str]) -> tuple[float, float]:
    """(processor seconds, highest resident bytes) of one process, started by a small one.

    A child's high-water mark begins at its parent's, and this process has torch loaded.
    """
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, *command], capture_output=True, text=True, check=True
    )
    status, seconds, kilobytes = done.stdout.split()
    if status != "0":
        raise RuntimeError(f"{' '.join(command)} ended with status {status}: {done.stderr[-300:]}")
    return float(seconds), float(kilobytes) * 1024.0


def median_cost(command: Sequence[str]) -> tuple[float, float]:
    """Medians over the rounds."""
    rounds = [cost_of(command) for _ in range(ROUNDS)]
    return statistics.median(c for c, _ in rounds), statistics.median(m for _, m in rounds)


def run() -> Iterator[str]:
    """One line a figure, each with its ratio to the target or the peer."""
    cpu, memory = median_cost([sys.executable, "-m", "gossamer", "--help"])
    yield f"gossamer --help: {cpu:.2f} s of processor ({cpu / HELP_CPU_SECONDS:.2f} of the target), {memory / 1e6:.0f} MB ({memory / HELP_BYTES:.2f} of the target)"
    with tempfile.TemporaryDirectory() as name:
        model, picture = Path(name, "model.onnx"), Path(name, "picture.jpg")
        _write_model(model)
        Image.new("RGB", (128, 128), (90, 120, 60)).save(picture)
        ours, _ = median_cost([sys.executable, "-c", BLOCK_TORCH, "predict", str(model), str(picture)])
    peer, _ = median_cost([sys.executable, "-c", PEER])
    yield f"gossamer predict, cold, torch blocked: {ours:.2f} s of processor ({ours / PREDICT_SECONDS:.2f} of the target), {ours / peer:.2f} of torch + torchvision doing the same ({peer:.2f} s)"


def _write_model(path: Path) -> None:
    import onnx

    from gossamer.deploy.contract import InputContract
    from gossamer.deploy.runtimes import get_runtime
    from gossamer.files.onnx import write_metadata
    from gossamer.zoo.build import build

    contract = InputContract.of("imagenet", 128)
    get_runtime("onnxruntime").export(build("mobilenet_v2", num_classes=10).eval(), contract, path)
    model = onnx.load(path)
    write_metadata(model, {"labels": [f"class {i}" for i in range(10)], "input": contract.to_json()})
    onnx.save(model, path)
