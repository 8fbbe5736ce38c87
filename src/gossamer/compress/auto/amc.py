"""AMC: an agent walks the network and says of each layer what share to keep (He et al., 1802.03494).

An episode is one walk. The agent's share is disturbed by truncated normal noise, clipped such that the budget can still
be met (the action wall), and the whole walk is rewarded by the score. What the agent remembers are the shares that were
measured, after the last percent was filled.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from gossamer.compress.auto.ddpg import Agent
from gossamer.compress.auto.environment import Counts, Environment
from gossamer.compress.auto.states import FEATURES, States
from gossamer.compress.auto.trials import Found, Tick, Trials

__all__ = ["drive"]

_NOISE, _LAST_NOISE = 0.5, 0.05
_WARM_UP = 0.25
"""Share of the evaluations that is spent on random walks: the paper's 100 of 400."""


def drive(environment: Environment, *, evaluations: int, seed: int, tick: Tick | None = None) -> Found:
    """Random walks first, then the agent's, with noise that decays to a tenth by the last."""
    trials = Trials(environment, evaluations, tick)
    random = np.random.default_rng(seed)
    states = States(environment)
    agent = Agent(len(FEATURES), seed, float(np.mean(trials.start.policy)))
    _remember(agent, states, environment, trials.start.counts, trials.start.score)
    warm = max(1, round(_WARM_UP * evaluations))
    decay = (_LAST_NOISE / _NOISE) ** (1 / max(1, evaluations - warm))
    episode = 0
    while trials.left:
        noise = _NOISE * decay ** max(0, episode - warm)
        tried = trials.take(_walk(environment, states, agent, noise, random))
        _remember(agent, states, environment, tried.counts, tried.score)
        episode += 1
        if episode >= warm:
            agent.learn(len(environment.layers))
    return trials.found()


def _walk(
    environment: Environment, states: States, agent: Agent, noise: float, random: np.random.Generator
) -> Counts:
    """One episode's counts, filled to the budget."""
    counts: list[int] = []
    for number in range(len(environment.layers)):
        least = environment.least[number] / environment.whole[number]
        share = _disturbed(agent.act(states.at(counts)), noise, least, random)
        counts.append(environment.wall(counts, share))
    return environment.settle(environment.shares(tuple(counts)))


def _disturbed(mean: float, noise: float, least: float, random: np.random.Generator) -> float:
    """A draw of the normal distribution around a share, truncated to what a layer can keep."""
    normal = NormalDist(min(max(mean, least), 1.0), noise)
    low, high = normal.cdf(least), normal.cdf(1.0)
    return normal.inv_cdf(low + (high - low) * float(random.uniform(1e-6, 1 - 1e-6)))


def _remember(agent: Agent, states: States, environment: Environment, counts: Counts, score: float) -> None:
    seen = np.stack([states.at(counts[:number]) for number in range(len(counts))])
    agent.remember(seen, np.array(environment.shares(counts), np.float32), score)
