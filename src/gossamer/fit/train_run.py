"""One network by one recipe: check, linear probe, train, verify the exported file, publish. With --resume."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from gossamer._files import cache_folder, sha256, write_text
from gossamer.data.check import CheckReport, check
from gossamer.data.dataset import open_dataset
from gossamer.deploy.bundle import Bundle, load
from gossamer.deploy.runtimes import get_runtime
from gossamer.errors import GossamerError, RunFolderError
from gossamer.fit.api import need_torch
from gossamer.fit.candidates import Candidate
from gossamer.fit.checking import checked_data
from gossamer.fit.compression import Compressed
from gossamer.fit.config import FitConfig, TrainConfig
from gossamer.fit.folder import RunFolder, open_run
from gossamer.fit.page import Outcome
from gossamer.fit.pictures import split_pictures
from gossamer.fit.publish import Published, metadata_of, publish
from gossamer.fit.reporter import Quiet, Reporter
from gossamer.fit.shortlist import Shortlist
from gossamer.fit.start import Start, recipe_name, recipe_of
from gossamer.fit.train_watch import Watcher
from gossamer.fit.training import CurvePoint, Trained, TrainedNetwork, load_trained
from gossamer.fit.verification import Verified, verify
from gossamer.train.loop import steps_of, train_until
from gossamer.train.probe import linear_probe
from gossamer.train.processes import Processes, rank_here
from gossamer.train.recipe import Recipe
from gossamer.train.score_cache import ScoreCache, make_room
from gossamer.train.teachers import Teaching
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
    probe_accuracy: float | None
    """Of the linear probe on the validation split; None for a network without weights."""
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        measured = self.bundle.measured
        return {
            "headline": self.headline,
            "run": str(self.run),
            "bundle": str(self.bundle.folder),
            "report": str(self.report),
            "model": self.bundle.spec.label,
            "input": list(self.bundle.contract.shape[1:]),
            "probe_accuracy": self.probe_accuracy,
            "problems": list(self.problems),
            "measured": {
                name: measured[name]
                for name in ("accuracy", "interval", "latency", "size_bytes", "memory_bytes")
            },
        }


def train_network(
    data: str | Path,
    model: str,
    *,
    recipe: str | None = None,
    settings: Sequence[str] = (),
    teacher: str | None = None,
    epochs: float | None = None,
    minutes: float | None = None,
    size: int | None = None,
    metric: str = "accuracy",
    on: str = "onnxruntime",
    threads: int = 1,
    on_bad: str = "skip",
    groups: str | None = None,
    bands: str = "auto",
    view: str = "auto",
    online: bool = False,
    strategy: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> TrainRun | None:
    """Train one network on labelled pictures and publish it as a bundle with an fp32 file for `on`.

    `model` is a name as `build` takes it, with `@WEIGHTS` to start from published ones, or a bundle folder to go on
    with. `recipe` is a name of `gossamer.train.recipes`; `settings` change single numbers of it, as `key=value`.
    `teacher` is a bundle or a trained network to follow, several joined by `+`. A run is `epochs` or `minutes` long,
    the recipe's epochs without. `metric` chooses the best weights: accuracy, balanced or loss.

    Returns None in all processes but the first of several.

    Raises:
        DataError, ModelError, RunFolderError, GossamerError: bad arguments or data.
        MissingExtraError: torch or lightning is not installed.
    """
    need_torch()
    recipe_of(model, recipe, settings)
    config = TrainConfig.model_validate(
        {
            "data": str(data),
            "model": model,
            "recipe": recipe_name(model, recipe),
            "settings": tuple(settings),
            "teacher": teacher,
            "epochs": epochs,
            "minutes": minutes,
            "size": size,
            "metric": metric,
            "on": on,
            "threads": threads,
            "on_bad": on_bad,
            "groups": groups,
            "bands": bands,
            "view": view,
            "online": online,
            "strategy": "ddp" if devices * nodes > 1 else strategy,
            "devices": devices,
            "nodes": nodes,
            "seed": seed,
        }
    ).checked()
    get_runtime(config.on, making=True)
    if rank_here() > 0:
        _follow(config, out)
        return None
    with open_run(config, open_dataset(data).name, out, resume=resume) as run:
        os.environ[_RUN_VARIABLE] = str(run.path.resolve())
        return _Run(config, run, reporter or Quiet()).go()


def _follow(config: TrainConfig, out: str | Path | None) -> None:
    """What every process but the first does: the same training, and nothing else."""
    folder = os.environ.get(_RUN_VARIABLE) or out
    if folder is None:
        raise RunFolderError(
            "several processes that were started from outside need one folder; name it with --out"
        )
    report = check(
        config.data, on_bad=config.on_bad, groups=config.groups, bands=config.bands, seed=config.seed
    )
    start = Start(config, report)
    shared = _Mapped(Path(folder))
    pictures = _pictures(report, start.candidate.size, shared, Quiet())
    training = _training(config, report, start, pictures, shared.path)
    train_until(training, training.length.count)


class _Mapped:
    """The first process's folder, for those that only read its pictures."""

    def __init__(self, path: Path) -> None:
        self.path = path


