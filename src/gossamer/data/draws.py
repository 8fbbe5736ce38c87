"""Random numbers of one step: drawn for the whole batch, of which each process takes its part."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["Draws"]


class Draws:
    """Draws for the pictures `part` of a batch of `whole`; `generator` is on the CPU and set from (seed, step).

    Every process makes the same draws, so that the parts put together are what one process would have drawn. Numbers
    land on the device of the tensor that is given as `like`.
    """

    def __init__(self, generator: torch.Generator, whole: int, part: slice) -> None:
        self.generator = generator
        self.whole = whole
        self.start, self.stop, _ = part.indices(whole)

    @classmethod
    def whole_batch(cls, generator: torch.Generator, count: int) -> Draws:
        """Draws of a process that has all `count` pictures."""
        return cls(generator, count, slice(0, count))

    def __len__(self) -> int:
        return self.stop - self.start

    def uniform(self, low: float, high: float, like: Tensor) -> Tensor:
        """A number from [low, high) for each picture of the part, (B,) float32."""
        return self._part(torch.rand(self.whole, generator=self.generator) * (high - low) + low, like)

    def normal(self, mean: float, std: float, like: Tensor) -> Tensor:
        """A normally distributed number for each picture of the part, (B,) float32."""
        return self._part(torch.randn(self.whole, generator=self.generator) * std + mean, like)

    def integers(self, n: int, like: Tensor) -> Tensor:
        """A whole number of 0 to n - 1 for each picture of the part, (B,) int64."""
        return self._part(torch.randint(n, (self.whole,), generator=self.generator), like)

    def beta(self, alpha: float, like: Tensor) -> Tensor:
        """One number from Beta(alpha, alpha) for the whole batch, () float32."""
        seed = int(torch.randint(2**63 - 1, (), generator=self.generator))
        drawn = np.random.default_rng(seed).beta(alpha, alpha)
        return torch.tensor(drawn, dtype=torch.float32, device=like.device)

    def shared(self, low: float, high: float) -> float:
        """One number from [low, high) for the whole batch."""
        return float(torch.rand((), generator=self.generator)) * (high - low) + low

    def permutation_pairs(self) -> Tensor:
        """The place within the part of each picture's partner, (B,) int64 on the CPU: that of its pair in the batch.

        Pictures 0 and 1 of the whole batch are a pair, 2 and 3, and so on. Nothing is drawn: the order of a batch is
        shuffled already. A picture whose partner lies in another part is its own partner, so several processes pair
        as one does where the parts are of even size.
        """
        own = torch.arange(self.start, self.stop)
        partner = own ^ 1
        there = (partner >= self.start) & (partner < self.stop)
        return torch.where(there, partner, own) - self.start

    def _part(self, drawn: Tensor, like: Tensor) -> Tensor:
        return drawn[self.start : self.stop].to(like.device)
