"""Stage 3: the shortlist by successive halving, a teacher where it helps, all within the minutes there are."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from gossamer.fit.candidates import Candidate
from gossamer.fit.rival import Rival, cut_to_budget
from gossamer.fit.trainer import Trainer
from gossamer.runs.pictures import split_pictures
from gossamer.runs.trained import Trained, TrainedNetwork
from gossamer.train.training import TrainResult

__all__ = ["Halving"]

_RUNG_SHARES: dict[int, tuple[tuple[int, float], ...]] = {
    1: ((1, 1.0),),
    2: ((2, 0.12), (1, 0.76)),
    3: ((3, 0.07), (2, 0.09), (1, 0.61)),
    4: ((4, 0.06), (2, 0.09), (1, 0.58)),
}
"""Candidates -> rungs of (how many go on, share of the training time each gets in it)."""
_TEACHER_SHARE = 0.3
_TEACHER_GAIN = 0.01
_TRIAL_SHARE = 0.25
"""Of the last rung, in which the teacher cut to the budget shows whether it is ahead of the shortlist's best."""


class _Teaching(BaseModel):
    """The teacher and whether it is followed: decided once, so that a resumed run does not change its mind."""

    teacher: TrainedNetwork
    used: bool
    note: str


class Halving(Trainer):
    """The networks of the shortlist, fewer and fewer of them, each trained further in every rung."""

    def train(self, shortlist: Sequence[Candidate], seconds: float) -> Trained:
        """Train the shortlist for `seconds` in all (of training time: a resumed run counts what it did before)."""
        survivors = list(shortlist)
        results: dict[str, tuple[Candidate, TrainResult, int]] = {}
        rungs = _RUNG_SHARES[len(survivors)]
        teacher = self.teacher_candidate(survivors, seconds)
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
                training = self.training(
                    candidate,
                    for_students * whole,
                    decay_from=1 - rungs[-1][1] / whole,
                    teacher=teaching.teacher.load(self.run.path)
                    if teaching is not None and teaching.used
                    else None,
                )
                result = self.rung(candidate, training, for_students * spent - lost)
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
            networks=[self.summary(*r) for r in order],
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
        training = self.training(
            rival.candidate, seconds, decay_from=0.0, teacher=teacher.load(self.run.path)
        )
        tried = self.rung(rival.candidate, training, _TRIAL_SHARE * seconds)
        ahead = tried.best.worth() >= results[student.key][1].best.worth()
        self.reporter.line(
            f"{rival.candidate.key} {self.task.headline.shown(tried.best_score)}, {student.key} "
            f"{self.task.headline.shown(results[student.key][1].best_score)} so far: {(rival.candidate if ahead else student).key} goes on"
        )
        if not ahead:
            results[rival.candidate.key] = (rival.candidate, tried, rung - 1)
            return [student], _TRIAL_SHARE * seconds
        result = self.rung(rival.candidate, training, seconds)
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

    def _at_students(self, teacher: Candidate, student: Candidate) -> Candidate:
        """The teacher at the student's size, bands and task."""
        candidate = teacher.model_copy(update={"size": student.size}).with_bands(self.report.bands)
        candidate = candidate.with_range(student.value_range)
        return candidate.fitted(student.fitting)

    def _teach(self, teacher: Candidate, seconds: float, student: Candidate, reached: float) -> _Teaching:
        """Train the teacher at the student's size; it is followed where it is better enough than `reached`."""
        candidate = self._at_students(teacher, student)
        training = self.training(candidate, seconds, decay_from=0.3, teacher=None)
        result = self.rung(candidate, training, seconds)
        gain = result.best_score - reached
        used = gain >= _TEACHER_GAIN
        note = (
            f"teacher {candidate.key} reached {self.task.headline.shown(result.best_score)} on validation, "
            f"{100 * gain:+.1f} points against {student.key} at that time: {'followed' if used else 'not followed'}"
        )
        return _Teaching(teacher=self.summary(candidate, result, 0), used=used, note=note)
