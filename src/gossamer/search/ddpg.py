"""Deep deterministic policy gradient (Lillicrap et al., 1509.02971) for one share a step, as AMC uses it.

Actor and critic have two hidden layers of 300; targets follow softly; an episode's transitions all carry its reward less
a moving mean (1802.03494, equations 1 and 2, discount 1).
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["Agent"]

_HIDDEN = 300
_BATCH = 64
_MEMORY = 100
"""Episodes that are remembered."""
_FOLLOW = 0.01
_ACTOR_RATE, _CRITIC_RATE = 1e-3, 1e-3
_BASE_DECAY = 0.95


class Agent:
    """Learns which share to keep of a layer from whole episodes."""

    def __init__(self, features: int, seed: int, start: float) -> None:
        """`start` is the share that the untrained actor answers."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._actor, self._critic = _layers(features), _layers(features + 1)
        start = min(max(start, 0.05), 0.95)
        last: Any = self._actor[-1]
        with torch.no_grad():
            last.weight.mul_(0.1)
            last.bias.fill_(float(np.log(start / (1 - start))))
        self._actor_target, self._critic_target = copy.deepcopy(self._actor), copy.deepcopy(self._critic)
        self._actor_steps = torch.optim.Adam(self._actor.parameters(), _ACTOR_RATE)
        self._critic_steps = torch.optim.Adam(self._critic.parameters(), _CRITIC_RATE)
        self._random = np.random.default_rng(seed)
        self._episodes: list[tuple[Tensor, Tensor, Tensor, Tensor, Tensor]] = []
        self._base: float | None = None

    def act(self, state: NDArray[np.float32]) -> float:
        """The share for a state, 0 to 1."""
        with torch.no_grad():
            return float(torch.sigmoid(self._actor(torch.from_numpy(state)[None])))

    def remember(self, states: NDArray[np.float32], actions: NDArray[np.float32], reward: float) -> None:
        """An episode: (T, features) states, (T,) actions, one reward."""
        self._base = reward if self._base is None else _BASE_DECAY * self._base + (1 - _BASE_DECAY) * reward
        now = torch.from_numpy(states)
        after = torch.cat([now[1:], torch.zeros_like(now[:1])])
        more = torch.ones(len(now), 1)
        more[-1] = 0
        self._episodes.append(
            (now, torch.from_numpy(actions)[:, None], torch.full((len(now), 1), reward), after, more)
        )
        self._episodes = self._episodes[-_MEMORY:]

    def learn(self, updates: int) -> None:
        """So many steps of critic and actor on transitions drawn from memory."""
        states, actions, rewards, after, more = (
            torch.cat(each) for each in zip(*self._episodes, strict=True)
        )
        for _ in range(updates):
            drawn = torch.from_numpy(self._random.integers(len(states), size=_BATCH))
            self._step(
                states[drawn], actions[drawn], rewards[drawn] - (self._base or 0.0), after[drawn], more[drawn]
            )

    def _step(self, states: Tensor, actions: Tensor, rewards: Tensor, after: Tensor, more: Tensor) -> None:
        with torch.no_grad():
            next_actions = torch.sigmoid(self._actor_target(after))
            wanted = rewards + more * self._critic_target(torch.cat([after, next_actions], 1))
        loss = (self._critic(torch.cat([states, actions], 1)) - wanted).square().mean()
        _descend(self._critic_steps, loss)
        acted = torch.sigmoid(self._actor(states))
        _descend(self._actor_steps, -self._critic(torch.cat([states, acted], 1)).mean())
        for target, source in ((self._actor_target, self._actor), (self._critic_target, self._critic)):
            for slow, fast in zip(target.parameters(), source.parameters(), strict=True):
                slow.data.lerp_(fast.data, _FOLLOW)


def _layers(features: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 1)
    )


def _descend(steps: torch.optim.Optimizer, loss: Tensor) -> None:
    steps.zero_grad()
    loss.backward()
    steps.step()
