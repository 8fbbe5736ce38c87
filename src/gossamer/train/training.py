"""What a training is and how it stands: values, no loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import nn

from gossamer.data.bands import Bands
from gossamer.data.cache import Pixels
from gossamer.deploy.contract import InputContract
from gossamer.nn.shaping import Shaping
from gossamer.tasks import Task, get_task
from gossamer.train.objective import TrainingObjective, objective_of
from gossamer.train.processes import Processes
from gossamer.train.recipe import Recipe
from gossamer.train.teachers import Teaching

__all__ = ["Pictures", "Point", "Pulse", "Seconds", "Steps", "TrainResult", "Training"]


@dataclass(frozen=True)
class Steps:
    """A run of so many batches: nothing in it depends on the clock."""

    count: int


@dataclass(frozen=True)
class Seconds:
    """A run of so many seconds of training."""

    count: float


@dataclass(frozen=True)
class Pictures:
    """Training and validation pictures of one size, (N, H, W, bands), with targets (N, ...) as the task's `array` makes them."""

    train: Pixels
    train_targets: NDArray[Any]
    val: Pixels
    val_targets: NDArray[Any]
    bands: Bands | None = None
    """What values mean that are not red, green and blue of 0 to 255."""


@dataclass(frozen=True)
class Point:
    """One validation."""

    seconds: float
    passes: float
    train_loss: float
    val_loss: float
    val_score: float
    """The headline figure of the task."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """All figures of the task by name."""

    def worth(self, metric: str = "") -> tuple[float, float]:
        """Larger is better: of the headline figure by default, else of one that is larger where it is better, or of the
        `loss`; the loss decides between equals."""
        value = {"": self.val_score, "loss": -self.val_loss, **self.figures}[metric]
        return value, -self.val_loss


@dataclass(frozen=True)
class Pulse:
    """How a running training stands, a few times a second at most: for progress bars."""

    seconds: float
    steps: int
    passes: float
    pictures_per_second: float
    loss: float
    val_score: float | None
    loader_share: float
    """Of the time, spent in gathering pictures."""


@dataclass(frozen=True)
class Training:
    """One network's training as a whole, of which `train_until` does a piece."""

    network: nn.Module
    contract: InputContract
    recipe: Recipe
    pictures: Pictures
    folder: Path
    """Checkpoints and logs."""
    length: Seconds | Steps
    """Of the whole schedule."""
    decay_from: float = 0.0
    """Share of the schedule after which the rate falls."""
    seed: int = 0
    task: Task = field(default_factory=lambda: get_task("classify"))
    labels: tuple[str, ...] = ()
    """Names of the numbers that the network gives; without them there are as many as the largest class says."""
    teaching: Teaching | None = None
    shaping: Shaping | None = None
    """What moves weights after each step."""
    threads: int = 1
    metric: str = ""
    """What the best weights are chosen by, as `Point.worth` takes it."""
    prepared: bool = False
    """Whether the network takes what `pictures` hold as it is: maps in several views, (V, N, H, W, C) to train on and
    (M, H, W, C) to validate on."""
    processes: Processes = field(default_factory=Processes)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the numbers that the network gives: the labels, else the numbers of classes."""
        targets = (self.pictures.train_targets, self.pictures.val_targets)
        return self.labels or tuple(
            str(i) for i in range(1 + max(int(each.max(initial=0)) for each in targets))
        )

    @property
    def objective(self) -> TrainingObjective:
        """What the task trains by."""
        return objective_of(self.task.name)


@dataclass
class TrainResult:
    """Where a training stands: the curve so far and the best validation."""

    seconds: float = 0.0
    steps: int = 0
    skipped: float = 0.0
    """Of the schedule, in its unit: what a plateau left out by going straight to the last fifth of the decay."""
    points: list[Point] = field(default_factory=list)
    best_at: int = 0
    """Which of the points is the best."""
    counts_from: int | None = None
    """Of a shaped training, the first point at which the network was what it is to become; the best is no earlier."""
    halvings: int = 0
    """How often the batch was halved for want of memory."""

    @property
    def best(self) -> Point:
        """The best validation; there is one in every result of `train_until`."""
        return self.points[self.best_at]

    @property
    def best_score(self) -> float:
        """The headline figure of the best validation, 0 before the first."""
        return self.best.val_score if self.points else 0.0

    @property
    def stopped_early(self) -> bool:
        """Whether a plateau shortened the schedule."""
        return self.skipped > 0

    def position(self, length: Seconds | Steps) -> float:
        """How far into the schedule, in its unit."""
        return (self.seconds if isinstance(length, Seconds) else self.steps) + self.skipped

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> TrainResult:
        """Read what `to_json` wrote."""
        return cls(**{**document, "points": [Point(**point) for point in document["points"]]})
