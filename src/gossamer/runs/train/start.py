"""A network before training: where it starts from, what it is looked at with, its recipe and its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gossamer.cost.meter import measure
from gossamer.data.augment import View
from gossamer.data.bands import RGB
from gossamer.data.cache import Pixels
from gossamer.data.check import CheckReport
from gossamer.deploy.bundle import load
from gossamer.deploy.contract import InputContract
from gossamer.errors import GossamerError, ModelError, nearest
from gossamer.nn.edits import replay
from gossamer.nn.unfold import has_plain_norms, unfold_norms
from gossamer.runs.checking import check_split, view_of
from gossamer.runs.config import parse_size
from gossamer.runs.model import Model, is_bundle, open_model, resized, width_of
from gossamer.runs.reporter import Reporter
from gossamer.runs.resolutions import resolutions_for
from gossamer.runs.teacher import load_teacher
from gossamer.runs.train.config import TrainConfig
from gossamer.runs.trained import NetworkValue
from gossamer.runs.trial import try_export
from gossamer.tasks import Task, get_task
from gossamer.train.objective import objective_of
from gossamer.train.overfit import overfit
from gossamer.train.recipe import Recipe, changed
from gossamer.train.recipes import named_recipe
from gossamer.train.training import Training
from gossamer.types import Size
from gossamer.zoo.catalogue import CATALOGUE
from gossamer.zoo.composed import trunk_of
from gossamer.zoo.spec import ModelSpec

_UNFOLDED = 48
"""Pictures that norms are told from."""

__all__ = ["Start", "metric_of", "recipe_name", "recipe_of"]


def is_recipe_file(name: str) -> bool:
    """Whether a recipe is read from a YAML file, every number of which counts, and is no name."""
    return Path(name).suffix in (".yaml", ".yml")


def recipe_name(model: str, recipe: str | None) -> str:
    """The recipe asked for, else the one that goes with a start from weights or from nothing."""
    if recipe is not None:
        return recipe
    return "small-data" if is_bundle(model) or "@" in model else "from-scratch"


def recipe_of(
    model: str,
    recipe: str | None,
    settings: Sequence[str],
    *,
    view: View = "ground",
    pictures: int = 0,
    task: str = "classify",
) -> Recipe:
    """The recipe, by its name as it fits the task, or from its file, with its settings.

    Raises:
        GossamerError: no such recipe, key or value.
    """
    name = recipe_name(model, recipe)
    written = is_recipe_file(name)
    if written:
        return changed(Recipe.from_yaml(Path(name)), list(settings))
    whole = is_bundle(model) or ("@" in model and trunk_of(model.partition("@")[0]) is None)
    base = objective_of(task).fitting(named_recipe(name, view=view, pictures=pictures), whole=whole)
    return changed(base, list(settings))


def metric_of(asked: str, task: Task) -> str:
    """What the best weights are chosen by, as `Point.worth` takes it.

    Raises:
        GossamerError: the task has no such figure, or one that is smaller where answers are better.
    """
    if asked in ("auto", task.headline.name):
        return ""
    larger = {*task.score(("0", "1")).figures()} - {each.name for each in task.criteria if not each.larger}
    if asked != "loss" and asked not in larger:
        known = ["auto", *sorted(larger), "loss"]
        raise GossamerError(
            f"--metric is loss or a figure of {task.name} that grows with right answers, got {asked!r}; {nearest(asked, known)}"
        )
    return asked


class Start:
    """The network before training, the contract it is looked at with, and the recipe."""

    def __init__(self, config: TrainConfig, report: CheckReport) -> None:
        dataset = report.dataset
        self.task: Task = get_task(dataset.task)
        self.metric = metric_of(config.metric, self.task)
        width = len(dataset.labels)
        self.recipe = recipe_of(
            config.model,
            config.recipe,
            config.set,
            view=view_of(config.view, report),
            pictures=len(report.split.train),
            task=dataset.task,
        )
        objective = objective_of(dataset.task)
        objective.check_recipe(self.recipe)
        bands = RGB if report.bands is None else report.bands.names
        model = open_model(
            config.model, task=dataset.task, width=width, bands=bands, seed=config.seed, online=config.online
        )
        if model.bundle is not None:
            check_split(model.bundle, report, config.split_seed)
        self.contract = _contract(config, report, model)
        try_export(replace(model, contract=self.contract), config.on)
        self.network, spec = self._fitted(report, model)
        objective.check_network(self.network)
        width_of(self.network, self.contract, config.model, self.task)
        self.pretrained = model.weights is not None
        self.teacher: tuple[nn.Module, InputContract] | None = None
        if config.teacher is not None:
            _check_teachers(config, report)
            self.teacher = load_teacher(
                config.teacher,
                task=dataset.task,
                width=width,
                size=self.contract.size,
                online=config.online,
            )
        cost = measure(self.network, self.contract.shape)
        self.value = NetworkValue(
            label=spec.label,
            spec=spec.to_json(),
            contract=self.contract.to_json(),
            weights=model.weights,
            params=cost.params,
            macs=cost.macs,
        )

    def ready(self, training: Training, reporter: Reporter, *, again: bool) -> None:
        """Norms that a file folded away are made again from training pictures; of a task whose figures are slow to rise it is
        told whether one batch can be learned by heart, but not `again` where a run goes on."""
        if self.pretrained and has_plain_norms(self.network):
            self._unfold(training.pictures.train, reporter)
        if self.task.slow and not again:
            reporter.line(overfit(training).told)

    def _unfold(self, pixels: Pixels, reporter: Reporter) -> None:
        count = min(_UNFOLDED, len(pixels))
        chosen = np.sort(np.random.default_rng(0).permutation(len(pixels))[:count])
        unfold_norms(self.network, torch.from_numpy(self.contract.normalise(pixels[chosen])))
        reporter.line(f"the weights came without norms: made again from {count} training pictures")

    def _fitted(self, report: CheckReport, model: Model) -> tuple[nn.Module, ModelSpec]:
        """The network with the task's edits of its last layer, where it was not trained for the task before."""
        dataset, spec = report.dataset, model.spec
        spec = ModelSpec(spec.name, {**spec.arguments, "num_classes": len(dataset.labels)}, spec.edits)
        if (
            model.bundle is not None
            and model.bundle.task == dataset.task
            and model.labels == model.bundle.labels
        ):
            return model.network, spec
        targets = self.task.array([dataset.samples[i].target for i in report.split.train], dataset.labels)
        network = model.network
        for edit in self.task.edits(targets, dataset.labels):
            network, spec = replay(network, edit), spec.with_edit(edit)
        return network, spec


