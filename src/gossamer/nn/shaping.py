"""What moves weights between the steps of a training, beside gradients: sparsity, schedules of quantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import nn

__all__ = ["Shaping", "Together"]


class Shaping(Protocol):
    """Is called after every step. All it has to remember lies in the network's weights and buffers.

    So a training that was killed goes on as if it had not been: there is no other state to keep.
    """

    @property
    def settled(self) -> float:
        """The progress from which on the network is what it is to become: no validation before that may be kept."""

    def after_step(self, network: nn.Module, average: nn.Module, progress: float, rate: float) -> None:
        """Change in place the network, and its moving average, which is what is validated and kept.

        `progress` is 0 to 1 through the schedule, `rate` the largest learning rate of the step.
        """


@dataclass(frozen=True)
class Together:
    """Several schedules, in order."""

    parts: tuple[Shaping, ...]

    @property
    def settled(self) -> float:
        """When the last of them is."""
        return max((part.settled for part in self.parts), default=0.0)

    def after_step(self, network: nn.Module, average: nn.Module, progress: float, rate: float) -> None:
        """Each in its turn."""
        for part in self.parts:
            part.after_step(network, average, progress, rate)
