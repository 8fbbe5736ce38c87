"""Batches of mapped pictures: the order is a function of seed and step, so that a resumed run continues it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gossamer.data.cache import Pixels

__all__ = ["Batch", "EvalBatches", "TrainBatches", "ViewBatches"]


class Batch(NamedTuple):
    """One process's part of a step's batch: pictures (B, H, W, bands) uint8 or float32, targets (B, ...)."""

    pictures: Tensor
    targets: Tensor
    whole: int
    """Pictures of the step over all processes."""
    start: int
    """Where this part begins among them."""


class TrainBatches:
    """`chunk` batches from step `first()` on, without end to the data.

    Pass after pass the pictures are shuffled by (seed, pass) and cut into batches of nearly equal size, `batch` at
    most: each picture comes once a pass. With `shares` (N,) they are drawn by these probabilities instead. Of `world`
    processes each takes its part of every batch.
    """

    def __init__(
        self,
        pixels: Pixels,
        targets: NDArray[Any],
        *,
        batch: int,
        chunk: int = 1,
        seed: int,
        first: Callable[[], int],
        shares: NDArray[np.float64] | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._pixels, self._targets = pixels, targets
        self.chunk = chunk
        """Batches until the next validation; may be changed before the first is taken."""
        self._seed, self._first = seed, first
        self._shares, self._rank, self._world = shares, rank, world
        self.steps_per_pass = -(-len(targets) // batch)
        self.seconds = 0.0
        """Spent in gathering pictures so far."""

    def __len__(self) -> int:
        return self.chunk

    def __iter__(self) -> Iterator[Batch]:
        start = self._first()
        done_pass, order = -1, np.zeros(0, np.int64)
        for step in range(start, start + self.chunk):
            began = time.perf_counter()
            this_pass, position = divmod(step, self.steps_per_pass)
            if this_pass != done_pass:
                order, done_pass = self._order(this_pass), this_pass
            low, high = (len(order) * (position + i) // self.steps_per_pass for i in (0, 1))
            first, last = (self._cut(high - low, self._rank + i) for i in (0, 1))
            chosen = order[low + first : low + last]
            batch = Batch(
                torch.from_numpy(self._taken(chosen, step)),
                torch.from_numpy(self._targets[chosen]),
                high - low,
                first,
            )
            self.seconds += time.perf_counter() - began
            yield batch

    def _taken(self, chosen: NDArray[np.int64], step: int) -> NDArray[Any]:
        """The pictures (B, H, W, bands) of these numbers, for a step."""
        return self._pixels[chosen]

    def _cut(self, size: int, rank: int) -> int:
        """Where a process's part of a batch begins: at an even place, so that pairs of neighbours stay together."""
        return min(size, 2 * (-(-size // 2) * rank // self._world))

    def _order(self, this_pass: int) -> NDArray[np.int64]:
        generator = np.random.default_rng([self._seed, this_pass])
        if self._shares is None:
            return generator.permutation(len(self._targets))
        return generator.choice(len(self._targets), len(self._targets), p=self._shares)


class ViewBatches(TrainBatches):
    """Of pictures of which several views were made, (V, N, H, W, C): each is taken in one view, drawn by (seed, step)."""

    def _taken(self, chosen: NDArray[np.int64], step: int) -> NDArray[Any]:
        views = np.random.default_rng([self._seed, step, 1]).integers(len(self._pixels), size=len(chosen))
        taken: NDArray[Any] = self._pixels[views, chosen]
        return taken


class EvalBatches:
    """All pictures in order, in batches of `batch`; of `world` processes each takes every `world`-th picture."""

    def __init__(
        self,
        pixels: Pixels,
        targets: NDArray[Any],
        *,
        batch: int = 64,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._pixels, self._targets, self._batch = pixels, targets, batch
        self._own = np.arange(rank, len(targets), world)

    def __len__(self) -> int:
        return -(-len(self._own) // self._batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self._own), self._batch):
            part = self._own[start : start + self._batch]
            yield torch.from_numpy(self._pixels[part]), torch.from_numpy(self._targets[part])
