"""Our detectors beside public implementations of them: files of both on ONNX Runtime, one thread, in turns in one process.

The peers live in an environment of their own, .venv-peers-detect, which borrows torch from .venv; it exports their files.
Theirs give the maps of the head, ours ship with boxes and scores decoded: ours are timed as they ship, and cut off behind the
head, which is what theirs do.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks._pictures import SHARED
from benchmarks.cost_peers import ROOT, environment
from gossamer.deploy.runtimes import get_runtime
from gossamer.nn.edits.fuse import fuse
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
FASTESTDET = SHARED / "weights/fastestdet/example/onnx-runtime/FastestDet.onnx"
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
_SECONDS = 2.0


def run() -> Iterator[str]:
    """One line a pair: times (median of processor time) and the ratio of what does the same."""
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
        files = {**_ours(ours, folder), peer: Path(answer["file"])}
        timed = measure_latency({name: _call(path) for name, path in files.items()}, seconds=_SECONDS)
        ratio = compare(timed["maps"], timed[peer])
        whole, maps, theirs = (timed[name].cpu_ms for name in files)
        yield (
            f"{ours}: {maps:.2f} ms to its maps, {whole:.2f} ms with boxes, {peer} {theirs:.2f} ms of processor: "
            f"{maps / theirs:.2f} and {whole / theirs:.2f} of its time ({maps / theirs / TARGET:.2f} of the target; by the wall "
            f"clock {ratio.ratio:.2f}, {ratio.low:.2f} to {ratio.high:.2f})"
        )


class _Maps(nn.Module):
    """A detector up to what its head gives."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The maps of all levels, each apart."""
        maps = self.detector.head(self.detector.neck(self.detector.backbone.features(x)))
        return tuple(tensor for level in maps for tensor in level if tensor is not None)


def _ours(name: str, folder: Path) -> dict[str, Path]:
    """Our files of a detector: as it ships, and up to its maps."""
    model, runtime = open_model(name), get_runtime("onnxruntime")
    networks = {"whole": model.network, "maps": _Maps(fuse(model.network))}
    paths = {kind: folder / f"{name}-{kind}.onnx" for kind in networks}
    for kind, network in networks.items():
        with torch.no_grad():
            given = network(torch.zeros(model.contract.shape))
        count = len(given) if isinstance(given, tuple) else 1
        outputs = [f"output{i}" for i in range(count)]
        runtime.export(network, model.contract, paths[kind], outputs=outputs)
    return paths


def _call(path: Path) -> Any:
    session = get_runtime("onnxruntime").load(path, threads=1)
    batch = np.random.default_rng(0).standard_normal(session.shape).astype(np.float32)
    return lambda: session.run(batch)