def _pictures(report: CheckReport, size: int, run: RunFolder | _Mapped, reporter: Reporter) -> Pictures:
    train, val = (split_pictures(report, name, size, run, reporter) for name in ("train", "val"))
    return Pictures(train.pixels, train.labels, val.pixels, val.labels, train.bands)


def _training(
    config: TrainConfig, report: CheckReport, start: Start, pictures: Pictures, folder: Path
) -> Training:
    recipe, classes = start.recipe, len(report.dataset.labels)
    epochs = config.epochs if config.epochs is not None else recipe.epochs
    steps = steps_of(len(pictures.train_labels), batch=recipe.batch, epochs=epochs)
    length = steps if config.minutes is None else Seconds(60 * config.minutes)
    teaching = None
    if start.teacher is not None:
        teacher, contract = start.teacher
        cache = None
        if config.minutes is None and config.devices * config.nodes == 1:
            seen = f"{config.seed} {report.fingerprint} {start.contract.to_json()} {steps.count}"
            key = f"{_teacher_digest(config.teacher or '')} {recipe.of_pictures()} {seen}"
            make_room(cache_folder() / "teachers")
            cache = ScoreCache(
                cache_folder() / "teachers" / _digest(key),
                steps=steps.count,
                batch=recipe.batch,
                num_classes=classes,
                key=key,
            )
        teaching = Teaching(
            teacher,
            start.network,
            recipe.distillation,
            num_classes=classes,
            contract=start.contract,
            teacher_contract=contract,
            cache=cache,
        )
    return Training(
        network=start.network,
        contract=start.contract,
        recipe=recipe,
        pictures=pictures,
        folder=folder / "train",
        length=length,
        seed=config.seed,
        labels=tuple(report.dataset.labels),
        teaching=teaching,
        threads=torch.get_num_threads(),
        metric=config.metric,
        processes=Processes(config.strategy, config.devices, config.nodes),
    )


def _teacher_digest(text: str) -> str:
    """What the teachers are, not only what they are called: a bundle may be trained again under its name."""
    found = []
    for part in [text] if Path(text).is_dir() else text.split("+"):
        name = part.strip()
        files = (Path(name, "weights.safetensors"), Path(name.partition("@")[2] or "."))
        found.append(f"{name} {next((sha256(file) for file in files if file.is_file()), '')}")
    return " + ".join(found)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


class _Probed(BaseModel):
    """What the linear probe reached, or why there is none."""

    accuracy: float | None
    seconds: float = 0.0
    note: str


