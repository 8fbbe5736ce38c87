"""What stage 3 does with one network, whichever way networks are chosen: its pictures, its recipe, a piece of training."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from gossamer.data.augment import View
from gossamer.data.check import CheckReport
from gossamer.deploy.contract import InputContract
from gossamer.fit.candidates import Candidate, candidates
from gossamer.fit.config import FitConfig
from gossamer.runs.folder import RunFolder
from gossamer.runs.pictures import split_pictures
from gossamer.runs.reporter import Bar, Reporter
from gossamer.runs.train.watch import metrics_row
from gossamer.runs.trained import CurvePoint, TrainedNetwork
from gossamer.tasks import get_task
from gossamer.train.loop import train_until
from gossamer.train.objective import objective_of
from gossamer.train.pace import Listener
from gossamer.train.recipe import Recipe
from gossamer.train.recipes import named_recipe
from gossamer.train.teachers import Teaching
from gossamer.train.training import Pictures, Point, Pulse, Seconds, Training, TrainResult
from gossamer.train.watch import Problem
from gossamer.zoo.build import build
from gossamer.zoo.checkpoints import read_checkpoint

__all__ = ["Trainer"]

_TEACHER_MINUTES = 8.0
_TEACHER_MACS = 1.3


class Trainer:
    """Pieces of training; every one leaves its checkpoint, so that a killed run goes on from the last validation."""

    def __init__(
        self, config: FitConfig, report: CheckReport, run: RunFolder, reporter: Reporter, *, view: View
    ) -> None:
        self.config, self.report, self.run, self.reporter = config, report, run, reporter
        self.view: View = view
        self.task = get_task(report.dataset.task)
        self.objective = objective_of(self.task.name)
        self.lost: set[str] = set()
        self.speed = 0.0

    def rung(self, candidate: Candidate, training: Training, bound: float) -> TrainResult:
        with self.reporter.bar(candidate.key, bound) as bar:
            return train_until(training, bound, listener=_Follower(self, candidate.key, bar))

    def metric(self, network: str, point: Point) -> None:
        """One row of metrics.csv."""
        self.run.metric(**metrics_row(network, point))

    def training(
        self, candidate: Candidate, total: float, *, decay_from: float, teacher: nn.Module | None
    ) -> Training:
        contract = candidate.input_contract()
        labels, recipe = self.report.dataset.labels, self.recipe(candidate)
        network = build(candidate.spec(len(labels)), weights=candidate.weights, seed=self.config.seed)
        if candidate.start is not None:
            network.load_state_dict(read_checkpoint(self.run.path / candidate.start))
        teaching = None
        if teacher is not None:
            teaching = Teaching(
                teacher,
                network,
                recipe.distillation,
                width=len(labels),
                objective=self.objective,
                contract=contract,
            )
        return Training(
            network=network,
            contract=contract,
            recipe=recipe,
            pictures=self.pictures(contract),
            folder=self.folder(candidate),
            length=Seconds(total),
            decay_from=decay_from if candidate.start is not None else max(decay_from, 0.3),
            seed=self.config.seed,
            task=self.task,
            labels=tuple(labels),
            teaching=teaching,
            threads=torch.get_num_threads(),
        )

    def recipe(self, candidate: Candidate) -> Recipe:
        name = "from-scratch" if candidate.weights is None else "small-data"
        if candidate.start is not None:
            name = "finetune-compressed"
        recipe = named_recipe(name, view=self.view, pictures=len(self.report.split.train))
        return self.objective.fitting(recipe)

    def folder(self, candidate: Candidate) -> Path:
        return self.run.path / "train" / re.sub(r"[^A-Za-z0-9_.-]+", "-", candidate.key)

    def pictures(self, contract: InputContract) -> Pictures:
        train, val = (
            split_pictures(self.report, name, contract, self.run, self.reporter) for name in ("train", "val")
        )
        self.lost |= {*train.lost, *val.lost}
        return Pictures(train.pixels, train.targets, val.pixels, val.targets, train.bands)

    def teacher_candidate(self, shortlist: Sequence[Candidate], seconds: float) -> Candidate | None:
        """A pretrained network well above the shortlist's in macs, where there is time for it."""
        if self.config.teacher == "none" or seconds < 60 * _TEACHER_MINUTES:
            return None
        size = max(c.size for c in shortlist)
        best = next((c for c in self.pool() if c.weights is not None and c.size <= size), None)
        if best is None or best.macs < _TEACHER_MACS * max(c.macs for c in shortlist):
            return None
        return best

    def pool(self) -> list[Candidate]:
        """Every candidate, within budget or not."""
        return candidates(
            short_side=self.report.short_side,
            width=len(self.report.dataset.labels),
            pictures=len(self.report.split.train),
            online=self.config.online,
            task=self.task.name,
        )

    def summary(self, candidate: Candidate, result: TrainResult, rungs: int) -> TrainedNetwork:
        return TrainedNetwork(
            network=candidate.value(len(self.report.dataset.labels)),
            folder=self.folder(candidate).relative_to(self.run.path).as_posix(),
            score=result.best_score,
            seconds=round(result.seconds, 1),
            rungs=rungs,
            points=[CurvePoint.of(point) for point in result.points],
            recipe=self.recipe(candidate).to_json(),
            wanted=self.recipe(candidate).epochs,
        )

    def clean(self) -> None:
        """Remove the decoded pictures: they can be made again from the data."""
        shutil.rmtree(self.run.path / "cache", ignore_errors=True)


class _Follower(Listener):
    """Moves the bar, keeps the metrics, and says what goes wrong."""

    def __init__(self, trainer: Trainer, network: str, bar: Bar) -> None:
        self.trainer, self.network, self.bar = trainer, network, bar

    def pulse(self, now: Pulse) -> None:
        self.trainer.speed = now.pictures_per_second
        score = "" if now.val_score is None else f"  val {self.trainer.task.headline.shown(now.val_score)}"
        self.bar.update(
            now.seconds,
            text=f"pass {now.passes:.1f}  loss {now.loss:.3f}{score}  {now.pictures_per_second:.0f} pictures/s",
        )

    def point(self, point: Point) -> None:
        self.trainer.metric(self.network, point)

    def problem(self, problem: Problem) -> None:
        self.trainer.run.event("problem", network=self.network, code=problem.code, message=problem.message)
