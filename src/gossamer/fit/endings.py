"""Stage 3 of pretrained networks: their early layers are run once for some views of every picture, the rest is trained.

In order, as the minutes allow: the linear probe, which is the floor; the end of the network that ships; passes with every
layer thawed; once the file is chosen, the end again on the pictures that validated as well. What validates best is kept,
and never less than the probe. What was tried and left out, a teacher among it, is told in docs/results.md.
"""

from __future__ import annotations

import copy
import functools
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
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
    JoinedMaps,
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
from gossamer.train.training import Pictures, Seconds, Training
from gossamer.zoo.build import build
from gossamer.zoo.checkpoints import read_checkpoint

__all__ = ["Endings", "can_end"]

_VIEWS = 8
_VIEWS_SHARE = 0.35
"""Of the seconds, that making maps may take: where it would be more, fewer views are made."""
_LEAST_PASSES = 4.0
"""Of an end, before the second one that learns from all pictures is worth its time."""
_THAW_SECONDS = 60.0
_THAW_RATE = 0.2
"""Of the rate of `small-data`, which trains all layers from the start."""
_LEAST_SHARE = 0.3
"""Of the seconds, that is trained even where making the maps took longer than was thought."""
_TRIED = 8
_OVERHEAD = 1.25
"""Of a pass over its steps alone: gathering, averages, the loop."""


def can_end(candidates: Sequence[Candidate], pictures: int) -> bool:
    """Whether all of them have weights, and early layers that can be run once with maps of so many pictures on disk."""
    return bool(candidates) and all(c.weights is not None and _can_part(c, pictures) for c in candidates)


def _can_part(candidate: Candidate, pictures: int) -> bool:
    with torch.device("meta"), torch.no_grad():
        network = build(candidate.spec(2)).eval()
        stages = frozen_stages(network)
        if not stages:
            return False
        assert isinstance(network, Network)
        maps = network.stem(torch.zeros(candidate.input_contract().shape))
        for stage in list(network.stages)[:stages]:
            maps = stage(maps)
    return view_count(maps.shape[1:], pictures, 1) > 0


class _Probed(BaseModel):
    """What the probe reached as a network, on validation."""

    score: float | None
    note: str


class _Plan(BaseModel):
    """How the seconds are shared out: decided once, when the speed of a step was measured."""

    ending: float
    refit: float
    """Of the end on all pictures; 0 where there is none."""
    thawed: float


@dataclass
class _Part:
    """A network with its end as one of its own."""

    candidate: Candidate
    network: Network
    ending: Network


class _AllMaps(NamedTuple):
    """Maps of both splits in several views, with their targets."""

    train: Maps
    train_targets: NDArray[Any]
    val: Maps
    val_targets: NDArray[Any]

    def pictures(self) -> Pictures:
        """To train on one split and validate on the other, seen as it is."""
        return Pictures(self.train, self.train_targets, self.val[0], self.val_targets)  # type: ignore[arg-type]

    def all_pictures(self) -> Pictures:
        """To train on both; what it reaches on validation is then what it remembers."""
        maps: Any = JoinedMaps([self.train, self.val])
        targets = np.concatenate([self.train_targets, self.val_targets])
        return Pictures(maps, targets, self.val[0], self.val_targets)


