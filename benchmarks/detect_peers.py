"""Our detectors beside public implementations of them: files of both on ONNX Runtime, one thread, in turns in one process.

The peers live in an environment of their own, .venv-peers-detect, which borrows torch from .venv; it exports their files.
Ours give boxes and scores decoded; whether a peer's do is its own affair (`_detect_peers`).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._pictures import SHARED
from benchmarks.cost_peers import ROOT, environment
from gossamer.deploy.runtimes import get_runtime
from gossamer.runs.model import open_model
from gossamer.timing.latency import compare, measure_latency

PACKAGES = (
    "effdet",
    "omegaconf",
    "antlr4-python3-runtime==4.9.3",
    "libreyolo",
    "opencv-python-headless",
    "mss",
    "cloudpickle",
    "pycocotools",
)
"""Without what they ask for beside: torch, torchvision and timm are ours."""
FASTESTDET = SHARED / "weights" / "fastestdet" / "example" / "onnx-runtime" / "FastestDet.onnx"
OURS: Mapping[str, str] = {
    "libreyolo yolox n": "yolox_nano",
    "libreyolo yolox t": "yolox_tiny",
    "libreyolo picodet s": "picodet_s_320",
    "torchvision ssdlite320": "ssdlite_mobilenet_v3_large",
    "effdet lite0": "efficientdet_lite0",
    "effdet d0": "efficientdet_d0",
    "FastestDet.onnx": "fastestdet",
}
TARGET = 1.05
"""Of the peer's time that ours may take."""
_SECONDS = 3.0


def run() -> Iterator[str]:
    """One line a pair: both times (median of processor time) and their ratio."""
    python = environment(ROOT / ".venv-peers-detect", PACKAGES, "--no-deps")
    with tempfile.TemporaryDirectory(prefix="gossamer-peers-") as folder:
        done = subprocess.run(
            [str(python), "-m", "benchmarks._detect_peers", folder],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        if done.returncode:
            yield f"the peers could not be run: {done.stderr.strip().splitlines()[-1][:200]}"
            return
        peers = json.loads(done.stdout.splitlines()[-1])
        if FASTESTDET.is_file():
            peers["FastestDet.onnx"] = {"file": str(FASTESTDET)}
        yield from compared(peers, Path(folder))


def compared(peers: Mapping[str, Mapping[str, str]], folder: Path) -> Iterator[str]:
    """Times of the peers' files and ours, each pair in turns."""
    for peer, answer in peers.items():
        if "failed" in answer:
            yield f"{peer}: no file, {answer['failed']}"
            continue
        ours = OURS[peer]
        timed = measure_latency(
            {"ours": _call(_ours(ours, folder)), "theirs": _call(Path(answer["file"]))}, seconds=_SECONDS
        )
        ratio = compare(timed["ours"], timed["theirs"])
        cpu = timed["ours"].cpu_ms / timed["theirs"].cpu_ms
        yield (
            f"{ours}: {timed['ours'].cpu_ms:.2f} ms, {peer} {timed['theirs'].cpu_ms:.2f} ms of processor: {cpu:.2f} of its time "
            f"({cpu / TARGET:.2f} of the target; by the wall clock {ratio.ratio:.2f}, {ratio.low:.2f} to {ratio.high:.2f})"
        )


def _ours(name: str, folder: Path) -> Path:
    """Our file of a detector, as it ships."""
    model = open_model(name)
    path = folder / f"{name}.onnx"
    get_runtime("onnxruntime").export(model.network, model.contract, path, outputs=model.task.outputs)
    return path


def _call(path: Path) -> Any:
    session = get_runtime("onnxruntime").load(path, threads=1)
    batch = np.random.default_rng(0).standard_normal(session.shape).astype(np.float32)
    return lambda: session.run(batch)
