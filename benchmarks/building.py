"""MobileNetV3-Large: making it, with and without weights, and running it eagerly, beside timm's in the same rounds."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import timm
import torch

from gossamer.zoo.build import build

ROUNDS = 15
META_TARGET = 5.0
PEER = "mobilenetv3_large_100"


def interleaved(tasks: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median processor seconds of each task, one after the other in every round."""
    spent: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for _ in range(rounds):
        for name, task in tasks.items():
            start = time.process_time()
            task()
            spent[name].append(time.process_time() - start)
    return {name: statistics.median(seconds) for name, seconds in spent.items()}


def _on_meta() -> object:
    with torch.device("meta"):
        return build("mobilenet_v3_large")


def run() -> Iterator[str]:
    """One line a figure, each with its ratio to the peer or the target."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        ours_file, their_file = Path(folder, "ours.pth"), Path(folder, "theirs.pth")
        torch.save(build("mobilenet_v3_large").state_dict(), ours_file)
        torch.save(timm.create_model(PEER).state_dict(), their_file)
        made = interleaved(
            {
                "ours": lambda: build("mobilenet_v3_large"),
                "timm": lambda: timm.create_model(PEER),
                "ours loaded": lambda: build("mobilenet_v3_large", weights=str(ours_file)),
                "timm loaded": lambda: timm.create_model(PEER, checkpoint_path=str(their_file)),
                "meta": _on_meta,
            }
        )
    for kind, name in (("initialised", ""), ("with weights from a file", " loaded")):
        ours, theirs = made[f"ours{name}"], made[f"timm{name}"]
        yield f"build, {kind}: {1e3 * ours:.0f} ms of processor, {ours / theirs:.2f} of timm ({1e3 * theirs:.0f} ms)"
    times = made["ours loaded"] / made["meta"]
    yield (
        f"build, on meta: {1e3 * made['meta']:.1f} ms, {times:.1f} times faster than with weights from a file "
        f"({times / META_TARGET:.2f} of the target), {made['ours'] / made['meta']:.1f} times faster than initialised"
    )
    network, peer = build("mobilenet_v3_large").eval(), timm.create_model(PEER).eval()
    for batch in (1, 8):
        picture = torch.zeros(batch, 3, 224, 224)
        with torch.inference_mode():
            ran = interleaved({"ours": lambda x=picture: network(x), "timm": lambda x=picture: peer(x)})
        yield f"eager forward, batch {batch}: {1e3 * ran['ours']:.1f} ms, {ran['ours'] / ran['timm']:.2f} of timm ({1e3 * ran['timm']:.1f} ms)"
