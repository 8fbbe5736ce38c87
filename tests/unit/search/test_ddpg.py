"""The agent learns which share is rewarded."""

from __future__ import annotations

import numpy as np
import torch

from gossamer.search.ddpg import Agent

STATES = np.array([[1, 0], [0, 1]], np.float32)


def _trained(seed):
    agent, random = Agent(2, seed, 0.5), np.random.default_rng(seed)
    for _ in range(40):
        actions = random.uniform(0.1, 1, 2).astype(np.float32)
        agent.remember(STATES, actions, float(actions[0] - actions[1]))
        agent.learn(4)
    return [agent.act(state) for state in STATES]


def test_it_starts_at_the_share_given_and_learns_what_is_rewarded():
    assert abs(Agent(2, 0, 0.7).act(STATES[0]) - 0.7) < 0.1
    first, second = _trained(0)
    assert first > second + 0.3


def test_it_repeats_itself_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    assert _trained(3) == _trained(3)
    assert torch.equal(torch.get_rng_state(), before)