class Endings(Trainer):
    """One network, the most promising, trained behind layers that were run once."""

    def train(self, shortlist: Sequence[Candidate], seconds: float) -> Trained:
        """Train within `seconds` of the clock (a resumed run counts what it trained before)."""
        began = time.monotonic()
        part = self._part(shortlist[0])
        maps = self._maps(part, seconds)
        pictures = maps.pictures()
        probed = self.run.stage("3-probe", _Probed, functools.partial(self._probe, part, pictures))
        self.reporter.line(probed.note)
        left = max(seconds - (time.monotonic() - began), _LEAST_SHARE * seconds)
        plan = self.run.stage("3-shares", _Plan, functools.partial(self._plan, part, maps, left))
        trained = self._end(part, pictures, plan.ending, "ending")
        self.reporter.line(
            f"end trained for {trained.points[-1].passes:.1f} passes over {len(maps.train)} views: "
            f"{self.task.headline.shown(trained.score)} of validation"
        )
        if plan.thawed:
            trained = self._thawed(part, trained, plan.thawed)
        notes = [probed.note]
        if probed.score is not None and probed.score > trained.score:
            notes.append(self._back_to_probe(part, trained, probed.score))
            trained = trained.model_copy(update={"score": probed.score, "rungs": 0})
        return Trained(
            networks=[trained],
            notes=notes,
            lost=sorted(self.lost),
            view=self.view,
            pictures_per_second=round(self.speed, 1),
            probe=probed.score,
        )

    def refit(self, candidate: Candidate, trained: TrainedNetwork, seconds: float) -> TrainedNetwork | None:
        """The end trained anew, as long a pass as before, on the training and validation pictures together.

        None where there was no time for it, where something else than an end ships, or where it forgot what the first
        end knew of the validation pictures.
        """
        plan = self.run.stage("3-shares", _Plan, lambda: _Plan(ending=0, refit=0, thawed=0))
        if trained.rungs != 1 or not plan.refit:
            return None
        part = self._part(candidate)
        refitted = self._end(part, self._maps(part, seconds).all_pictures(), plan.refit, "refit")
        better = refitted.score >= trained.score
        self.reporter.line(
            f"end trained again with the validation pictures: it knows {self.task.headline.shown(refitted.score)} of them"
            + ("" if better else ", less than the first: left out")
        )
        return refitted if better else None

    def _part(self, candidate: Candidate) -> _Part:
        width = len(self.report.dataset.labels)
        network = build(candidate.spec(width), weights=candidate.weights, seed=self.config.seed)
        assert isinstance(network, Network)
        return _Part(candidate, network, ending_of(network, frozen_stages(network)))

    def _maps(self, part: _Part, seconds: float) -> _AllMaps:
        """Maps of both splits, in as many views as there are disk and time for."""
        contract = part.candidate.input_contract()
        beginning = Beginning(part.network, frozen_stages(part.network), contract)
        names: tuple[SplitName, ...] = ("train", "val")
        splits = [split_pictures(self.report, name, contract, self.run, self.reporter) for name in names]
        self.lost |= {lost for split in splits for lost in split.lost}
        count = sum(len(split.targets) for split in splits)
        views = self.run.stage(
            "3-views", _Views, lambda: _Views(count=_views(beginning, count, _VIEWS_SHARE * seconds))
        ).count
        maps: list[Maps] = []
        for name, split in zip(names, splits, strict=True):
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
        return _AllMaps(maps[0], splits[0].targets, maps[1], splits[1].targets)

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

    def _plan(self, part: _Part, maps: _AllMaps, left: float) -> _Plan:
        """Passes as the recipe wants them where the seconds suffice; what is left over thaws the network."""
        pictures = maps.pictures()
        wanted, own = self._recipe_of(part, pictures).epochs, self._pass_seconds(part, pictures)
        again = (len(maps.train_targets) + len(maps.val_targets)) / len(maps.train_targets)
        passes = min(wanted, left / (own * (1 + again)))
        if passes < _LEAST_PASSES:
            return _Plan(ending=min(left, wanted * own), refit=0, thawed=0)
        over = left - passes * own * (1 + again)
        return _Plan(
            ending=passes * own, refit=passes * own * again, thawed=over if over >= _THAW_SECONDS else 0
        )

    def _pass_seconds(self, part: _Part, pictures: Pictures) -> float:
        training = self._of_ending(part, pictures, 1.0, "trial")
        step, score = step_seconds(training)
        steps = -(-len(pictures.train_targets) // training.recipe.batch)
        batches = -(-len(pictures.val_targets) // training.recipe.batch)
        return _OVERHEAD * (steps * step + batches * score)

    def _of_ending(self, part: _Part, pictures: Pictures, seconds: float, what: str) -> Training:
        labels = self.report.dataset.labels
        recipe = self._recipe_of(part, pictures)
        contract = contract_of_maps(pictures.train.shape[2:])
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
            threads=torch.get_num_threads(),
            prepared=True,
        )

    def _recipe_of(self, part: _Part, pictures: Pictures) -> Recipe:
        params = sum(p.numel() for p in part.ending.parameters())
        return ending_recipe(view=self.view, pictures=len(pictures.train_targets), params=params)

    def _end(self, part: _Part, pictures: Pictures, seconds: float, what: str) -> TrainedNetwork:
        """Train a network's end; the best weights of the whole lie in a folder of its own afterwards."""
        training = self._of_ending(part, pictures, seconds, what)
        result = self.rung(part.candidate, training, seconds)
        part.ending.load_state_dict(read_checkpoint(training.folder / "best.safetensors"))
        save_average(self._weights(part, f"{what}/whole/best"), part.network)
        summary, recipe = self.summary(part.candidate, result, 1), training.recipe
        folder = (training.folder / "whole").relative_to(self.run.path).as_posix()
        return summary.model_copy(
            update={"folder": folder, "recipe": recipe.to_json(), "wanted": recipe.epochs}
        )

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
        folder = training.folder.relative_to(self.run.path).as_posix()
        return thawed.model_copy(
            update={"folder": folder, "points": points, "seconds": seconds, "wanted": ended.wanted}
        )

    def _back_to_probe(self, part: _Part, student: TrainedNetwork, floor: float) -> str:
        best = self.run.path / student.folder / "best.safetensors"
        shutil.copyfile(self._weights(part, "probe"), best)
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


class _Views(BaseModel):
    """How many views were made: a resumed run has the same."""

    count: int


def _views(beginning: Beginning, pictures: int, seconds: float) -> int:
    """As many as there are disk and time for, one at least, by the time of one batch."""
    bands, height, width = beginning.contract.shape[1:]
    example = torch.zeros(_TRIED, bands, height, width)
    beginning.maps(example)
    began = time.monotonic()
    beginning.maps(example)
    each = max(1e-6, (time.monotonic() - began) / _TRIED)
    most = max(1, min(_VIEWS, int(seconds / (each * pictures))))
    return view_count(beginning.shape(), pictures, most)


def _after(point: CurvePoint, seconds: float) -> CurvePoint:
    return point.model_copy(update={"seconds": point.seconds + seconds})
