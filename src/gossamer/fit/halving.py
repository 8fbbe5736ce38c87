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
from gossamer.deploy.contract import InputContract
from gossamer.fit.candidates import Candidate, candidates
from gossamer.fit.config import FitConfig
from gossamer.fit.rival import Rival, cut_to_budget
from gossamer.runs.folder import RunFolder
from gossamer.runs.pictures import split_pictures
from gossamer.runs.reporter import Bar, Reporter
from gossamer.runs.train.watch import metrics_row
from gossamer.runs.trained import CurvePoint, Trained, TrainedNetwork
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


class _Teaching(BaseModel):
    """The teacher and whether it is followed: decided once, so that a resumed run does not change its mind."""

    teacher: TrainedNetwork
    used: bool
    note: str


class Trainer:
    """Runs the stage; every rung leaves its checkpoint, so that a killed run goes on from the last validation."""

    def __init__(
        self, config: FitConfig, report: CheckReport, run: RunFolder, reporter: Reporter, *, view: View
    ) -> None:
        self.config, self.report, self.run, self.reporter = config, report, run, reporter
        self.view: View = view
        self.task = get_task(report.dataset.task)
        self.objective = objective_of(self.task.name)
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
            if number == len(rungs) and teacher is not None and teaching is not None and teaching.used:
                won, lost = self._against_rival(
                    teaching.teacher,
                    self._at_students(teacher, survivors[0]),
                    survivors[0],
                    results,
                    for_students * share,
                    number,
                )
                survivors = won
            for candidate in survivors:
                if candidate.start is not None:
                    continue
                training = self._training(
                    candidate,
                    for_students * whole,
                    decay_from=1 - rungs[-1][1] / whole,
                    teacher=teaching.teacher.load(self.run.path)
                    if teaching is not None and teaching.used
                    else None,
                )
                result = self._rung(candidate, training, for_students * spent - lost)
                results[candidate.key] = (candidate, result, number)
            survivors.sort(key=lambda c: results[c.key][1].best.worth(), reverse=True)
            ranking = {c.key: results[c.key][1].best_score for c in survivors}
            shown = ", ".join(
                f"{key} {self.task.headline.shown(reached)}" for key, reached in ranking.items()
            )
            self.reporter.line(f"rung {number} of {len(rungs)}: {shown}")
            self.run.event("rung", number=number, ranking=ranking)
        order = sorted(results.values(), key=lambda r: (r[2], r[1].best.worth()), reverse=True)
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
        candidate: Candidate,
        student: Candidate,
        results: dict[str, tuple[Candidate, TrainResult, int]],
        seconds: float,
        rung: int,
    ) -> tuple[list[Candidate], float]:
        """(who is trained to the end, seconds that finding out took off the student's time).

        The teacher cut to the budget is fine-tuned for a share of the last rung; where it is ahead of the student by
        then it gets the rest as well.
        """
        rival = self.run.stage("3-rival", Rival, functools.partial(self._rival, teacher, candidate))
        self.reporter.line(rival.note)
        if rival.candidate is None:
            return [student], 0.0
        training = self._training(
            rival.candidate, seconds, decay_from=0.0, teacher=teacher.load(self.run.path)
        )
        tried = self._rung(rival.candidate, training, _TRIAL_SHARE * seconds)
        ahead = tried.best.worth() >= results[student.key][1].best.worth()
        self.reporter.line(
            f"{rival.candidate.key} {self.task.headline.shown(tried.best_score)}, {student.key} "
            f"{self.task.headline.shown(results[student.key][1].best_score)} so far: {(rival.candidate if ahead else student).key} goes on"
        )
        if not ahead:
            results[rival.candidate.key] = (rival.candidate, tried, rung - 1)
            return [student], _TRIAL_SHARE * seconds
        result = self._rung(rival.candidate, training, seconds)
        results[rival.candidate.key] = (rival.candidate, result, rung)
        return [rival.candidate], 0.0

    def _rival(self, teacher: TrainedNetwork, candidate: Candidate) -> Rival:
        return cut_to_budget(
            teacher.load(self.run.path),
            candidate,
            self.config,
            split_pictures(self.report, "train", candidate.input_contract(), self.run, self.reporter),
            self.run.path / "train" / "rival",
            width=len(self.report.dataset.labels),
            objective=self.objective,
            below=lambda path: path.relative_to(self.run.path).as_posix(),
        )

    def _teaching(
        self,
        teacher: Candidate,
        seconds: float,
        student: Candidate,
        results: Mapping[str, tuple[Candidate, TrainResult, int]],
    ) -> _Teaching:
        reached = results[student.key][1].best_score if student.key in results else 0.0
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
        self.run.metric(**metrics_row(network, point))

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
            pictures=self._pictures(contract),
            folder=self._folder(candidate),
            length=Seconds(total),
            decay_from=decay_from if candidate.start is not None else max(decay_from, 0.3),
            seed=self.config.seed,
            task=self.task,
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

    def _pictures(self, contract: InputContract) -> Pictures:
        train, val = (
            split_pictures(self.report, name, contract, self.run, self.reporter) for name in ("train", "val")
        )
        self.lost |= {*train.lost, *val.lost}
        return Pictures(train.pixels, train.targets, val.pixels, val.targets, train.bands)

    def _teacher_candidate(self, shortlist: Sequence[Candidate], seconds: float) -> Candidate | None:
        """A pretrained network well above the shortlist's in macs, where there is time for it."""
        if self.config.teacher == "none" or seconds < 60 * _TEACHER_MINUTES:
            return None
        size = max(c.size for c in shortlist)
        pool = candidates(
            short_side=self.report.short_side,
            width=len(self.report.dataset.labels),
            pictures=len(self.report.split.train),
            online=self.config.online,
        )
        best = next((c for c in pool if c.weights is not None and c.size <= size), None)
        if best is None or best.macs < _TEACHER_MACS * max(c.macs for c in shortlist):
            return None
        return best

    def _at_students(self, teacher: Candidate, student: Candidate) -> Candidate:
        """The teacher at the student's size, bands and task."""
        candidate = teacher.model_copy(update={"size": student.size}).with_bands(self.report.bands)
        candidate = candidate.with_range(student.value_range)
        return candidate.fitted(student.fitting)

    def _teach(self, teacher: Candidate, seconds: float, student: Candidate, reached: float) -> _Teaching:
        """Train the teacher at the student's size; it is followed where it is better enough than `reached`."""
        candidate = self._at_students(teacher, student)
        training = self._training(candidate, seconds, decay_from=0.3, teacher=None)
        result = self._rung(candidate, training, seconds)
        gain = result.best_score - reached
        used = gain >= _TEACHER_GAIN
        note = (
            f"teacher {candidate.key} reached {self.task.headline.shown(result.best_score)} on validation, "
            f"{100 * gain:+.1f} points against {student.key} at that time: {'followed' if used else 'not followed'}"
        )
        return _Teaching(teacher=self._summary(candidate, result, 0), used=used, note=note)

    def _summary(self, candidate: Candidate, result: TrainResult, rungs: int) -> TrainedNetwork:
        return TrainedNetwork(
            network=candidate.value(len(self.report.dataset.labels)),
            folder=self._folder(candidate).relative_to(self.run.path).as_posix(),
            score=result.best_score,
            seconds=round(result.seconds, 1),
            rungs=rungs,
            points=[CurvePoint.of(point) for point in result.points],
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
        score = "" if now.val_score is None else f"  val {self.trainer.task.headline.shown(now.val_score)}"
        self.bar.update(
            now.seconds,
            text=f"pass {now.passes:.1f}  loss {now.loss:.3f}{score}  {now.pictures_per_second:.0f} pictures/s",
        )

    def point(self, point: Point) -> None:
        self.trainer.metric(self.network, point)

    def problem(self, problem: Problem) -> None:
        self.trainer.run.event("problem", network=self.network, code=problem.code, message=problem.message)
