"""What a compression method is: it proposes, in parts, and applies. The table of methods stands in `methods`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import nn

from gossamer.compress.prune.scores import Batches
from gossamer.nn.objective import CLASS_SCORES, Objective
from gossamer.nn.shaping import Shaping

__all__ = ["Method", "Metric", "Plan", "Proposal", "TrainedMethod", "Work"]

Metric = Callable[[nn.Module], float]


class Plan(Protocol):
    """A structural edit as data, that `build` can replay."""

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object with the key `edit`."""


@dataclass(frozen=True)
class Work:
    """What a method may look at: the input's shape, pictures, a metric on others, the runtime that counts."""

    shape: tuple[int, ...]
    """(1, bands, H, W)."""
    batches: Batches = ()
    """Normalised pictures that the methods calibrate on."""
    metric: Metric | None = None
    """On pictures that the methods do not see; the larger the better, 0 to 1."""
    on: str = "onnxruntime"
    threads: int = 1
    seed: int = 0
    objective: Objective = CLASS_SCORES
    """What the network's outputs stand for."""
    trains: bool = False
    """Whether training follows, so that what a method takes away may go step by step."""
    thorough: bool = True
    """Whether a result is kept: tries that are only compared may be repaired in a quicker way."""
    tell: Callable[[str], None] = field(default=lambda _line: None)
    """Takes a line on how long work stands."""


@dataclass(frozen=True)
class Proposal:
    """What would be done: parts by name, a plan for any of them, and lines about it for a person."""

    parts: tuple[str, ...]
    plan: Callable[[Sequence[str]], Plan]
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Method(Protocol):
    """A compression method with its settings."""

    name: str

    def propose(self, network: nn.Module, work: Work) -> Proposal:
        """Choose, without touching the network.

        Raises:
            GossamerError, ModelError: settings or a network that the method cannot work with.
        """

    def apply(self, network: nn.Module, plan: Plan, work: Work) -> nn.Module:
        """A new network; the one given is left as it is."""

    def read(self, document: Mapping[str, Any]) -> Plan:
        """The plan that `to_json` wrote."""

    def milder(self, share: float) -> Method:
        """The same method that takes away only this share of what it would."""


@runtime_checkable
class TrainedMethod(Method, Protocol):
    """A method whose network is only good after training, during which its weights are shaped."""

    def shaping(self, network: nn.Module, plan: Plan) -> Shaping | None:
        """What works on the network that `apply` gave, after each step."""
