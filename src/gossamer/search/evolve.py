"""Ratios by evolution: CMA-ES (Hansen, 1604.00772) with a diagonal covariance (Ros and Hansen, PPSN 2008).

Ratios are continuous and neighbouring ones score alike, which mutation and crossover of discrete genes do not use; the
diagonal learns in as few evaluations as there are layers, the full matrix only in their square.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gossamer.search.space import Space
from gossamer.search.trials import Found, Tick, Trials

__all__ = ["drive"]

_STEP = 0.2
"""First standard deviation of a share."""


def drive(space: Space, *, evaluations: int, seed: int, tick: Tick | None = None) -> Found:
    """Start at the better of both starts and follow the better half of each generation."""
    trials = Trials(space, evaluations, tick)
    random = np.random.default_rng(seed)
    search = _Evolution(np.array(trials.start.policy), _STEP)
    least = np.array(space.shares(space.least))
    while trials.left:
        children: list[tuple[float, NDArray[np.float64]]] = []
        for _ in range(min(search.size, trials.left)):
            wanted = np.clip(search.draw(random), least, 1.0)
            children.append((trials.policy(wanted.tolist()).score, wanted))
        if len(children) < search.size:
            break
        children.sort(key=lambda each: -each[0])
        search.learn([point for _, point in children])
    return trials.found()


class _Evolution:
    """Mean, step and diagonal; names and defaults as in the tutorial, 1604.00772, table 1."""

    def __init__(self, mean: NDArray[np.float64], step: float) -> None:
        n = len(mean)
        self.mean, self.step, self.variance = mean, step, np.ones(n)
        self.size = 4 + int(3 * math.log(n)) if n > 1 else 4
        half = self.size // 2
        weights = math.log((self.size + 1) / 2) - np.log(np.arange(1, half + 1))
        self._weights = weights / weights.sum()
        mu = 1 / float((self._weights**2).sum())
        self._mu = mu
        self._c_step = (mu + 2) / (n + mu + 5)
        self._damping = 1 + 2 * max(0.0, math.sqrt((mu - 1) / (n + 1)) - 1) + self._c_step
        self._c_path = (4 + mu / n) / (n + 4 + 2 * mu / n)
        rank_one = 2 / ((n + 1.3) ** 2 + mu)
        rank_mu = min(1 - rank_one, 2 * (mu - 2 + 1 / mu) / ((n + 2) ** 2 + mu))
        faster = (n + 2) / 3  # of a diagonal (Ros and Hansen, section 3)
        self._rank_one = min(0.5, rank_one * faster)
        self._rank_mu = min(1 - self._rank_one, rank_mu * faster)
        self._path, self._step_path = np.zeros(n), np.zeros(n)
        self._expected = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))

    def draw(self, random: np.random.Generator) -> NDArray[np.float64]:
        """One child."""
        normal = random.standard_normal(len(self.mean))
        return self.mean + self.step * np.sqrt(self.variance) * normal

    def learn(self, ranked: list[NDArray[np.float64]]) -> None:
        """Move towards the better half of the children, given best first."""
        half = np.stack(ranked[: len(self._weights)])
        moves = (half - self.mean) / self.step
        move = self._weights @ moves
        self.mean = self.mean + self.step * move
        keep = 1 - self._c_step
        self._step_path = keep * self._step_path + math.sqrt(
            self._c_step * (2 - self._c_step) * self._mu
        ) * move / np.sqrt(self.variance)
        length = float(np.linalg.norm(self._step_path)) / self._expected
        self._path = (1 - self._c_path) * self._path + math.sqrt(
            self._c_path * (2 - self._c_path) * self._mu
        ) * move
        self.variance = (
            (1 - self._rank_one - self._rank_mu) * self.variance
            + self._rank_one * self._path**2
            + self._rank_mu * (self._weights @ moves**2)
        )
        self.step *= math.exp(min(1.0, self._c_step / self._damping * (length - 1)))
