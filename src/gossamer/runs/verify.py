"""Stage 5: the file that ships, judged in the real runtime: the test split once, latency, size, memory, parity."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel

from gossamer._files import sha256
from gossamer.data.bands import open_view
from gossamer.data.check import CheckReport
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.parts import Session
from gossamer.errors import DataError
from gossamer.fit.compression import Compressed
from gossamer.fit.config import FitConfig
from gossamer.fit.folder import RunFolder
from gossamer.fit.reporter import Reporter
from gossamer.fit.training import TrainedNetwork, load_trained
from gossamer.tasks.classify.metrics import accuracy, class_figures, confusion, softmax, wilson_interval
from gossamer.timing.latency import measure_latency
from gossamer.timing.memory import measure_memory

__all__ = ["ClassRow", "Verified", "Worst", "verify"]

_WORST = 24
_PARITY_PICTURES = 16
_THUMBNAIL = 160


class Worst(BaseModel):
    """A test picture the file gets wrong, most confident first."""

    file: str
    label: str
    predicted: str
    score: float
    jpeg_base64: str


class ClassRow(BaseModel):
    """One class on the test split."""

    label: str
    pictures: int
    precision: float
    recall: float
    f1: float


class Verified(BaseModel):
    """What was measured on the file that ships."""

    file: str
    sha256: str
    size_bytes: int
    accuracy: float
    interval: tuple[float, float]
    """95 % interval of the accuracy, from the number of test pictures alone."""
    pictures: int
    confusion: list[list[int]]
    classes: list[ClassRow]
    worst: list[Worst]
    latency: dict[str, Any]
    latency_flags: list[str]
    memory_bytes: int
    model_memory_bytes: int
    parity_max_difference: float
    """Largest difference between torch's scores and the file's, over some validation pictures."""
    parity_agreement: float
    """Share of those pictures on which both name the same class."""
    lost: list[str]


def verify(
    config: FitConfig,
    report: CheckReport,
    network: TrainedNetwork,
    compressed: Compressed,
    metadata: Mapping[str, Any],
    run: RunFolder,
    reporter: Reporter,
) -> Verified:
    """Write the contract into the kept file and measure that file, as it ships."""
    runtime = get_runtime(config.on)
    contract = network.candidate.input_contract()
    shipped = run.path / "export" / f"model{runtime.suffix}"
    shutil.copyfile(run.path / compressed.file, shipped)
    runtime.write_metadata(shipped, metadata)
    session = runtime.load(shipped, threads=config.threads)
    truth, scores, lost = _run_split(session, contract, report, reporter)
    labels = report.dataset.labels
    matrix = confusion(truth.labels, scores.argmax(1), len(labels))
    example = np.zeros(contract.shape, np.float32)
    reporter.line("measuring latency and memory of the file")
    latency = measure_latency(
        {"file": lambda: session.run(example)}, seconds=2.0, rounds=10, threads=config.threads
    )["file"]
    memory = measure_memory(shipped, runtime=config.on, threads=config.threads, shape=contract.shape)
    difference, agreement = _parity(session, contract, report, network, run)
    share = accuracy(matrix)
    return Verified(
        file=shipped.relative_to(run.path).as_posix(),
        sha256=sha256(shipped),
        size_bytes=shipped.stat().st_size,
        accuracy=share,
        interval=wilson_interval(share, len(truth.labels)),
        pictures=len(truth.labels),
        confusion=matrix.tolist(),
        classes=[
            ClassRow(label=label, pictures=f.pictures, precision=f.precision, recall=f.recall, f1=f.f1)
            for label, f in zip(labels, class_figures(matrix), strict=True)
        ],
        worst=_worst(report, truth, scores),
        latency=latency.to_json(),
        latency_flags=list(latency.flags),
        memory_bytes=memory.process_bytes,
        model_memory_bytes=memory.model_bytes,
        parity_max_difference=difference,
        parity_agreement=agreement,
        lost=lost,
    )


class _Truth:
    """The test pictures that could be read."""

    def __init__(self, paths: list[Path], labels: list[int]) -> None:
        self.paths = paths
        self.labels = np.array(labels, np.int64)


def _run_split(
    session: Session, contract: InputContract, report: CheckReport, reporter: Reporter
) -> tuple[_Truth, NDArray[np.float32], list[str]]:
    """Every test picture from its file through the contract and the runtime, as a user's pictures will go."""
    paths: list[Path] = []
    labels: list[int] = []
    rows: list[NDArray[np.float32]] = []
    lost: list[str] = []
    indices = report.split.test
    with reporter.bar("testing the file", len(indices)) as bar:
        for done, index in enumerate(indices, 1):
            sample = report.dataset.samples[index]
            try:
                rows.append(session.run(contract.open(sample.path))[0][0])
            except DataError:
                lost.append(report.dataset.relative(sample))
                continue
            paths.append(sample.path)
            labels.append(sample.label)
            bar.update(done)
    if not rows:
        raise DataError(
            f"no picture of the test split can be read any more in {report.dataset.root}; check the folder"
        )
    return _Truth(paths, labels), np.stack(rows), lost


def _worst(report: CheckReport, truth: _Truth, scores: NDArray[np.float32]) -> list[Worst]:
    shares, predicted = softmax(scores), scores.argmax(1)
    wrong = [i for i in range(len(truth.labels)) if predicted[i] != truth.labels[i]]
    wrong.sort(key=lambda i: (-float(shares[i, predicted[i]]), truth.paths[i]))
    labels = report.dataset.labels
    return [
        Worst(
            file=truth.paths[i].relative_to(report.dataset.root).as_posix(),
            label=labels[int(truth.labels[i])],
            predicted=labels[int(predicted[i])],
            score=float(shares[i, predicted[i]]),
            jpeg_base64=_thumbnail(truth.paths[i], report),
        )
        for i in wrong[:_WORST]
    ]


def _thumbnail(path: Path, report: CheckReport) -> str:
    image = open_view(path, None if report.bands is None else report.bands.names)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()


def _parity(
    session: Session, contract: InputContract, report: CheckReport, network: TrainedNetwork, run: RunFolder
) -> tuple[float, float]:
    module = load_trained(run.path, network, len(report.dataset.labels))
    largest, same, count = 0.0, 0, 0
    for index in report.split.val[:_PARITY_PICTURES]:
        try:
            inputs = contract.open(report.dataset.samples[index].path)
        except DataError:
            continue
        theirs = session.run(inputs)[0]
        with torch.no_grad():
            ours = module(torch.from_numpy(inputs)).numpy()
        largest = max(largest, float(np.abs(ours - theirs).max()))
        same += int(ours.argmax() == theirs.argmax())
        count += 1
    return largest, same / max(count, 1)
