"""Stage 3 of pretrained networks: their early layers are run once for some views of every picture, the rest is trained.

In order, as the minutes allow: the linear probe, which is the floor; a teacher, the whole of the pretrained network
behind the same early layers; the network that ships, which follows it; a few passes with every layer thawed. What
validates best is kept, and never less than the probe.
"""

from __future__ import annotations

import copy
import functools
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn

from gossamer.data.dataset import SplitName
from gossamer.fit.candidates import Candidate
from gossamer.fit.trainer import Trainer
from gossamer.nn.network import Network
from gossamer.runs.pictures import split_pictures
from gossamer.runs.trained import CurvePoint, Trained, TrainedNetwork
from gossamer.train.endings import (
    Beginning,
    Maps,
    Source,
    contract_of_maps,
    ending_of,
    frozen_stages,
    make_maps,
    view_count,
)
from gossamer.train.loop import step_seconds
from gossamer.train.pace import save_average
from gossamer.train.probe import floor_of, linear_probe
from gossamer.train.recipe import Recipe
from gossamer.train.recipes import ending_recipe
from gossamer.train.teachers import Teaching
from gossamer.train.training import Pictures, Seconds, Training
from gossamer.zoo.build import build
from gossamer.zoo.checkpoints import read_checkpoint

__all__ = ["Endings", "can_end"]

_VIEWS = 8
_TEACHER_MACS = 1.3
_LEAST_PASSES = 5.0
"""Of the teacher and of its student: where there is time for fewer the student has all of it."""
_THAW_SECONDS = 60.0
_THAW_RATE = 0.2
"""Of the rate of `small-data`, which trains all layers from the start."""
_OVERHEAD = 1.25
"""Of a pass over its steps alone: gathering, averages, the loop."""


def can_end(candidates: Sequence[Candidate]) -> bool:
    """Whether all of them have weights, and early layers that can be run once."""
    return bool(candidates) and all(c.weights is not None and frozen_stages(_meta(c)) > 0 for c in candidates)


def _meta(candidate: Candidate) -> torch.nn.Module:
    with torch.device("meta"):
        return build(candidate.spec(2))


class _Probed(BaseModel):
    """What the probe reached as a network, on validation."""

    score: float | None
    note: str


class _Plan(BaseModel):
    """How the seconds are shared out: decided once, when the speed of a step was measured."""

    teacher: float
    student: float
    passes: float
    """Of the student, as expected."""


@dataclass
class _Part:
    """A network with its end as one of its own."""

    candidate: Candidate
    network: Network
    ending: Network


