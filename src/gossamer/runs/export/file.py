"""One exported file: made, guarded against the fp32 file of its own runtime, measured beside it, judged as it ships."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel

from gossamer._files import sha256
from gossamer.data.cache import Pixels
from gossamer.data.check import CheckReport
from gossamer.deploy.file_metadata import file_metadata
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.convert import convert
from gossamer.deploy.runtimes.parts import Session
from gossamer.errors import ModelError
from gossamer.nn.modes import said_by
from gossamer.runs.answers import Answers, file_answers
from gossamer.runs.calibration import has_shares
from gossamer.runs.choice import decide, float_operators, measure_together
from gossamer.runs.export.bytes_file import RUNTIME, write_bytes_file
from gossamer.runs.export.config import ExportConfig, Target
from gossamer.runs.export.ended import end_file
from gossamer.runs.folder import RunFolder
from gossamer.runs.int8 import Inputs, calibration_inputs, int8_files
from gossamer.runs.judge import Judge
from gossamer.runs.model import Model
from gossamer.runs.pictures import answers_of, split_pictures
from gossamer.runs.reporter import Reporter
from gossamer.tasks import Ending, Outputs
from gossamer.tasks.paired import Paired, allowance, paired
from gossamer.timing.latency import compare
from gossamer.types import within

__all__ = ["Exported", "FileJudge", "Files", "Tried"]

PARITY = 1e-3
"""Scores of an fp32 file may differ from the network's by this share of the largest: other kernels add in another order."""
_SECONDS = 1.0


class Tried(BaseModel):
    """One way to make the file, and what it lost on the validation split."""

    setting: str
    drop: float
    told: str = ""
    """The loss picture by picture, for a person."""


class Exported(BaseModel):
    """One file of the bundle, as it ships."""

    runtime: str
    precision: str
    setting: str
    file: str
    """Below the run folder."""
    sha256: str
    size_bytes: int
    latency: dict[str, Any]
    size_ratio: float
    """Over the fp32 file of the same runtime, as `latency_ratio`."""
    latency_ratio: float
    difference: float | None
    """Of an fp32 file's scores from the network's, as a share of the largest."""
    drop: float | None
    """What is lost of the fp32 file's score on the validation split; None without pictures."""
    test: float | None
    """The score on the test split."""
    verdict: str
    tried: list[Tried]
    met: bool
    temperature: float = 1.0
    """What its scores are divided by before shares are told from them: from validation pictures, or the bundle's it is of."""
    uint8: str = ""
    """The file beside it that takes bytes, below the run folder."""
    uint8_difference: float | None = None
    """Of that file's shares from this one's, on noise."""
    ending: str = ""
    """What the file does in its graph so that nobody has to do it after it, as its metadata tell it."""
    plain_ms: float | None = None
    """Median latency of the file without that, in the same rounds."""
    ending_difference: float | None = None
    """Of what it gives from what the task makes of the file without it: on the test pictures, on noise where there are none."""


class FileJudge:
    """Scores files picture by picture against the data, or against what the network says where its labels are others."""

    def __init__(
        self, judge: Judge, report: CheckReport, config: ExportConfig, run: RunFolder, reporter: Reporter
    ) -> None:
        self._contract, self._threads, self._reporter = judge.contract, config.threads, reporter
        self._report, self.labelled = report, judge.labelled
        test = self._test = split_pictures(report, "test", judge.contract, run, reporter)
        self._splits: dict[str, tuple[Pixels, NDArray[Any]]] = {
            "val": (judge.val.pixels, judge.truth_of(judge.val)),
            "test": (test.pixels, judge.truth_of(test)),
        }
        self._train, self._seed = judge.train.pixels, config.seed
        self.what, self.task, self._labels = judge.what, judge.task, judge.labels
        self._exact: dict[Path, Outputs] = {}
        self.allowed = allowance(config.max_drop, len(judge.val.targets))
        """What a file may lose."""

    @property
    def calibration(self) -> Inputs:
        """What int8 is calibrated on; prepared when it is asked for."""
        return calibration_inputs(self._train, self._contract, self._seed)

    def score(self, runtime: str, path: Path, split: Literal["val", "test"] = "val") -> float:
        """The task's headline figure of the file itself, on its runtime."""
        return self.task.worth(self.outputs(runtime, path, split), self._splits[split][1], self._labels)

    def outputs(self, runtime: str, path: Path, split: Literal["val", "test"] = "val") -> Outputs:
        """What the file says of the pictures of a split."""
        session = get_runtime(runtime).load(path, threads=self._threads)
        text = f"{runtime} {path.stem} on {split}"
        return answers_of(session, self._contract, self.task, self._splits[split][0], self._reporter, text)

    def temperature(self, runtime: str, path: Path) -> float | None:
        """Of a file's scores, on the validation split; None where the data's classes are not the network's."""
        if not self.labelled or not has_shares(self.task, len(self._labels)):
            return None
        return self.task.temperature(self.outputs(runtime, path), self._splits["val"][1])

    def answers(self, runtime: str, path: Path, temperature: float) -> Answers:
        """What the page shows of a file, where the data's classes are the network's."""
        session = get_runtime(runtime).load(path, threads=self._threads)
        outputs = self.outputs(runtime, path, "test")
        return file_answers(
            session, self._contract, self._report, self.task, self._test, outputs, temperature
        )

    def compared(self, runtime: str, exact: Path, path: Path) -> Paired:
        """What a file loses of its fp32 file's score on the validation split."""
        if exact not in self._exact:
            self._exact[exact] = self.outputs(runtime, exact)
        outputs = self.outputs(runtime, path)
        return paired(self.task, self._exact[exact], outputs, self._splits["val"][1], self._labels)