def _contract(config: TrainConfig, report: CheckReport, model: Model) -> InputContract:
    """By the values of the bands where they are named, else as the weights want their pictures; at the size asked for."""
    own = model.contract
    size = None if config.size is None else parse_size(config.size)
    if model.bundle is None:
        size = size or _size_for(model.spec.name, report.short_side)
    names = RGB if report.bands is None else report.bands.names
    if report.bands is not None and (model.bundle is None or own.bands != names):
        own = replace(InputContract.of_bands(report.bands, own.size), resize=own.resize)
    elif own.bands != names:
        own = InputContract.of("imagenet", own.size)
    return resized(replace(own, value_range=report.value_range or own.value_range), size, config.resize)


def _size_for(name: str, short_side: int) -> Size:
    """The size of the pictures, at most the network's own where it has one."""
    fitting = resolutions_for(short_side)
    own = CATALOGUE[name].input if name in CATALOGUE else max(fitting)
    side = max([size for size in fitting if size <= own], default=min(own, max(32, short_side)))
    return Size(side, side)


def _check_teachers(config: TrainConfig, report: CheckReport) -> None:
    """A bundle must name the labels as the data do: outputs are compared by their place."""
    labels = report.dataset.labels
    for path in (config.teacher or "").split("+"):
        if is_bundle(path):
            bundle = load(path)
            check_split(bundle, report, config.split_seed)
            theirs = bundle.labels
            if bundle.task != report.dataset.task or tuple(theirs) != tuple(labels):
                wrong = next((a for a, b in zip(theirs, labels, strict=False) if a != b), theirs[-1])
                raise ModelError(
                    f"a teacher knows the same classes in the same order, {path} has {len(theirs)} of which "
                    f"{wrong!r} differs from the {len(labels)} here; train it on these data first"
                )