class Endings(Trainer):
    """One network, the most promising, trained behind layers that were run once."""

    def train(self, shortlist: Sequence[Candidate], seconds: float) -> Trained:
        """Train within `seconds` of the clock (a resumed run counts what it trained before)."""
        began = time.monotonic()
        candidate = shortlist[0]
        part = self._part(candidate)
        pictures = self._maps(part)
        probed = self.run.stage("3-probe", _Probed, functools.partial(self._probe, part, pictures))
        self.reporter.line(probed.note)
        left = max(seconds - (time.monotonic() - began), 0.3 * seconds)
        whole = self._teacher(candidate)
        plan = self.run.stage("3-shares", _Plan, functools.partial(self._plan, part, whole, pictures, left))
        teacher: TrainedNetwork | None = None
        if whole is not None and plan.teacher:
            teacher = self._end(whole, pictures, plan.teacher, None, "teacher")
        student = self._end(part, pictures, plan.student, whole if teacher is not None else None, "ending")
        thaw = left - plan.teacher - plan.student
        if thaw >= _THAW_SECONDS:
            student = self._thawed(part, student, thaw)
        notes = [probed.note]
        if probed.score is not None and probed.score > student.score:
            notes.append(self._back_to_probe(part, student, probed.score))
            student = student.model_copy(update={"score": probed.score})
        if teacher is not None:
            notes.append(
                f"teacher {teacher.network.key} reached {self.task.headline.shown(teacher.score)} on validation: followed"
            )
        return Trained(
            networks=[student],
            teacher=teacher,
            teacher_used=teacher is not None,
            notes=notes,
            lost=sorted(self.lost),
            view=self.view,
            pictures_per_second=round(self.speed, 1),
            probe=probed.score,
        )

    def _part(self, candidate: Candidate) -> _Part:
        width = len(self.report.dataset.labels)
        network = build(candidate.spec(width), weights=candidate.weights, seed=self.config.seed)
        assert isinstance(network, Network)
        return _Part(candidate, network, ending_of(network, frozen_stages(network)))

    def _maps(self, part: _Part) -> Pictures:
        """Training maps in several views, validation maps in one."""
        contract = part.candidate.input_contract()
        beginning = Beginning(part.network, frozen_stages(part.network), contract)
        train, val = (
            split_pictures(self.report, name, contract, self.run, self.reporter) for name in ("train", "val")
        )
        self.lost |= {*train.lost, *val.lost}
        count = view_count(beginning.shape(), len(train.targets), _VIEWS)
        maps: list[Maps] = []
        names: tuple[SplitName, ...] = ("train", "val")
        for name, split, views in zip(names, (train, val), (max(count, 1), 1), strict=True):
            source = Source(
                split.pixels, split.bands, f"{self.report.fingerprint} {self.report.split_digest} {name}"
            )
            with self.reporter.bar(f"early layers, {name}", views * len(split.targets)) as bar:
                maps.append(
                    make_maps(
                        beginning,
                        source,
                        views,
                        self.run.path / "cache",
                        augmentation=ending_recipe(view=self.view).augmentation,
                        seed=self.config.seed,
                        tick=bar.update,
                    )
                )
        return Pictures(maps[0], train.targets, maps[1][0], val.targets)  # type: ignore[arg-type]

    def _probe(self, part: _Part, pictures: Pictures) -> _Probed:
        """The floor: the linear probe as a network, its weights kept beside the others."""
        labels, contract = self.report.dataset.labels, part.candidate.input_contract()
        common: dict[str, Any] = {
            "task": self.task,
            "objective": self.objective,
            "labels": labels,
            "prepared": True,
        }
        known = (pictures.val, pictures.val_targets)
        probe = linear_probe(
            part.ending,
            contract,
            pictures.train[0],
            pictures.train_targets,
            *known,
            seed=self.config.seed,
            **common,
        )
        floor = floor_of(part.ending, contract, probe.fitted, *known, **common)
        if floor is None:
            return _Probed(score=None, note="no linear probe: the last layer has no bias to hold one")
        save_average(self._weights(part, "probe"), self._whole(part, floor.network))
        note = (
            f"linear probe on {probe.dimensions} features: {self.task.headline.shown(floor.score)} of validation in "
            f"{probe.seconds:.1f} s; nothing below it ships"
        )
        return _Probed(score=floor.score, note=note)

    def _teacher(self, candidate: Candidate) -> _Part | None:
        """The whole of the network that the candidate is the beginning of, where it is larger by enough."""
        if self.config.teacher == "none":
            return None
        whole = next((c for c in self.pool() if c.name == candidate.base and c.size == candidate.size), None)
        if whole is None or whole.macs < _TEACHER_MACS * candidate.macs:
            return None
        return self._part(whole.with_bands(self.report.bands).fitted(candidate.fitting))

    def _plan(self, part: _Part, whole: _Part | None, pictures: Pictures, left: float) -> _Plan:
        """Passes as the recipe wants them where the seconds suffice; a teacher only where both get enough."""
        wanted = self._recipe_of(part, pictures).epochs
        own = self._pass_seconds(part, pictures)
        alone = _Plan(teacher=0.0, student=min(left, wanted * own), passes=min(wanted, left / own))
        if whole is None:
            return alone
        theirs = self._pass_seconds(whole, pictures)
        following = own + theirs / 3
        share = min(1.0, left / (wanted * (theirs + following)))
        if share * wanted < _LEAST_PASSES:
            return alone
        passes = share * wanted
        return _Plan(teacher=passes * theirs, student=passes * following, passes=passes)

    def _pass_seconds(self, part: _Part, pictures: Pictures) -> float:
        training = self._of_ending(part, pictures, 1.0, None, "trial")
        step, score = step_seconds(training)
        steps = -(-len(pictures.train_targets) // training.recipe.batch)
        batches = -(-len(pictures.val_targets) // training.recipe.batch)
        return _OVERHEAD * (steps * step + batches * score)

    def _of_ending(
        self, part: _Part, pictures: Pictures, seconds: float, teacher: _Part | None, what: str
    ) -> Training:
        labels = self.report.dataset.labels
        recipe = self._recipe_of(part, pictures)
        contract = contract_of_maps(pictures.train.shape[2:])
        teaching = None
        if teacher is not None:
            teaching = Teaching(
                teacher.ending,
                part.ending,
                recipe.distillation,
                width=len(labels),
                objective=self.objective,
                contract=contract,
            )
        return Training(
            network=part.ending,
            contract=contract,
            recipe=recipe,
            pictures=pictures,
            folder=self.folder(part.candidate) / what,
            length=Seconds(seconds),
            seed=self.config.seed,
            task=self.task,
            labels=tuple(labels),
            teaching=teaching,
            threads=torch.get_num_threads(),
            prepared=True,
        )

    def _recipe_of(self, part: _Part, pictures: Pictures) -> Recipe:
        params = sum(p.numel() for p in part.ending.parameters())
        return ending_recipe(view=self.view, pictures=len(pictures.train_targets), params=params)

    def _end(
        self, part: _Part, pictures: Pictures, seconds: float, teacher: _Part | None, what: str
    ) -> TrainedNetwork:
        """Train a network's end; the best weights of the whole lie in the folder afterwards."""
        training = self._of_ending(part, pictures, seconds, teacher, what)
        result = self.rung(part.candidate, training, seconds)
        part.ending.load_state_dict(read_checkpoint(training.folder / "best.safetensors"))
        save_average(self._weights(part, "best"), part.network)
        summary = self.summary(part.candidate, result, 1)
        recipe = training.recipe
        return summary.model_copy(update={"recipe": recipe.to_json(), "wanted": recipe.epochs})

    def _thawed(self, part: _Part, ended: TrainedNetwork, seconds: float) -> TrainedNetwork:
        """Every layer trained at a low rate from where the end stands; kept where it validates better."""
        candidate = part.candidate
        training = self.training(candidate, seconds, decay_from=0.0, teacher=None)
        training = replace(
            training,
            network=part.network,
            recipe=replace(
                training.recipe,
                learning_rate=_THAW_RATE * training.recipe.learning_rate,
                start_resolution=1.0,
            ),
            folder=training.folder / "thawed",
        )
        result = self.rung(candidate, training, seconds)
        thawed = self.summary(candidate, result, 2)
        self.reporter.line(
            f"all layers thawed for {result.points[-1].passes:.1f} passes: {self.task.headline.shown(thawed.score)} "
            f"on validation, {self.task.headline.shown(ended.score)} before"
        )
        points = [*ended.points, *(_after(point, ended.seconds) for point in thawed.points)]
        seconds = ended.seconds + thawed.seconds
        if thawed.score <= ended.score:
            return ended.model_copy(update={"points": points, "seconds": seconds})
        shutil.copyfile(training.folder / "best.safetensors", self._weights(part, "best"))
        return thawed.model_copy(update={"points": points, "seconds": seconds, "wanted": ended.wanted})

    def _back_to_probe(self, part: _Part, student: TrainedNetwork, floor: float) -> str:
        shutil.copyfile(self._weights(part, "probe"), self._weights(part, "best"))
        note = (
            f"training ended at {self.task.headline.shown(student.score)} of validation, below the linear probe's "
            f"{self.task.headline.shown(floor)}: the probe's network ships"
        )
        self.reporter.line(note, style="yellow")
        return note

    def _whole(self, part: _Part, ending: nn.Module) -> nn.Module:
        """The network with another end."""
        whole = copy.deepcopy(part.network)
        ending_of(whole, frozen_stages(whole)).load_state_dict(ending.state_dict())
        return whole

    def _weights(self, part: _Part, what: str) -> Path:
        return self.folder(part.candidate) / f"{what}.safetensors"


def _after(point: CurvePoint, seconds: float) -> CurvePoint:
    return point.model_copy(update={"seconds": point.seconds + seconds})