class _Run:
    """One run of the first process, stage by stage."""

    def __init__(self, config: TrainConfig, run: RunFolder, reporter: Reporter) -> None:
        self.config, self.run, self.reporter = config, run, reporter

    def go(self) -> TrainRun:
        config, run, reporter = self.config, self.run, self.reporter
        try:
            report = checked_data(config, run, reporter, heading=f"1 of 5  check: {config.data}")
            start = Start(config, report)
        except GossamerError:
            if not run.resumed:
                run.discard()
            raise
        self._write_recipe(start.recipe)
        pictures = _pictures(report, start.candidate.size, run, reporter)
        reporter.heading("2 of 5  linear probe: what the features give before any training")
        probed = run.stage("2-probe", _Probed, lambda: self._probe(start, pictures, report))
        reporter.line(probed.note)
        training = _training(config, report, start, pictures, run.path)
        told = "epochs" if config.minutes is None else "minutes"
        count = (config.epochs or start.recipe.epochs) if config.minutes is None else config.minutes
        reporter.heading(f"3 of 5  train: {start.candidate.key} by {start.recipe.name}, {count:g} {told}")
        trained = run.stage("3-train", Trained, lambda: self._train(training, start, probed))
        network = trained.networks[0]
        reporter.heading("4 of 5  verify: the test pictures, on the file that ships")
        fit_config = self._as_fit()
        compressed = run.stage("4-export", Compressed, lambda: self._export(network, report))
        metadata = metadata_of(report, network, compressed)
        verified = run.stage(
            "4-verify",
            Verified,
            lambda: verify(fit_config, report, network, compressed, metadata, run, reporter),
        )
        reporter.heading("5 of 5  publish: bundle and report")
        outcome = Outcome(
            shortlist=Shortlist(chosen=[network.candidate], measured=[], refused=[], seconds=0.0),
            trained=trained,
            compressed=compressed,
            verified=verified,
        )
        command = config.command
        published = run.stage(
            "5-publish", Published, lambda: publish(fit_config, report, outcome, run, command=command)
        )
        shutil.rmtree(run.path / "cache", ignore_errors=True)
        run.event("done")
        return TrainRun(
            load(run.path / published.bundle),
            published.headline,
            run.path,
            run.path / published.report,
            probed.accuracy,
            tuple(note for note in trained.notes if note.startswith("while training: ")),
        )

    def _write_recipe(self, recipe: Recipe) -> None:
        write_text(self.run.path / "recipe.yaml", recipe.to_yaml())

    def _probe(self, start: Start, pictures: Pictures, report: CheckReport) -> _Probed:
        if not start.pretrained:
            return _Probed(accuracy=None, note="no linear probe: the network starts without trained weights")
        found = linear_probe(
            start.network,
            start.contract,
            pictures.train,
            pictures.train_labels,
            pictures.val,
            pictures.val_labels,
            num_classes=len(report.dataset.labels),
            seed=self.config.seed,
        )
        note = (
            f"linear probe on {found.dimensions} features: {100 * found.accuracy:.1f} % of validation "
            f"in {found.seconds:.1f} s; training has to beat it"
        )
        return _Probed(accuracy=found.accuracy, seconds=found.seconds, note=note)

    def _train(self, training: Training, start: Start, probed: _Probed) -> Trained:
        total = training.length.count
        with self.reporter.bar(start.candidate.key, total) as bar:
            watcher = Watcher(self.config.model, training, self.run, self.reporter, bar)
            result = train_until(training, total, listener=watcher)
        best = result.best
        self.reporter.line(
            f"best on validation: {100 * best.val_accuracy:.1f} % after {best.passes:.1f} passes; "
            f"{result.seconds:.0f} s, {watcher.speed:.0f} pictures/s"
            + (f" over {world} processes" if (world := training.processes.world) > 1 else "")
        )
        notes = [probed.note, *(f"while training: {problem}" for problem in watcher.problems)]
        if result.halvings:
            notes.append(
                f"memory ran out: the batch was halved {result.halvings} times, gradients of as many batches summed"
            )
        return Trained(
            networks=[_summary(start.candidate, training, result)],
            teacher_used=training.teaching is not None,
            notes=notes,
            lost=[],
            view=start.recipe.augmentation.view,
            pictures_per_second=round(watcher.speed, 1),
        )

    def _export(self, network: TrainedNetwork, report: CheckReport) -> Compressed:
        runtime = get_runtime(self.config.on)
        folder = self.run.path / "export"
        folder.mkdir(exist_ok=True)
        path = folder / f"fp32{runtime.suffix}"
        module = load_trained(self.run.path, network, len(report.dataset.labels))
        runtime.export(module, network.candidate.input_contract(), path)
        return Compressed(
            network=network.candidate.key,
            precision="fp32",
            file=path.relative_to(self.run.path).as_posix(),
            sha256=sha256(path),
            rows=[],
            met=True,
            notes=[],
        )

    def _as_fit(self) -> FitConfig:
        """What the stages shared with `fit` need to know; there is no budget."""
        config = self.config
        return FitConfig(
            data=config.data,
            within="",
            on=config.on,
            threads=config.threads,
            on_bad=config.on_bad,
            groups=config.groups,
            bands=config.bands,
            view=config.view,
            online=config.online,
            seed=config.seed,
        )


def _summary(candidate: Candidate, training: Training, result: TrainResult) -> TrainedNetwork:
    return TrainedNetwork(
        candidate=candidate,
        folder="train",
        accuracy=result.best_accuracy,
        seconds=round(result.seconds, 1),
        rungs=1,
        points=[CurvePoint(**vars(point)) for point in result.points],
        recipe=training.recipe.to_json(),
    )
