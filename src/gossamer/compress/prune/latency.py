"""Pruning to a measured latency: each try is exported and timed beside the whole network.

Channels are ranked by importance per millisecond, told from a profile of the whole network; the ranking is followed
until the file is fast enough. (NetAdapt, 1804.03230, goes by measurements layer by layer: `compress.ratios`.)
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from gossamer.compress.prune.apply import apply_pruning
from gossamer.compress.prune.budget import Quantity
from gossamer.compress.prune.prunable import Kept, Prunable, Scope
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.onnxruntime import export as onnxruntime
from gossamer.deploy.runtimes.onnxruntime.profile import profile_file
from gossamer.errors import GossamerError, ModelError
from gossamer.timing.latency import compare, measure_latency
from gossamer.types import Size

__all__ = ["LatencyTry", "plan_latency"]

_TRIES = 9
_LONGER = 4.0
_NEAR = 0.02
"""A share of the latency within this below the target ends the search."""


@dataclass(frozen=True)
class LatencyTry:
    """One network that was timed: its share of macs, and of the whole network's latency in the same rounds."""

    macs_share: float
    told: float
    """The share of the layers' milliseconds that was asked for."""
    latency_share: float
    p50_ms: float
    """Median wall time; on a busy machine and one thread the processor's."""


def plan_latency(
    network: nn.Module,
    prunable: Prunable,
    shape: Sequence[int],
    target: float,
    *,
    on: str = "onnxruntime",
    threads: int = 1,
    scope: Scope = "auto",
    ambition: float = 1.0,
    seconds: float = 0.6,
    tick: Callable[[LatencyTry], None] | None = None,
) -> tuple[Kept, LatencyTry, int]:
    """What stays, how it was timed, and after how many tries.

    It is the network with most macs whose exported fp32 file takes at most this share of the whole one's median latency.
    A `target` above 1 is milliseconds; `ambition` is the share of the way to it that is gone. Both files are timed in
    turns, so that a busy machine slows both.

    Raises:
        GossamerError: a target that is not above 0.
        ModelError: the target is not met with every layer at its least.
    """
    if not 0 < target < float("inf"):
        raise GossamerError(
            f"a latency target is a share above 0 and at most 1, or milliseconds above 1, got {target:g}; give e.g. 0.7"
        )
    timer = _Timer(network, shape, on, threads, seconds)
    with tempfile.TemporaryDirectory() as folder:
        timer.open(Path(folder))
        prunable.layer_ms = timer.layer_ms()
        wanted = 1 - ambition * (1 - (target if target <= 1 else target / timer.whole_ms))
        wanted_ms = wanted * timer.whole_ms
        low, high, share = 0.0, 1.0, min(wanted, 1.0)
        tries: list[LatencyTry] = []
        best: tuple[Kept, LatencyTry] | None = None
        for _ in range(_TRIES):
            kept, share = _nearest(prunable, share, scope)
            cut = apply_pruning(network, prunable.plan(kept))
            told = prunable.cost(kept) / prunable.cost(prunable.whole), share
            found = timer.time(cut, *told)
            if abs(found.latency_share / wanted - 1) < 2 * _NEAR:  # a short look is not enough here
                found = timer.time(cut, *told, longer=_LONGER)
            tries.append(found)
            if tick is not None:
                tick(found)
            reached = found.latency_share / wanted if target <= 1 else found.p50_ms / wanted_ms
            if reached <= 1:
                best, low = (kept, found), max(low, share)
                if reached > 1 - _NEAR or kept.all():
                    break
            else:
                high = min(high, share)
            if high - low < _NEAR / 4:
                break
            share = _next(tries, wanted, low, high)
        if best is None:
            raise _out_of_reach(target, tries)
        return *best, len(tries)


def _out_of_reach(target: float, tries: Sequence[LatencyTry]) -> ModelError:
    least = min(tries, key=lambda each: each.latency_share)
    return ModelError(
        f"{target:g} of the latency cannot be reached: {least.latency_share:.2f} ({least.p50_ms:.2f} ms) is left at "
        f"{least.macs_share:.0%} of the macs; lower floor or multiple, or ask for more"
    )


