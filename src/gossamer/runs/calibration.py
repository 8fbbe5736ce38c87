"""How sure the file that ships may say it is: a temperature from the validation split, its worth on the test split."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel

from gossamer.data.check import CheckReport
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.parts import Session
from gossamer.deploy.temperature import cooled
from gossamer.runs.folder import RunFolder
from gossamer.runs.pictures import answers_of, split_pictures
from gossamer.runs.reporter import Reporter
from gossamer.tasks import Outputs, Task
from gossamer.tasks.classify.calibration import BINS
from gossamer.tasks.task import Targets

__all__ = ["Calibration", "calibration_of", "has_shares", "validated_temperature"]

_MOST_PICTURES = 1_000
"""One number is known well from so many."""


class Calibration(BaseModel):
    """The expected calibration error on the test split, by Guo et al. (ICML 2017, 1706.04599, equation 3)."""

    temperature: float
    """What scores are divided by, from the validation split."""
    ece: float
    ece_before: float
    """At temperature 1."""
    bins: int = BINS

    @property
    def told(self) -> str:
        """For a person, after the error itself."""
        return (
            f"expected, over {self.bins} bins (Guo et al. 2017); {100 * self.ece_before:.1f} % before scores were divided "
            f"by the temperature {self.temperature:.3g}, found on validation"
        )


def has_shares(task: Task, labels: int) -> bool:
    """Whether outputs of the task are shares of one choice, which can be too sure."""
    return task.shares((np.zeros((1, labels), np.float32),)) is not None


def validated_temperature(
    session: Session,
    contract: InputContract,
    report: CheckReport,
    task: Task,
    run: RunFolder,
    reporter: Reporter,
) -> float:
    """The temperature of a file from what it says of up to 1,000 validation pictures; 1 where the task has none."""
    if not has_shares(task, len(report.dataset.labels)) or not report.split.val:
        return 1.0
    pixels, targets, *_ = split_pictures(report, "val", contract, run, reporter)
    step = -(-len(pixels) // _MOST_PICTURES)
    outputs = answers_of(session, contract, task, pixels[::step], reporter, "calibrating scores")
    return task.temperature(outputs, targets[::step])


def calibration_of(task: Task, outputs: Outputs, targets: Targets, temperature: float) -> Calibration | None:
    """What a temperature is worth on the test split; None where the task has no shares."""
    before = task.calibration_error(outputs, targets)
    after = task.calibration_error(cooled(outputs, temperature), targets)
    if before is None or after is None:
        return None
    return Calibration(temperature=temperature, ece=after, ece_before=before)
