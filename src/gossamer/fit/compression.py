"""Stage 4: fp32, int8 and, where needed, fp16 of the best network, each measured on its own file; one is kept.

Networks are taken in the order of their score; the first whose files meet budget and guard wins. Where none does,
the file nearest to the budget is kept and the run says so.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel
from torch import nn

from gossamer._files import sha256
from gossamer.data.check import CheckReport
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.convert import convert
from gossamer.errors import ModelError
from gossamer.fit.config import FitConfig
from gossamer.runs.choice import FileScore, decide, float_operators, measure_together, preferred
from gossamer.runs.folder import RunFolder
from gossamer.runs.int8 import calibration_inputs, int8_files
from gossamer.runs.pictures import answers_of, split_pictures
from gossamer.runs.reporter import Reporter
from gossamer.runs.trained import Trained, TrainedNetwork
from gossamer.tasks import Outputs, get_task
from gossamer.tasks.paired import Paired, allowance, paired
from gossamer.timing.latency import compare
from gossamer.timing.memory import measure_memory
from gossamer.types import TASK_FIGURES, Precision, Verdict, within

__all__ = ["Compressed", "Row", "compress", "made_again"]

_METADATA_BYTES = 6_000
_SHARE = 0.7
"""Of what is left after training; the rest is for measuring and publishing the file."""


class Row(BaseModel):
    """One file that was made and measured."""

    network: str
    precision: Precision
    setting: str
    file: str
    """Below the run folder."""
    size_bytes: int
    latency_ms: float
    score: float
    """The task's headline figure on the validation split, of the file."""
    drop: float
    paired: Paired | None = None
    """What it loses of the fp32 file, picture by picture."""
    fits: bool
    reason: str = ""


class Compressed(BaseModel):
    """The file that goes on, and everything beside it."""

    network: str
    precision: Precision
    file: str
    sha256: str
    rows: list[Row]
    met: bool
    notes: list[str]

    @property
    def chosen(self) -> Row:
        """The row of the file that goes on."""
        return next(row for row in self.rows if row.reason.startswith("kept"))


def compress(
    config: FitConfig,
    report: CheckReport,
    trained: Trained,
    run: RunFolder,
    reporter: Reporter,
    *,
    seconds: float = math.inf,
) -> Compressed:
    """Make and measure the files of the trained networks until one keeps budget and guard.

    The first network's plain files are made however long they take; after `seconds` nothing further is tried.
    """
    rows: list[Row] = []
    notes: list[str] = []
    until = time.monotonic() + _SHARE * seconds
    for network in trained.networks:
        if rows and time.monotonic() > until:
            notes.append(f"{network.network.key}: its files were not made, the minutes are used up")
            break
        made = _Files(config, report, network, run, reporter, until=until)
        with reporter.bar(f"making and judging files of {network.network.key}", None):
            scores = made.scored()
        rows += made.rows
        best = preferred(scores, made.fits(), made.allowed, on=config.on)
        notes += made.notes
        if best is not None:
            return _kept(run, network, best, rows, notes, met=True)
        notes.append(
            f"{network.network.key}: no file keeps the budget within a drop of {100 * config.max_drop:g} points"
        )
        reporter.line(notes[-1], style="yellow")
    fallback = next(r for r in rows if r.precision == "fp32" and r.network == trained.networks[0].network.key)
    inside = [r for r in rows if r.fits]
    chosen = max(inside, key=lambda r: r.score) if inside else fallback
    network = next(n for n in trained.networks if n.network.key == chosen.network)
    score = FileScore(
        chosen.precision,
        run.path / chosen.file,
        chosen.size_bytes,
        chosen.latency_ms,
        chosen.score,
        chosen.drop,
    )
    return _kept(run, network, score, rows, notes, met=False)


def made_again(
    config: FitConfig,
    report: CheckReport,
    network: TrainedNetwork,
    compressed: Compressed,
    run: RunFolder,
    reporter: Reporter,
) -> Compressed | None:
    """The file of the same network with other weights, made in the way that was chosen; None where it cannot be kept.

    `network` has learned from the validation pictures too, so they only tell whether its file still answers as it does;
    what a file may lose was judged before, on weights that had not seen them.
    """
    chosen = compressed.chosen
    files = _Files(config, report, network, run, reporter)
    score = files.by(chosen.precision, chosen.setting)
    if score is None or not files.rows[-1].fits or not within(score.drop, files.allowed):
        return None
    return _kept(run, network, score, compressed.rows, compressed.notes, met=compressed.met)


