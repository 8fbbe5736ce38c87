"""One network by one recipe: check, linear probe, train, verify the exported file, publish. With --resume."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gossamer._files import sha256
from gossamer.data.check import CheckReport
from gossamer.deploy.bundle import Bundle, load
from gossamer.deploy.runtimes import get_runtime
from gossamer.errors import GossamerError, RunFolderError
from gossamer.runs.checking import checked_data, name_of, opened
from gossamer.runs.folder import RunFolder, open_run
from gossamer.runs.names import check_names, write_recipe
from gossamer.runs.needs import need_torch
from gossamer.runs.options import command_line
from gossamer.runs.page import document_of
from gossamer.runs.provenance import provenance
from gossamer.runs.publish import Published, measured_answer, metadata_of, publish
from gossamer.runs.reporter import Quiet, Reporter
from gossamer.runs.starved import starved, with_starved
from gossamer.runs.train.config import TrainConfig
from gossamer.runs.train.prepare import Mapped, pictures_of, training_of
from gossamer.runs.train.start import Start, recipe_name
from gossamer.runs.train.watch import Watcher
from gossamer.runs.trained import CurvePoint, Trained, TrainedNetwork
from gossamer.runs.verify import Verified, verify
from gossamer.tasks import get_task
from gossamer.train.loop import check_targets, train_until
from gossamer.train.objective import objective_of
from gossamer.train.pace import save_average
from gossamer.train.probe import floor_of, linear_probe
from gossamer.train.processes import rank_here
from gossamer.train.training import Pictures, Seconds, Training, TrainResult

__all__ = ["TrainRun", "train_network"]

_RUN_VARIABLE = "GOSSAMER_RUN"  # tells the processes that Lightning starts which folder the first one opened


@dataclass(frozen=True)
class TrainRun:
    """The bundle, what it reached on the test split, and where the run lies."""

    bundle: Bundle
    headline: str
    run: Path
    report: Path
    probe: float | None
    """Score of the linear probe on the validation split; None for a network without weights."""
    problems: tuple[str, ...]
    starved: str | None = None
    """What to say where the clock ended a training that was still rising."""

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {
            "headline": self.headline,
            "run": str(self.run),
            "bundle": str(self.bundle.folder),
            "report": str(self.report),
            "model": self.bundle.spec.label,
            "input": list(self.bundle.contract.shape[1:]),
            f"probe_{get_task(self.bundle.task).headline.name}": self.probe,
            "problems": list(self.problems),
            "starved": self.starved,
            "measured": measured_answer(self.bundle),
        }

    def _repr_html_(self) -> str:
        return self.report.read_text(encoding="utf-8")


def train_network(
    config: TrainConfig,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> TrainRun | None:
    """Train one network on labelled pictures and publish it as a bundle with an fp32 file for `config.on`.

    Returns None in all processes but the first of several.

    Raises:
        DataError, ModelError, RunFolderError, GossamerError: bad arguments or data.
        MissingExtraError: torch or lightning is not installed.
    """
    need_torch()
    check_names(config)
    several = config.devices * config.nodes > 1
    config = replace(
        config,
        recipe=recipe_name(config.model, config.recipe),
        strategy="ddp" if several else config.strategy,
    )
    get_runtime(config.on, making=True)
    if rank_here() > 0:
        _follow(config, out)
        return None
    with open_run(config, name_of(config.data, config), out, resume=resume, extends=True) as run:
        os.environ[_RUN_VARIABLE] = str(run.path.resolve())
        return _Run(config, run, reporter or Quiet()).go()


def _follow(config: TrainConfig, out: str | Path | None) -> None:
    """What every process but the first does: the same training, and nothing else."""
    folder = os.environ.get(_RUN_VARIABLE) or out
    if folder is None:
        raise RunFolderError(
            "several processes that were started from outside need one folder; name it with --out"
        )
    report = opened(config.data, config)
    start = Start(config, report)
    shared = Mapped(Path(folder))
    pictures = pictures_of(report, start.contract, shared, Quiet())
    training = training_of(config, report, start, pictures, shared.path)
    train_until(training, training.length.count)


class _Probed(BaseModel):
    """What the linear probe reached, or why there is none."""

    score: float | None
    seconds: float = 0.0
    note: str
    ships: bool = False
    """Whether its weights are kept as those of a network."""


class _Exported(BaseModel):
    """The fp32 file, before the contract is written into it."""

    file: str
    """Below the run folder."""
    sha256: str


class _Run:
    """One run of the first process, stage by stage."""

    def __init__(self, config: TrainConfig, run: RunFolder, reporter: Reporter) -> None:
        self.config, self.run, self.reporter = config, run, reporter

    def go(self) -> TrainRun:
        config, run, reporter = self.config, self.run, self.reporter
        try:
            report = checked_data(config.data, config, run, reporter, heading=f"1 of 5  check: {config.data}")
            start = Start(config, report)
        except GossamerError:
            if not run.resumed:
                run.discard()
            raise
        write_recipe(start.recipe, run)
        pictures = pictures_of(report, start.contract, run, reporter)
        reporter.heading("2 of 5  linear probe: what the features give before any training")
        probed = run.stage("2-probe", _Probed, lambda: self._probe(start, pictures, report))
        reporter.line(probed.note)
        training = training_of(config, report, start, pictures, run.path)
        check_targets(training)
        epochs = f"{config.epochs or start.recipe.epochs:g} epochs"
        length = epochs if config.minutes is None else f"{config.minutes:g} minutes"
        reporter.heading(f"3 of 5  train: {start.value.key} by {start.recipe.name}, {length}")
        trained = run.stage("3-train", Trained, lambda: self._train(training, start, probed))
        network = trained.networks[0]
        reporter.heading("4 of 5  verify: the test pictures, on the file that ships")
        exported = run.stage("4-export", _Exported, lambda: self._export(network, start))
        verified = run.stage("4-verify", Verified, lambda: self._verify(network, exported, report))
        reporter.heading("5 of 5  publish: bundle and report")
        published = run.stage(
            "5-publish", Published, lambda: self._publish(report, trained, network, verified)
        )
        shutil.rmtree(run.path / "cache", ignore_errors=True)
        run.event("done")
        return TrainRun(
            load(run.path / published.bundle),
            published.headline,
            run.path,
            run.path / published.report,
            probed.score,
            tuple(note for note in trained.notes if note.startswith("while training: ")),
            starved(network, config.minutes or 0.0),
        )

    def _probe(self, start: Start, pictures: Pictures, report: CheckReport) -> _Probed:
        if not start.pretrained:
            return _Probed(score=None, note="no linear probe: the network starts without trained weights")
        if not objective_of(start.task.name).probes:
            return _Probed(score=None, note=f"no linear probe: {start.task.name} has no one answer a picture")
        found = linear_probe(
            start.network,
            start.contract,
            pictures.train,
            pictures.train_targets,
            pictures.val,
            pictures.val_targets,
            task=start.task,
            objective=objective_of(start.task.name),
            labels=report.dataset.labels,
            seed=self.config.seed,
        )
        floor = floor_of(
            start.network,
            start.contract,
            found.fitted,
            pictures.val,
            pictures.val_targets,
            task=start.task,
            objective=objective_of(start.task.name),
            labels=report.dataset.labels,
        )
        if floor is not None:
            save_average(self._probe_file, floor.network)
        score = found.score if floor is None else floor.score
        note = (
            f"linear probe on {found.dimensions} features: {start.task.headline.shown(score)} of validation "
            f"in {found.seconds:.1f} s; "
            + ("training has to beat it" if floor is None else "nothing below it ships")
        )
        return _Probed(score=score, seconds=found.seconds, note=note, ships=floor is not None)

    @property
    def _probe_file(self) -> Path:
        return self.run.path / "train" / "probe.safetensors"

    def _train(self, training: Training, start: Start, probed: _Probed) -> Trained:
        total = training.length.count
        start.ready(training, self.reporter, again=self.run.resumed)
        with self.reporter.bar(start.value.key, total) as bar:
            watcher = Watcher(self.config.model, training, self.run, self.reporter, bar)
            result = train_until(training, total, listener=watcher)
        best = result.best
        self.reporter.line(
            f"best on validation: {start.task.headline.shown(best.val_score)} after {best.passes:.1f} passes; "
            f"{result.seconds:.0f} s, {watcher.speed:.0f} pictures/s"
            + (f" over {world} processes" if (world := training.processes.world) > 1 else "")
        )
        notes = [probed.note, *(f"while training: {problem}" for problem in watcher.problems)]
        if result.halvings:
            notes.append(
                f"memory ran out: the batch was halved {result.halvings} times, gradients of as many batches summed"
            )
        network = _summary(start, training, result)
        if probed.ships and probed.score is not None and probed.score > network.score:
            shutil.copyfile(self._probe_file, training.folder / "best.safetensors")
            notes.append(
                f"training ended at {start.task.headline.shown(network.score)} of validation, below the linear probe's "
                f"{start.task.headline.shown(probed.score)}: the probe's network ships"
            )
            self.reporter.line(notes[-1], style="yellow")
            network = network.model_copy(update={"score": probed.score})
        return Trained(
            networks=[network],
            teacher_used=training.teaching is not None,
            notes=notes,
            lost=[],
            view=start.recipe.augmentation.view,
            pictures_per_second=round(watcher.speed, 1),
            probe=probed.score,
        )

    def _export(self, network: TrainedNetwork, start: Start) -> _Exported:
        runtime = get_runtime(self.config.on)
        folder = self.run.path / "export"
        folder.mkdir(exist_ok=True)
        path = folder / f"fp32{runtime.suffix}"
        module = network.load(self.run.path)
        runtime.export(module, network.network.input_contract, path, outputs=start.task.outputs)
        return _Exported(file=path.relative_to(self.run.path).as_posix(), sha256=sha256(path))

    def _verify(self, network: TrainedNetwork, exported: _Exported, report: CheckReport) -> Verified:
        return verify(
            self.config,
            report,
            network.load(self.run.path),
            network.network.input_contract,
            self.run.path / exported.file,
            metadata_of(report, network.network, "fp32"),
            self.run,
            self.reporter,
        )

    def _publish(
        self, report: CheckReport, trained: Trained, network: TrainedNetwork, verified: Verified
    ) -> Published:
        document = document_of(
            self.config,
            report,
            trained,
            network,
            verified,
            precision="fp32",
            verdicts=[],
            met=True,
            command=command_line("train", self.config),
            provenance=provenance(self.config, self.run.path, report=report),
        )
        document = with_starved(document, starved(network, self.config.minutes or 0.0))
        return publish(self.config, report, network, verified, document, self.run, precision="fp32")


def _summary(start: Start, training: Training, result: TrainResult) -> TrainedNetwork:
    return TrainedNetwork(
        network=start.value,
        folder="train",
        score=result.best_score,
        seconds=round(result.seconds, 1),
        rungs=1,
        points=[CurvePoint.of(point) for point in result.points],
        recipe=training.recipe.to_json(),
        wanted=training.recipe.epochs if isinstance(training.length, Seconds) else None,
    )
