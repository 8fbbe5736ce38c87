"""Batches of mapped pictures: the order is a function of seed and step, so that a resumed run continues it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["EvalBatches", "TrainBatches"]


class TrainBatches:
    """`chunk` batches (pictures (B, H, W, 3) uint8, labels (B,)) from step `first()` on, without end to the data.

    Pass after pass the pictures are shuffled by (seed, pass); a pass's last, smaller batch is left out where a whole
    one exists.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.int64],
        *,
        batch: int,
        chunk: int,
        seed: int,
        first: Callable[[], int],
    ) -> None:
        self._pixels, self._labels = pixels, labels
        self._batch = min(batch, len(labels))
        self._chunk, self._seed, self._first = chunk, seed, first
        self.steps_per_pass = max(1, len(labels) // self._batch)

    def __len__(self) -> int:
        return self._chunk

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        start = self._first()
        done_pass, order = -1, np.zeros(0, np.int64)
        for step in range(start, start + self._chunk):
            this_pass, position = divmod(step, self.steps_per_pass)
            if this_pass != done_pass:
                order = np.random.default_rng([self._seed, this_pass]).permutation(len(self._labels))
                done_pass = this_pass
            chosen = order[position * self._batch : (position + 1) * self._batch]
            yield torch.from_numpy(self._pixels[chosen]), torch.from_numpy(self._labels[chosen])


class EvalBatches:
    """All pictures in order, in batches of `batch`."""

    def __init__(self, pixels: NDArray[np.uint8], labels: NDArray[np.int64], *, batch: int = 64) -> None:
        self._pixels, self._labels, self._batch = pixels, labels, batch

    def __len__(self) -> int:
        return -(-len(self._labels) // self._batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self._labels), self._batch):
            part = slice(start, start + self._batch)
            yield torch.from_numpy(np.array(self._pixels[part])), torch.from_numpy(self._labels[part])
