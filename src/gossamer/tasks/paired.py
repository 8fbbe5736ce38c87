"""What a lossy network loses of another's headline figure, told from the same pictures, pair by pair (numpy)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gossamer.tasks.intervals import bootstrap_intervals
from gossamer.tasks.task import Outputs, Targets, Task

__all__ = ["AGREEMENT", "Paired", "allowance", "paired"]

AGREEMENT = 0.95
"""Below this share of equal answers a lossy network is another network, however many of them are right."""


def allowance(max_drop: float, pictures: int) -> float:
    """What may be lost of a figure that was measured on so many pictures: one of them more than `max_drop` says.

    A share of few pictures moves in steps that the limit lies between. Nothing may be lost where nothing is allowed.
    """
    return max_drop + 1 / pictures if max_drop > 0 and pictures > 0 else max_drop


@dataclass(frozen=True)
class Paired:
    """Two networks on the same pictures, the second made of the first."""

    drop: float
    """Of the headline figure."""
    interval: tuple[float, float]
    """Of the drop, 95 %."""
    agreement: float
    """How far both answer alike, in the task's headline figure."""
    pictures: int
    lost: int | None = None
    """Pictures that only the first answers rightly, less those that only the second does; None where answers are not
    right or wrong."""

    @property
    def by_chance(self) -> bool:
        """Whether as much is lost now and then between two networks that are equally good."""
        return self.interval[0] <= 0

    @property
    def differs(self) -> bool:
        """Whether the second answers otherwise than the first too often to be called the same network."""
        return self.agreement < AGREEMENT

    @property
    def told(self) -> str:
        """The loss for a person: `2 of 192 pictures lost, within chance`."""
        if self.lost is None:
            loss = f"{100 * self.drop:.1f} points lost on {self.pictures} pictures"
        elif self.lost == 0:
            return f"nothing lost on {self.pictures} pictures" + self._agreement
        else:
            loss = f"{abs(self.lost)} of {self.pictures} pictures {'lost' if self.lost > 0 else 'won'}"
        chance = ", within chance" if self.by_chance else ", beyond chance"
        return loss + (chance if self.drop > 0 else "") + self._agreement

    @property
    def _agreement(self) -> str:
        return f"; only {100 * self.agreement:.1f} % of the answers are the same" if self.differs else ""


def paired(task: Task, before: Outputs, after: Outputs, targets: Targets, labels: Sequence[str]) -> Paired:
    """Both networks' outputs for the same pictures, and what was true.

    Where answers are right or wrong the interval is that of Agresti and Min (2005, Statistics in Medicine 24, section 3):
    Wald's for matched pairs with half a pair added to each cell; for other figures both networks' pictures are drawn
    again together.
    """
    count = len(targets)
    drop = task.worth(before, targets, labels) - task.worth(after, targets, labels)
    agreement = task.agreement(after, before, labels)
    right = task.right(before, targets), task.right(after, targets)
    if right[0] is None or right[1] is None:
        return Paired(
            drop=drop,
            interval=task.drop_interval(before, after, targets, labels)
            or _drawn(task, before, after, targets, labels),
            agreement=agreement,
            pictures=count,
        )
    worse, better = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
    return Paired(
        drop=drop,
        interval=_matched(worse, better, count),
        agreement=agreement,
        pictures=count,
        lost=worse - better,
    )


def _matched(worse: int, better: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of (worse - better) / count."""
    b, c, n = worse + 0.5, better + 0.5, count + 2
    centre = (b - c) / n
    half = z * math.sqrt((b + c) - (b - c) ** 2 / n) / n
    return max(-1.0, centre - half), min(1.0, centre + half)


def _drawn(
    task: Task, before: Outputs, after: Outputs, targets: Targets, labels: Sequence[str]
) -> tuple[float, float]:
    def worth(outputs: Outputs, places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
        return task.worth(tuple(each[places] for each in outputs), targets[places], labels)

    return bootstrap_intervals(
        lambda places: {"drop": worth(before, places) - worth(after, places)}, len(targets)
    )["drop"]
