"""AMC: an agent walks the network and says of each layer what share to keep (He et al., 1802.03494).

An episode is one walk. The agent's share is disturbed by truncated normal noise, clipped such that the budget can still
be met (the action wall), and the whole walk is rewarded by the score. What the agent remembers are the shares that were
measured, after the last percent was filled.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from gossamer.search.ddpg import Agent
from gossamer.search.space import Counts, Space, States
from gossamer.search.trials import Found, Tick, Trials

__all__ = ["drive"]

_NOISE, _LAST_NOISE = 0.5, 0.05
_WARM_UP = 0.25
"""Share of the evaluations that is spent on random walks: the paper's 100 of 400."""


def drive(space: Space, states: States, *, evaluations: int, seed: int, tick: Tick | None = None) -> Found:
    """Walk by `states`: random walks first, then the agent's, with noise that decays to a tenth by the last."""
    trials = Trials(space, evaluations, tick)
    random = np.random.default_rng(seed)
    agent = Agent(len(states.at(())), seed, float(np.mean(trials.start.policy)))
    _remember(agent, states, space, trials.start.counts, trials.start.score)
    warm = max(1, round(_WARM_UP * evaluations))
    decay = (_LAST_NOISE / _NOISE) ** (1 / max(1, evaluations - warm))
    episode = 0
    while trials.left:
        noise = _NOISE * decay ** max(0, episode - warm)
        tried = trials.take(_walk(space, states, agent, noise, random))
        _remember(agent, states, space, tried.counts, tried.score)
        episode += 1
        if episode >= warm:
            agent.learn(len(space.layers))
    return trials.found()


def _walk(space: Space, states: States, agent: Agent, noise: float, random: np.random.Generator) -> Counts:
    """One episode's counts, filled to the budget."""
    counts: list[int] = []
    for number in range(len(space.layers)):
        least = space.least[number] / space.whole[number]
        share = _disturbed(agent.act(states.at(counts)), noise, least, random)
        counts.append(space.wall(counts, share))
    return space.settle(space.shares(tuple(counts)))


def _disturbed(mean: float, noise: float, least: float, random: np.random.Generator) -> float:
    """A draw of the normal distribution around a share, truncated to what a layer can keep."""
    normal = NormalDist(min(max(mean, least), 1.0), noise)
    low, high = normal.cdf(least), normal.cdf(1.0)
    return normal.inv_cdf(low + (high - low) * float(random.uniform(1e-6, 1 - 1e-6)))


def _remember(agent: Agent, states: States, space: Space, counts: Counts, score: float) -> None:
    seen = np.stack([states.at(counts[:number]) for number in range(len(counts))])
    agent.remember(seen, np.array(space.shares(counts), np.float32), score)