class Files:
    """Makes the files of one network."""

    def __init__(
        self,
        config: ExportConfig,
        model: Model,
        labels: tuple[str, ...],
        judge: FileJudge | None,
        run: RunFolder,
        reporter: Reporter,
    ) -> None:
        self.config, self.model, self.labels = config, model, labels
        self.judge, self.run, self.reporter = judge, run, reporter

    def make(self, target: Target) -> Exported:
        """Write and measure one file.

        Raises:
            ModelError: the network cannot be exported or converted so.
        """
        exact = self._exact(target.runtime)
        if target.precision == "int8":
            path, tried = self._int8(target, exact)
        elif target.precision == "fp16":
            path = convert(exact, "fp16", (), on=target.runtime)
            tried = [self._tried(target, "halves", exact, path)]
        else:
            path, tried = exact, []
        runtime = get_runtime(target.runtime)
        shipped = self.run.path / "export" / f"{target.runtime}-{target.precision}" / f"model{runtime.suffix}"
        shipped.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, shipped)
        spec, contract, task = self.model.spec, self.model.contract, self.model.task
        temperature = self._temperature(target, path)
        metadata = file_metadata(
            spec,
            contract,
            self.labels,
            target.precision,
            task=task.name,
            outputs=task.outputs,
            temperature=temperature,
        )
        ending = self._ending()
        metadata |= {} if ending is None else end_file(shipped, ending)
        runtime.write_metadata(shipped, metadata)
        plain = shipped if ending is None else path
        made = self._measured(target, exact, plain, shipped, tried).model_copy(
            update={"temperature": temperature}
        )
        if ending is not None:
            made = self._ended(made, ending.name, path, shipped)
        if not self.config.uint8 or target.runtime != RUNTIME:
            return made
        beside = write_bytes_file(shipped, contract, task, metadata, threads=self.config.threads)
        inside = beside.path.relative_to(self.run.path).as_posix()
        return made.model_copy(update={"uint8": inside, "uint8_difference": beside.difference})

    def _ending(self) -> Ending | None:
        """What files are asked to do in their graphs, where they are."""
        return self.model.task.ending(self.labels) if self.config.nms else None

    def _ended(self, made: Exported, name: str, plain: Path, shipped: Path) -> Exported:
        """What the file is like beside the one that it was made of."""
        ours, theirs = (self._said(made.runtime, path) for path in (shipped, plain))
        difference = max(float(np.abs(a - b).max(initial=0.0)) for a, b in zip(ours, theirs, strict=True))
        timed = measure_together(
            {"file": shipped, "plain": plain},
            on=made.runtime,
            threads=self.config.threads,
            seconds=_SECONDS,
        )
        verdict = (
            f"{made.verdict}; {name} in the file: {timed['file'].p50_ms:.2f} ms, {timed['plain'].p50_ms:.2f} ms without, "
            f"answers differ by {difference:.1e}"
        )
        return made.model_copy(
            update={
                "ending": name,
                "plain_ms": timed["plain"].p50_ms,
                "ending_difference": difference,
                "latency": timed["file"].to_json(),
                "verdict": verdict,
            }
        )

    def _said(self, runtime: str, path: Path) -> Outputs:
        """What the task makes of a file's answers to the test pictures, or to noise."""
        if self.judge is not None:
            return self.judge.outputs(runtime, path, "test")
        session = get_runtime(runtime).load(path, threads=self.config.threads)
        return self.model.task.condensed(session.run(self._noise()))

    def _noise(self) -> NDArray[np.float32]:
        return np.random.default_rng(0).standard_normal(self.model.contract.shape).astype(np.float32)

    def _temperature(self, target: Target, path: Path) -> float:
        """From the pictures where they tell it, else that of the bundle that the network is from."""
        found = None if self.judge is None else self.judge.temperature(target.runtime, path)
        if found is not None:
            return found
        return 1.0 if self.model.bundle is None else self.model.bundle.temperature()

    def _exact(self, name: str) -> Path:
        """The fp32 file of a runtime, written once."""
        runtime = get_runtime(name, making=True)
        path = self.run.path / "work" / name / f"fp32{runtime.suffix}"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            runtime.export(self.model.network, self.model.contract, path, outputs=self.model.task.outputs)
        return path

    def _tried(self, target: Target, setting: str, exact: Path, path: Path) -> Tried:
        if self.judge is None:
            return Tried(setting=setting, drop=0.0)
        loss = self.judge.compared(target.runtime, exact, path)
        self.reporter.line(f"{target.precision} ({setting}): {loss.told}", style="dim")
        return Tried(setting=setting, drop=loss.drop, told=loss.told)

    @property
    def _allowed(self) -> float:
        return self.config.max_drop if self.judge is None else self.judge.allowed

    def _int8(self, target: Target, exact: Path) -> tuple[Path, list[Tried]]:
        """The first file that the guard lets through, else the one that loses least; the kept one is told last."""
        judge = self.judge
        if judge is None:
            raise ModelError(f"{target} is calibrated on pictures, none were given; add --data FOLDER")
        made: list[tuple[Path, Tried]] = []
        for path, setting in int8_files(
            self.model.network,
            self.model.contract,
            exact,
            judge.calibration,
            lambda path: judge.score(target.runtime, path),
            task=judge.task,
            on=target.runtime,
            max_drop=self._allowed,
            tell=lambda line: self.reporter.line(line, style="yellow"),
        ):
            made.append((path, self._tried(target, setting, exact, path)))
            if within(made[-1][1].drop, self._allowed):
                break
        if not made:
            raise ModelError(f"no int8 file could be made for {target.runtime}; take {target.runtime}:fp32")
        made.sort(key=lambda each: -each[1].drop)
        return made[-1][0], [tried for _, tried in made]

    def _measured(
        self, target: Target, exact: Path, plain: Path, shipped: Path, tried: list[Tried]
    ) -> Exported:
        """Of the file that ships; what it costs and loses beside the fp32 file is told of `plain`, which only answers."""
        runtime, threads = get_runtime(target.runtime), self.config.threads
        files = {"fp32": exact, "file": plain}
        timed = measure_together(files, on=target.runtime, threads=threads, seconds=_SECONDS)
        size = shipped.stat().st_size
        lossy = bool(tried)
        ratio = compare(timed["file"], timed["fp32"]).ratio if lossy else 1.0
        size_ratio = plain.stat().st_size / exact.stat().st_size if lossy else 1.0
        difference = None if lossy else self._difference(runtime.load(plain, threads=threads))
        drop = tried[-1].drop if lossy and self.judge is not None else None
        return Exported(
            runtime=target.runtime,
            precision=target.precision,
            setting=tried[-1].setting if lossy else "as trained",
            file=shipped.relative_to(self.run.path).as_posix(),
            sha256=sha256(shipped),
            size_bytes=size,
            latency=timed["file"].to_json(),
            size_ratio=round(size_ratio, 4),
            latency_ratio=round(ratio, 4),
            difference=difference,
            drop=drop,
            test=None if self.judge is None else self.judge.score(target.runtime, shipped, "test"),
            verdict=_verdict(target, plain, (size_ratio, ratio))
            if lossy
            else _parity(target, difference or 0.0),
            tried=tried,
            met=within(drop or 0.0, self._allowed) and (difference or 0.0) <= PARITY,
        )

    def _difference(self, session: Session) -> float:
        """The largest difference of the file's outputs from the network's on noise, as a share of the output's largest."""
        inputs = self._noise()
        wanted = said_by(self.model.network, torch.from_numpy(inputs))
        return max(
            float(np.abs(ours - theirs).max() / (np.abs(theirs).max() or 1.0))
            for ours, theirs in zip(session.run(inputs), wanted, strict=True)
        )


def _parity(target: Target, difference: float) -> str:
    beyond = "" if difference <= PARITY else f", more than the {PARITY:g} that is allowed"
    return f"{target}: scores differ from the network's by {difference:.1e} of the largest{beyond}"


def _verdict(target: Target, shipped: Path, ratios: tuple[float, float]) -> str:
    size, latency = ratios
    operators = float_operators(target.runtime, shipped) if target.precision == "int8" else {}
    told = decide(
        target.runtime,
        size_ratio=size,
        latency_ratio=latency,
        operators=operators,
        precision=target.precision,
    )
    return told.reason.removeprefix(f"{target.precision}: ")
