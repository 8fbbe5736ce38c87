"""The options of `gossamer fit`."""

from __future__ import annotations

from typing import Literal

from gossamer.runs.config import TrainedConfig
from gossamer.runs.options import config, option
from gossamer.types import Budget

__all__ = ["FitConfig"]

WEEK_MINUTES = 60 * 24 * 7


@config
class FitConfig(TrainedConfig):
    """What the main job was asked for."""

    data: str = option(
        ...,
        "Folder of class folders, a CSV table, or demo:scenes for pictures made in code.",
        positional=True,
    )
    within: str = option(..., 'Budget, e.g. "latency<=5ms, size<=1MB".', group="Goal")
    minutes: float = option(
        20.0, "Time for the whole run.", group="Goal", least=0.05, most=WEEK_MINUTES, example="20"
    )
    max_drop: float = option(
        0.01, "Accuracy a lossy step may cost, e.g. 1%.", group="Goal", share=True, least=0, most=1
    )
    teacher: Literal["auto", "none"] = option(
        "auto", "auto, or none.", group="Training", choices=("auto", "none")
    )

    @property
    def budget(self) -> Budget:
        return Budget.parse(self.within)

    def check(self) -> None:
        """As of every config; and the budget can be understood.

        Raises:
            BudgetError, GossamerError: one line for a person.
        """
        super().check()
        Budget.parse(self.within)
