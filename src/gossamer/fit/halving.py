"""Stage 3: the shortlist by successive halving, a teacher where it helps, all within the minutes there are."""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from pydantic import BaseModel
from torch import nn

from gossamer.data.augment import View
from gossamer.data.check import CheckReport
from gossamer.fit.candidates import Candidate, candidates
from gossamer.fit.config import FitConfig, RunConfig
from gossamer.fit.folder import RunFolder
from gossamer.fit.pictures import split_pictures
from gossamer.fit.reporter import Bar, Reporter
from gossamer.fit.rival import Rival, cut_to_budget
from gossamer.train.loop import train_until
from gossamer.train.pace import Listener
from gossamer.train.recipe import Recipe
from gossamer.train.recipes import named_recipe
from gossamer.train.teachers import Teaching
from gossamer.train.training import Pictures, Point, Pulse, Seconds, Training, TrainResult
from gossamer.train.watch import Problem
from gossamer.zoo.build import build
from gossamer.zoo.checkpoints import read_checkpoint

__all__ = ["CurvePoint", "Trained", "TrainedNetwork", "Trainer", "load_trained", "view_of"]

_RUNG_SHARES: dict[int, tuple[tuple[int, float], ...]] = {
    1: ((1, 1.0),),
    2: ((2, 0.12), (1, 0.76)),
    3: ((3, 0.07), (2, 0.09), (1, 0.61)),
    4: ((4, 0.06), (2, 0.09), (1, 0.58)),
}
"""Candidates -> rungs of (how many go on, share of the training time each gets in it)."""
_TEACHER_SHARE = 0.3
_TEACHER_GAIN = 0.01
_TEACHER_MINUTES = 8.0
_TEACHER_MACS = 1.3
_TRIAL_SHARE = 0.25
"""Of the last rung, in which the teacher cut to the budget shows whether it is ahead of the shortlist's best."""


class CurvePoint(BaseModel):
    """One validation during training."""

    seconds: float
    passes: float
    train_loss: float
    val_loss: float
    val_accuracy: float


class TrainedNetwork(BaseModel):
    """One network and how far it was trained."""

    candidate: Candidate
    folder: str
    """Below the run folder; holds best.safetensors."""
    accuracy: float
    """Best on the validation split."""
    seconds: float
    rungs: int
    points: list[CurvePoint]
    recipe: dict[str, object]


class Trained(BaseModel):
    """All networks that were trained, best first; the first went through every rung."""

    networks: list[TrainedNetwork]
    teacher: TrainedNetwork | None = None
    teacher_used: bool = False
    notes: list[str]
    lost: list[str]
    """Pictures that could no longer be read when training began, left out."""
    view: str
    pictures_per_second: float


class _Teaching(BaseModel):
    """The teacher and whether it is followed: decided once, so that a resumed run does not change its mind."""

    teacher: TrainedNetwork
    used: bool
    note: str


