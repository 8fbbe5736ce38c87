"""Pictures a second of training with maps in rows of channels (channels-last) or not, and compiled or not, in turns.

Compilation is not counted: each variant trains a pass before the first that is timed. The time it takes is told beside.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.train_peers import ROUNDS, Ours, scene_files

NETWORKS = ("mobilenet_v2_0.5", "shufflenet_v2_1.0", "resnet20_cifar")
VARIANTS = {
    "contiguous": ("channels_last=false",),
    "channels-last": ("channels_last=true",),
    "channels-last, compiled": ("channels_last=true", "compile=true"),
}


def run() -> Iterator[str]:
    """A line a network and variant: the median of passes in turns, and its ratio to contiguous."""
    with tempfile.TemporaryDirectory(prefix="gossamer-train-layouts-") as name:
        folder = Path(name)
        paths, labels = scene_files(folder / "pictures")
        for network in NETWORKS:
            yield from _network(network, folder / network, paths, labels)


def _network(name: str, folder: Path, paths: list[Path], labels: np.ndarray) -> Iterator[str]:
    first: dict[str, float] = {}
    epochs: dict[str, Ours] = {}
    for variant, settings in VARIANTS.items():
        epochs[variant] = Ours(name, folder / variant, paths, labels, settings)
        start = time.perf_counter()
        epochs[variant]()
        first[variant] = time.perf_counter() - start
    speeds: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for _ in range(ROUNDS):
        for variant, epoch in epochs.items():
            speeds[variant].append(epoch())
    base = statistics.median(speeds["contiguous"])
    for variant, found in speeds.items():
        median = statistics.median(found)
        yield f"{name}, {variant}: {median:.0f} pictures/s, ratio {median / base:.2f}; the first pass took {first[variant]:.0f} s"