def _nearest(prunable: Prunable, share: float, scope: Scope) -> tuple[Kept, float]:
    """What stays at this share of the told milliseconds, or at the least one above it that there is.

    Where the file's layers have other names than the network's (branches that are merged when it is exported) the
    share is one of macs.
    """
    timed = sum((prunable.layer_ms or {}).get(each.layer, 0.0) for each in prunable.channels.products)
    what: Quantity = "milliseconds" if timed > 0 else "macs"
    while True:
        try:
            return prunable.choose(share, what=what, scope=scope), share
        except ModelError:
            share = min(1.0, share + 0.05)


def _next(tries: Sequence[LatencyTry], target: float, low: float, high: float) -> float:
    """Between the bounds: where the line through the two nearest tries meets the target, else the middle."""
    near = sorted(tries, key=lambda each: abs(each.latency_share - target))[:2]
    middle = (low + high) / 2
    if len(near) == 2 and near[0].latency_share != near[1].latency_share:
        slope = (near[1].told - near[0].told) / (near[1].latency_share - near[0].latency_share)
        guess = near[0].told + slope * (target * (1 - _NEAR / 2) - near[0].latency_share)
        margin = 0.1 * (high - low)
        return float(np.clip(guess, low + margin, high - margin))
    return middle


class _Timer:
    """The whole network's session, and every other's beside it."""

    def __init__(
        self, network: nn.Module, shape: Sequence[int], on: str, threads: int, seconds: float
    ) -> None:
        self._runtime, self._threads, self._seconds = get_runtime(on), threads, seconds
        self._network = network
        bands = int(shape[1])
        self._contract = InputContract(
            Size(int(shape[2]), int(shape[3])),
            tuple(f"band {i + 1}" for i in range(bands)),
            mean=(0.0,) * bands,
            std=(1.0,) * bands,
        )
        self._picture = np.random.default_rng(0).standard_normal(self._contract.shape).astype(np.float32)
        self.whole_ms = 0.0

    def open(self, folder: Path) -> None:
        """Export the whole network and time it once."""
        self._folder = folder
        self._whole = self._load(self._network, "whole")
        self.whole_ms = measure_latency({"whole": self._whole}, seconds=0.3, threads=self._threads)[
            "whole"
        ].p50_ms

    def _load(self, network: nn.Module, name: str) -> Callable[[], object]:
        path = self._folder / f"{name}{self._runtime.suffix}"
        self._runtime.export(network, self._contract, path)
        session = self._runtime.load(path, threads=self._threads)
        return lambda: session.run(self._picture)

    def layer_ms(self) -> dict[str, float]:
        """Milliseconds of each layer of the whole network on ONNX Runtime, which stands for other runtimes as well."""
        path = self._folder / "named.onnx"
        onnxruntime.export(self._network, self._contract, path, names=True)
        names = [name for name, module in self._network.named_modules() if hasattr(module, "weight")]
        profile = profile_file(path, threads=self._threads, runs=15, layers=names)
        found: dict[str, float] = {}
        for node in profile.nodes:
            if node.layer is not None:
                found[node.layer] = found.get(node.layer, 0.0) + node.ms
        return found

    def time(self, network: nn.Module, macs_share: float, told: float, *, longer: float = 1.0) -> LatencyTry:
        """One network beside the whole one; on a busy machine by the processor's time, which others disturb less."""
        runs = {"whole": self._whole, "cut": self._load(network, "cut")}
        figures = measure_latency(runs, seconds=longer * self._seconds, threads=self._threads)
        cut, whole = figures["cut"], figures["whole"]
        busy = self._threads == 1 and bool(cut.flags or whole.flags)
        share = cut.cpu_ms / whole.cpu_ms if busy else compare(cut, whole).ratio
        return LatencyTry(macs_share, told, share, cut.cpu_ms if busy else cut.p50_ms)