class Trainer:
    """Runs the stage; every rung leaves its checkpoint, so that a killed run goes on from the last validation."""

    def __init__(self, config: FitConfig, report: CheckReport, run: RunFolder, reporter: Reporter) -> None:
        self.config, self.report, self.run, self.reporter = config, report, run, reporter
        self.view: View = view_of(config, report)
        self.lost: set[str] = set()
        self.speed = 0.0

    def train(self, shortlist: Sequence[Candidate], seconds: float) -> Trained:
        """Train the shortlist for `seconds` in all (of training time: a resumed run counts what it did before)."""
        survivors = list(shortlist)
        results: dict[str, tuple[Candidate, TrainResult, int]] = {}
        rungs = _RUNG_SHARES[len(survivors)]
        teacher = self._teacher_candidate(survivors, seconds)
        for_students = seconds * (1 - _TEACHER_SHARE) if teacher is not None else seconds
        whole = sum(share for _, share in rungs)
        teaching: _Teaching | None = None
        spent = 0.0
        for number, (count, share) in enumerate(rungs, 1):
            survivors = survivors[:count]
            if number == len(rungs) and teacher is not None:
                teaching = self._teaching(teacher, seconds - for_students, survivors[0], results)
            spent += share
            lost = 0.0
            if number == len(rungs) and teaching is not None and teaching.used:
                won, lost = self._against_rival(
                    teaching.teacher, survivors[0], results, for_students * share, number
                )
                survivors = won
            for candidate in survivors:
                if candidate.start is not None:
                    continue
                training = self._training(
                    candidate,
                    for_students * whole,
                    decay_from=1 - rungs[-1][1] / whole,
                    teacher=self._network(teaching.teacher)
                    if teaching is not None and teaching.used
                    else None,
                )
                result = self._rung(candidate, training, for_students * spent - lost)
                results[candidate.key] = (candidate, result, number)
            survivors.sort(key=lambda c: results[c.key][1].best.worth("accuracy"), reverse=True)
            ranking = {c.key: results[c.key][1].best_accuracy for c in survivors}
            shown = ", ".join(f"{key} {100 * reached:.1f} %" for key, reached in ranking.items())
            self.reporter.line(f"rung {number} of {len(rungs)}: {shown}")
            self.run.event("rung", number=number, ranking=ranking)
        order = sorted(results.values(), key=lambda r: (r[2], r[1].best.worth("accuracy")), reverse=True)
        return Trained(
            networks=[self._summary(*r) for r in order],
            teacher=None if teaching is None else teaching.teacher,
            teacher_used=teaching is not None and teaching.used,
            notes=[] if teaching is None else [teaching.note],
            lost=sorted(self.lost),
            view=self.view,
            pictures_per_second=round(self.speed, 1),
        )

    def _against_rival(
        self,
        teacher: TrainedNetwork,
        student: Candidate,
        results: dict[str, tuple[Candidate, TrainResult, int]],
        seconds: float,
        rung: int,
    ) -> tuple[list[Candidate], float]:
        """(who is trained to the end, seconds that finding out took off the student's time).

        The teacher cut to the budget is fine-tuned for a share of the last rung; where it is ahead of the student by
        then it gets the rest as well.
        """
        rival = self.run.stage("3-rival", Rival, functools.partial(self._rival, teacher))
        self.reporter.line(rival.note)
        if rival.candidate is None:
            return [student], 0.0
        training = self._training(rival.candidate, seconds, decay_from=0.0, teacher=self._network(teacher))
        tried = self._rung(rival.candidate, training, _TRIAL_SHARE * seconds)
        ahead = tried.best.worth("accuracy") >= results[student.key][1].best.worth("accuracy")
        self.reporter.line(
            f"{rival.candidate.key} {100 * tried.best_accuracy:.1f} %, {student.key} "
            f"{100 * results[student.key][1].best_accuracy:.1f} % so far: {(rival.candidate if ahead else student).key} goes on"
        )
        if not ahead:
            results[rival.candidate.key] = (rival.candidate, tried, rung - 1)
            return [student], _TRIAL_SHARE * seconds
        result = self._rung(rival.candidate, training, seconds)
        results[rival.candidate.key] = (rival.candidate, result, rung)
        return [rival.candidate], 0.0

    def _rival(self, teacher: TrainedNetwork) -> Rival:
        return cut_to_budget(
            self._network(teacher),
            teacher.candidate,
            self.config,
            split_pictures(self.report, "train", teacher.candidate.size, self.run, self.reporter),
            self.run.path / "train" / "rival",
            num_classes=len(self.report.dataset.labels),
            below=lambda path: path.relative_to(self.run.path).as_posix(),
        )

    def _teaching(
        self,
        teacher: Candidate,
        seconds: float,
        student: Candidate,
        results: Mapping[str, tuple[Candidate, TrainResult, int]],
    ) -> _Teaching:
        reached = results[student.key][1].best_accuracy if student.key in results else 0.0
        teaching = self.run.stage(
            "3-teacher", _Teaching, functools.partial(self._teach, teacher, seconds, student, reached)
        )
        self.reporter.line(teaching.note)
        return teaching

    def _rung(self, candidate: Candidate, training: Training, bound: float) -> TrainResult:
        with self.reporter.bar(candidate.key, bound) as bar:
            return train_until(training, bound, listener=_Follower(self, candidate.key, bar))

    def metric(self, network: str, point: Point) -> None:
        """One row of metrics.csv."""
        self.run.metric(
            network=network,
            seconds=round(point.seconds, 2),
            passes=round(point.passes, 3),
            train_loss=round(point.train_loss, 5),
            val_loss=round(point.val_loss, 5),
            val_accuracy=round(point.val_accuracy, 5),
        )

    def _training(
        self, candidate: Candidate, total: float, *, decay_from: float, teacher: nn.Module | None
    ) -> Training:
        contract = candidate.input_contract()
        labels, recipe = self.report.dataset.labels, self._recipe(candidate)
        network = build(candidate.spec(len(labels)), weights=candidate.weights, seed=self.config.seed)
        if candidate.start is not None:
            network.load_state_dict(read_checkpoint(self.run.path / candidate.start))
        teaching = None
        if teacher is not None:
            teaching = Teaching(
                teacher, network, recipe.distillation, num_classes=len(labels), contract=contract
            )
        return Training(
            network=network,
            contract=contract,
            recipe=recipe,
            pictures=self._pictures(candidate.size),
            folder=self._folder(candidate),
            length=Seconds(total),
            decay_from=decay_from if candidate.start is not None else max(decay_from, 0.3),
            seed=self.config.seed,
            labels=tuple(labels),
            teaching=teaching,
            threads=torch.get_num_threads(),
        )

    def _recipe(self, candidate: Candidate) -> Recipe:
        name = "from-scratch" if candidate.weights is None else "small-data"
        if candidate.start is not None:
            name = "finetune-compressed"
        return named_recipe(name, view=self.view, pictures=len(self.report.split.train))

    def _folder(self, candidate: Candidate) -> Path:
        return self.run.path / "train" / re.sub(r"[^A-Za-z0-9_.-]+", "-", candidate.key)

    def _pictures(self, size: int) -> Pictures:
        train, val = (
            split_pictures(self.report, name, size, self.run, self.reporter) for name in ("train", "val")
        )
        self.lost |= {*train.lost, *val.lost}
        return Pictures(train.pixels, train.labels, val.pixels, val.labels, train.bands)

    def _teacher_candidate(self, shortlist: Sequence[Candidate], seconds: float) -> Candidate | None:
        """A pretrained network well above the shortlist's in macs, where there is time for it."""
        if self.config.teacher == "none" or seconds < 60 * _TEACHER_MINUTES:
            return None
        size = max(c.size for c in shortlist)
        pool = candidates(
            short_side=self.report.short_side,
            num_classes=len(self.report.dataset.labels),
            pictures=len(self.report.split.train),
            online=self.config.online,
        )
        best = next((c for c in pool if c.weights is not None and c.size <= size), None)
        if best is None or best.macs < _TEACHER_MACS * max(c.macs for c in shortlist):
            return None
        return best

    def _teach(self, teacher: Candidate, seconds: float, student: Candidate, reached: float) -> _Teaching:
        """Train the teacher at the student's size; it is followed where it is better enough than `reached`."""
        candidate = teacher.model_copy(update={"size": student.size}).with_bands(self.report.bands)
        training = self._training(candidate, seconds, decay_from=0.3, teacher=None)
        result = self._rung(candidate, training, seconds)
        gain = result.best_accuracy - reached
        used = gain >= _TEACHER_GAIN
        note = (
            f"teacher {candidate.key} reached {100 * result.best_accuracy:.1f} % on validation, "
            f"{100 * gain:+.1f} points against {student.key} at that time: {'followed' if used else 'not followed'}"
        )
        return _Teaching(teacher=self._summary(candidate, result, 0), used=used, note=note)

    def _network(self, trained: TrainedNetwork) -> nn.Module:
        return load_trained(self.run.path, trained, len(self.report.dataset.labels))

    def _summary(self, candidate: Candidate, result: TrainResult, rungs: int) -> TrainedNetwork:
        return TrainedNetwork(
            candidate=candidate,
            folder=self._folder(candidate).relative_to(self.run.path).as_posix(),
            accuracy=result.best_accuracy,
            seconds=round(result.seconds, 1),
            rungs=rungs,
            points=[CurvePoint(**vars(point)) for point in result.points],
            recipe=self._recipe(candidate).to_json(),
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
        accuracy = "" if now.val_accuracy is None else f"  val {100 * now.val_accuracy:.1f} %"
        self.bar.update(
            now.seconds,
            text=f"pass {now.passes:.1f}  loss {now.loss:.3f}{accuracy}  {now.pictures_per_second:.0f} pictures/s",
        )

    def point(self, point: Point) -> None:
        self.trainer.metric(self.network, point)

    def problem(self, problem: Problem) -> None:
        self.trainer.run.event("problem", network=self.network, code=problem.code, message=problem.message)


def load_trained(run: Path, trained: TrainedNetwork, num_classes: int) -> nn.Module:
    """The trained network with its best weights, in eval mode."""
    network = build(trained.candidate.spec(num_classes))
    network.load_state_dict(read_checkpoint(run / trained.folder / "best.safetensors"))
    return network.eval()


def view_of(config: RunConfig, report: CheckReport) -> View:
    """Whether the pictures have an up: as asked for, else as the check found."""
    if config.view != "auto":
        return config.view
    return "aerial" if 0.7 <= report.upright <= 1.4 else "ground"
