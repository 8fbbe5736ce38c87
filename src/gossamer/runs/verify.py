"""The file that ships, judged in the real runtime: the test split once, latency, size, memory, parity."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import nn

from gossamer._files import sha256
from gossamer.data.bands import open_view
from gossamer.data.check import CheckReport
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.parts import Session
from gossamer.deploy.temperature import cooled
from gossamer.errors import DataError
from gossamer.nn.modes import said_by
from gossamer.runs.calibration import Calibration, calibration_of, validated_temperature
from gossamer.runs.config import RuntimeConfig
from gossamer.runs.folder import RunFolder
from gossamer.runs.pictures import together
from gossamer.runs.reporter import Reporter
from gossamer.runs.saliency import Occlusion, jpeg, view_of_input
from gossamer.tasks import Frame, Outputs, Task, get_task
from gossamer.timing.latency import measure_latency
from gossamer.timing.memory import measure_memory

__all__ = ["Tested", "Verified", "Worst", "verify", "worst_of"]

_WORST = 24
_PARITY_PICTURES = 16
_THUMBNAIL = 160
_DRAWN = 400
_OCCLUSION_SECONDS = 10.0


class Worst(BaseModel):
    """A test picture the file gets wrong, worst first."""

    file: str
    label: str
    predicted: str
    score: float
    jpeg_base64: str
    saliency_base64: str = ""
    """What the network sees, dark where hiding it changes little; empty where nothing was looked for."""


class Verified(BaseModel):
    """What was measured on the file that ships."""

    file: str
    sha256: str
    size_bytes: int
    figures: dict[str, float]
    """Every criterion of the task on the test split."""
    intervals: dict[str, tuple[float, float]]
    """95 % intervals of them, from the number of test pictures alone."""
    headline: str
    """Which of them networks are compared by."""
    pictures: int
    details: dict[str, Any]
    """What the task's page shows: confusion, classes, points."""
    worst: list[Worst]
    latency: dict[str, Any]
    latency_flags: list[str]
    memory_bytes: int
    model_memory_bytes: int
    parity_max_difference: float
    """Largest difference between torch's outputs and the file's, over some validation pictures."""
    parity_agreement: float
    """How far both answer those pictures alike."""
    lost: list[str]
    calibration: Calibration | None = None

    @property
    def temperature(self) -> float:
        """What scores of the file are divided by before shares are told from them."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    @property
    def score(self) -> float:
        """The headline figure."""
        return self.figures[self.headline]

    @property
    def interval(self) -> tuple[float, float]:
        """Of the headline figure."""
        return self.intervals[self.headline]

    def measured(self) -> dict[str, Any]:
        """As a bundle keeps it: the figures by their names, `interval` that of the first."""
        document = self.model_dump(exclude={"worst", "figures", "headline", "details"})
        details = {key: value for key, value in self.details.items() if key != "lines"}  # of the page alone
        return {**self.figures, "interval": self.interval, **document, **details}


def verify(
    config: RuntimeConfig,
    report: CheckReport,
    module: nn.Module,
    contract: InputContract,
    kept: Path,
    metadata: Mapping[str, Any],
    run: RunFolder,
    reporter: Reporter,
    *,
    held_out: Path | None = None,
) -> Verified:
    """Write the contract into the `kept` file and measure that file, as it ships, beside the network it is of.

    Its temperature is found on the validation split, by `held_out` where the file itself was trained on that.
    """
    runtime, task = get_runtime(config.on), get_task(report.dataset.task)
    shipped = run.path / "export" / f"model{runtime.suffix}"
    shipped.parent.mkdir(exist_ok=True)
    shutil.copyfile(kept, shipped)
    asked = runtime.load(held_out or shipped, threads=config.threads)
    temperature = validated_temperature(asked, contract, report, task, run, reporter)
    runtime.write_metadata(shipped, {**metadata, "temperature": temperature})
    session = runtime.load(shipped, threads=config.threads)
    tested = _run_split(session, contract, report, task, reporter)
    labels = report.dataset.labels
    score = task.score(labels)
    score.update(tested.outputs, tested.targets)
    figures = score.figures()
    example = np.zeros(contract.shape, np.float32)
    reporter.line("measuring latency and memory of the file")
    latency = measure_latency(
        {"file": lambda: session.run(example)}, seconds=2.0, rounds=10, threads=config.threads
    )["file"]
    memory = measure_memory(shipped, runtime=config.on, threads=config.threads, shape=contract.shape)
    difference, agreement = _parity(session, contract, report, task, module)
    return Verified(
        file=shipped.relative_to(run.path).as_posix(),
        sha256=sha256(shipped),
        size_bytes=shipped.stat().st_size,
        figures={each.name: figures[each.name] for each in task.criteria},
        intervals=score.intervals(),
        headline=task.headline.name,
        pictures=len(tested.paths),
        details=task.details(score, tested.outputs, tested.targets, labels),
        worst=worst_of(session, contract, report, task, tested, temperature),
        latency=latency.to_json(),
        latency_flags=list(latency.flags),
        memory_bytes=memory.process_bytes,
        model_memory_bytes=memory.model_bytes,
        parity_max_difference=difference,
        parity_agreement=agreement,
        lost=tested.lost,
        calibration=calibration_of(task, tested.outputs, tested.targets, temperature),
    )


class Tested(NamedTuple):
    """The test pictures that could be read, their targets and what the file said of them."""

    paths: list[Path]
    targets: NDArray[Any]
    outputs: Outputs
    lost: list[str]


def _run_split(
    session: Session, contract: InputContract, report: CheckReport, task: Task, reporter: Reporter
) -> Tested:
    """Every test picture from its file through the contract and the runtime, as a user's pictures will go."""
    dataset = report.dataset
    paths: list[Path] = []
    targets: list[Any] = []
    rows: list[Outputs] = []
    frames: list[Frame] = []
    lost: list[str] = []
    indices = report.split.test
    with reporter.bar("testing the file", len(indices)) as bar:
        for done, index in enumerate(indices, 1):
            sample = dataset.samples[index]
            try:
                opened = contract.framed(sample.path)
                rows.append(task.condensed(session.run(opened.values)))
            except DataError:
                lost.append(dataset.relative(sample))
                continue
            paths.append(sample.path)
            targets.append(sample.target)
            frames.append(opened.frame)
            bar.update(done)
    if not rows:
        raise DataError(
            f"no picture of the test split can be read any more in {dataset.root}; check the folder"
        )
    placed = task.place(
        targets, [frame.picture for frame in frames], [frame.transform for frame in frames], contract.size
    )
    return Tested(paths, task.array(placed, dataset.labels), together(rows), lost)