def _kept(
    run: RunFolder,
    network: TrainedNetwork,
    best: FileScore,
    rows: Sequence[Row],
    notes: list[str],
    *,
    met: bool,
) -> Compressed:
    kept = run.path / "export" / best.path.name
    kept.parent.mkdir(exist_ok=True)
    shutil.copyfile(best.path, kept)
    final = [r.model_copy(update={"reason": r.reason or _reason(r, best, network)}) for r in rows]
    return Compressed(
        network=network.network.key,
        precision=best.precision,
        file=kept.relative_to(run.path).as_posix(),
        sha256=sha256(kept),
        rows=final,
        met=met,
        notes=notes,
    )


def _reason(row: Row, best: FileScore, network: TrainedNetwork) -> str:
    if row.network == network.network.key and row.precision == best.precision:
        return (
            "kept: least latency times size within budget and guard"
            if row.fits
            else "kept: nearest to the budget"
        )
    if not row.fits:
        return "over budget"
    if row.latency_ms > best.latency_ms and row.size_bytes >= best.size_bytes:
        return "slower and not smaller"
    return "buys less" if row.precision != "fp32" else "larger or slower for no accuracy that matters"


class _Files:
    """The files of one network."""

    def __init__(
        self,
        config: FitConfig,
        report: CheckReport,
        network: TrainedNetwork,
        run: RunFolder,
        reporter: Reporter,
        *,
        until: float = math.inf,
    ) -> None:
        self.until = until
        self.config, self.report, self.network, self.run, self.reporter = (
            config,
            report,
            network,
            run,
            reporter,
        )
        self.contract, self.task = network.network.input_contract, get_task(report.dataset.task)
        self.folder = run.path / network.folder / "files"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rows: list[Row] = []
        self.notes: list[str] = []
        train = split_pictures(report, "train", self.contract, run).pixels
        self.calibration = calibration_inputs(train, self.contract, config.seed)
        self.val = split_pictures(report, "val", self.contract, run)
        self.allowed = allowance(config.max_drop, len(self.val.targets))

    def scored(self) -> list[FileScore]:
        """fp32 and int8 on their own files, fp16 where none of them fits; what the runtime does not have is left out.

        int8 is backed off while the guard refuses: to other ranges, to the edited network, at last to a file whose worst
        layers stay fp32. Of a precision that was asked for only that file goes on.
        """
        runtime = get_runtime(self.config.on)
        source = self.folder / f"fp32{runtime.suffix}"
        network = self.network.load(self.run.path)
        runtime.export(network, self.contract, source, outputs=self.task.outputs)
        self._exact = self._outputs(source, "fp32")
        exact = self._score("fp32", source, "as trained", None)
        scores = [exact]
        tried = [each for each in runtime.precisions if self.config.ships(each)]
        int8 = self._int8(network, source, exact) if "int8" in tried else None
        if int8 is not None:
            scores.append(int8)
            self._judge(int8)
        lacking = preferred(scores, self.fits(), self.allowed, on=self.config.on) is None
        if (lacking or self.config.precision == "fp16") and "fp16" in tried:
            halves = self._halves(source, exact)
            scores += [] if halves is None else [halves]
        return [score for score in scores if self.config.ships(score.precision)]

    def by(self, precision: Precision, setting: str) -> FileScore | None:
        """The file of one precision made in one way, held against the fp32 file; None where that way makes none."""
        source = self.folder / f"fp32{get_runtime(self.config.on).suffix}"
        network = self.network.load(self.run.path)
        get_runtime(self.config.on).export(network, self.contract, source, outputs=self.task.outputs)
        self._exact = self._outputs(source, "fp32")
        exact = self._score("fp32", source, "as trained", None)
        if precision == "fp32":
            return exact
        if precision == "fp16":
            return self._halves(source, exact)
        made = next((path for path, how in self._int8_files(network, source) if how == setting), None)
        return None if made is None else self._score("int8", made, setting, exact)

    def _int8_files(self, network: nn.Module, source: Path) -> Iterator[tuple[Path, str]]:
        return int8_files(
            network,
            self.contract,
            source,
            self.calibration,
            lambda path: self._worth(self._outputs(path, "int8")),
            task=self.task,
            on=self.config.on,
            max_drop=self.allowed,
            tell=self._told,
            until=self.until,
        )

    def _int8(self, network: nn.Module, source: Path, exact: FileScore) -> FileScore | None:
        """The first int8 file that the guard lets through, of those that there is time for."""
        for path, setting in self._int8_files(network, source):
            int8 = self._score("int8", path, setting, exact)
            if within(int8.drop, self.allowed):
                return int8
            self._refuse()
        return None

    def _told(self, line: str) -> None:
        self.reporter.line(line, style="yellow")
        self.notes.append(f"{self.network.network.key}: {line}")

    def _refuse(self) -> None:
        refused = self.rows.pop()
        told = f"{100 * refused.drop:.1f} points lost" if refused.paired is None else refused.paired.told
        self.rows.append(refused.model_copy(update={"reason": f"refused: {told}"}))
        self.reporter.line(self.rows[-1].reason, style="yellow")

    def _judge(self, int8: FileScore) -> None:
        """Say where int8 is not worth it on this runtime, and why; and where it answers otherwise too often."""
        told = self.rows[-1].paired
        if told is not None and told.differs:
            self.notes.append(f"{self.network.network.key} int8: {told.told}")
            self.reporter.line(self.notes[-1], style="yellow")
        verdict = decide(
            self.config.on,
            size_ratio=int8.size_ratio,
            latency_ratio=int8.latency_ratio,
            operators=int8.float_operators,
        )
        if not verdict.recommended:
            self.notes.append(f"{self.network.network.key}: {verdict.reason}")
            self.reporter.line(self.notes[-1], style="yellow")

    def fits(self) -> dict[Precision, bool]:
        """Whether the latest file of each precision keeps the budget."""
        return {row.precision: row.fits for row in self.rows}

    def _halves(self, source: Path, exact: FileScore) -> FileScore | None:
        try:
            path = convert(source, "fp16", (), on=self.config.on)
        except ModelError as error:
            self.reporter.line(str(error), style="yellow")
            return None
        return self._score("fp16", path, "halves", exact)

    def _score(self, precision: Precision, path: Path, setting: str, exact: FileScore | None) -> FileScore:
        """Of one file; a lossy one is timed in the same rounds as the fp32 file."""
        outputs = self._exact if exact is None else self._outputs(path, precision)
        score = self._worth(outputs)
        files: dict[str, Path] = {} if exact is None else {"fp32": exact.path}
        files[precision] = path
        timed = measure_together(files, on=self.config.on, threads=self.config.threads, seconds=0.6)
        latency, size = timed[precision].p50_ms, path.stat().st_size + _METADATA_BYTES
        lossy = FileScore(precision, path, size, latency, score)
        if exact is not None:
            lossy = replace(
                lossy,
                drop=exact.score - score,
                size_ratio=size / exact.size_bytes,
                latency_ratio=compare(timed[precision], timed["fp32"]).ratio,
                float_operators=float_operators(self.config.on, path) if precision == "int8" else {},
            )
        labels = self.report.dataset.labels
        told = None if exact is None else paired(self.task, self._exact, outputs, self.val.targets, labels)
        self._row(lossy, setting, told)
        return lossy

    def _row(self, score: FileScore, setting: str, told: Paired | None) -> None:
        network = self.network.network
        self.rows.append(
            Row(
                network=network.key,
                precision=score.precision,
                setting=setting,
                file=score.path.relative_to(self.run.path).as_posix(),
                size_bytes=score.size_bytes,
                latency_ms=score.latency_ms,
                score=score.score,
                drop=score.drop,
                paired=told,
                fits=all(v.met for v in self._verdicts(score) if v.limit.metric not in TASK_FIGURES),
            )
        )
        self.reporter.line(
            f"{network.key} {score.precision} ({setting}): {self.task.headline.shown(score.score)} on validation, "
            f"{score.latency_ms:.2f} ms, {score.size_bytes / 1e6:.2f} MB" + (f"; {told.told}" if told else "")
        )

    def _verdicts(self, score: FileScore) -> list[Verdict]:
        """The budget's limits held against what a file measured."""
        network = self.network.network
        measured = {
            "latency": score.latency_ms,
            "size": float(score.size_bytes),
            "params": float(network.params),
            "macs": float(network.macs),
        }
        if self.config.budget.limit("memory") is not None:
            peak = measure_memory(
                score.path, runtime=self.config.on, threads=self.config.threads, shape=self.contract.shape
            )
            measured["memory"] = float(peak.process_bytes)
        return self.config.budget.judge(measured)

    def _outputs(self, path: Path, precision: str) -> Outputs:
        """What a file says of the validation pictures."""
        session = get_runtime(self.config.on).load(path, threads=self.config.threads)
        text = f"validating {precision}"
        return answers_of(session, self.contract, self.task, self.val.pixels, self.reporter, text)

    def _worth(self, outputs: Outputs) -> float:
        return self.task.worth(outputs, self.val.targets, self.report.dataset.labels)
