"""What a file answers to the test pictures, as the pages of compress and export show it: as that of fit and train does."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gossamer.data.check import CheckReport
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.parts import Session
from gossamer.runs.calibration import Calibration, calibration_of
from gossamer.runs.pictures import SplitPictures
from gossamer.runs.verify import Tested, Worst, worst_of
from gossamer.tasks import Outputs, Task

__all__ = ["Answers", "file_answers"]


class Answers(BaseModel):
    """Figures with their 95 % intervals, what the task's page shows, and the worst mistakes."""

    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    pictures: int
    details: dict[str, Any]
    worst: list[Worst]
    calibration: Calibration | None


def file_answers(
    session: Session,
    contract: InputContract,
    report: CheckReport,
    task: Task,
    test: SplitPictures,
    outputs: Outputs,
    temperature: float,
) -> Answers:
    """Of the outputs (N, ...) that a file gave for the test split; the file is asked again about its worst mistakes."""
    dataset, lost = report.dataset, set(test.lost)
    samples = [dataset.samples[i] for i in report.split.test]
    paths = [sample.path for sample in samples if dataset.relative(sample) not in lost]
    score = task.score(dataset.labels)
    score.update(outputs, test.targets)
    known = score.figures()
    tested = Tested(paths, test.targets, outputs, test.lost)
    return Answers(
        figures={each.name: known[each.name] for each in task.criteria},
        intervals=score.intervals(),
        pictures=len(paths),
        details=task.details(score, outputs, test.targets, dataset.labels),
        worst=worst_of(session, contract, report, task, tested, temperature),
        calibration=calibration_of(task, outputs, test.targets, temperature),
    )