def worst_of(
    session: Session,
    contract: InputContract,
    report: CheckReport,
    task: Task,
    tested: Tested,
    temperature: float,
) -> list[Worst]:
    """The worst mistakes among the test pictures, and where the file looked in them."""
    mistakes = task.mistakes(cooled(tested.outputs, temperature), tested.targets, report.dataset.labels)
    mistakes.sort(key=lambda each: (-each.score, tested.paths[each.index]))
    occlusion = Occlusion(session, contract, task, temperature=temperature, seconds=_OCCLUSION_SECONDS)
    return [
        Worst(
            file=tested.paths[each.index].relative_to(report.dataset.root).as_posix(),
            label=each.truth,
            predicted=each.said,
            score=each.score,
            jpeg_base64=_pictured(taken, contract, report, task, tested, each.index),
            saliency_base64=occlusion.picture(taken, _THUMBNAIL),
        )
        for each in mistakes[:_WORST]
        for taken in [contract.open(tested.paths[each.index])]
    ]


def _pictured(
    taken: NDArray[np.float32],
    contract: InputContract,
    report: CheckReport,
    task: Task,
    tested: Tested,
    index: int,
) -> str:
    """A test picture, `taken` as the network takes it, as the page shows it: with what is said drawn in where answers have places."""
    path, labels = tested.paths[index], report.dataset.labels
    view = view_of_input(taken, contract)
    outputs = tuple(output[index : index + 1] for output in tested.outputs)
    shown = task.pictured(view, outputs, tested.targets[index], labels)
    return _thumbnail(path, report) if shown is None else jpeg(shown, _DRAWN)


def _thumbnail(path: Path, report: CheckReport) -> str:
    image = open_view(path, None if report.bands is None else report.bands.names, report.value_range)
    return jpeg(image, _THUMBNAIL)


def _parity(
    session: Session, contract: InputContract, report: CheckReport, task: Task, module: nn.Module
) -> tuple[float, float]:
    """(largest difference, agreement) of the file and its network on some validation pictures."""
    ours: list[Outputs] = []
    theirs: list[Outputs] = []
    for index in report.split.val[:_PARITY_PICTURES]:
        try:
            inputs = contract.open(report.dataset.samples[index].path)
        except DataError:
            continue
        ours.append(session.run(inputs))
        theirs.append(said_by(module, torch.from_numpy(inputs)))
    if not ours:
        return 0.0, 0.0
    file, network = together(ours), together(theirs)
    largest = max(float(np.abs(a - b).max()) for a, b in zip(file, network, strict=True))
    return largest, task.agreement(file, network, report.dataset.labels)
