"""A network before training: where it starts from, what it is looked at with, its recipe and its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from gossamer.cost.meter import measure
from gossamer.data.augment import View
from gossamer.data.bands import RGB
from gossamer.data.check import CheckReport
from gossamer.deploy.bundle import load
from gossamer.deploy.contract import InputContract
from gossamer.errors import ModelError
from gossamer.fit.candidates import Candidate, resolutions_for
from gossamer.fit.checking import check_seed
from gossamer.fit.config import TrainConfig
from gossamer.fit.training import view_of
from gossamer.nn.adapt import adapt
from gossamer.train.recipe import Recipe, changed
from gossamer.train.recipes import named_recipe
from gossamer.train.teachers import load_teacher
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CATALOGUE
from gossamer.zoo.of_bundle import network_of
from gossamer.zoo.spec import parse_model
from gossamer.zoo.weights import find_source

__all__ = ["Start", "recipe_name", "recipe_of"]


def recipe_name(model: str, recipe: str | None) -> str:
    """The recipe asked for, else the one that goes with a start from weights or from nothing."""
    if recipe is not None:
        return recipe
    trained = (Path(model) / "model.json").is_file() or "@" in model
    return "small-data" if trained else "from-scratch"


def recipe_of(
    model: str, recipe: str | None, settings: Sequence[str], *, view: View = "ground", pictures: int = 0
) -> Recipe:
    """The recipe with its settings.

    Raises:
        GossamerError: no such recipe, key or value.
    """
    return changed(named_recipe(recipe_name(model, recipe), view=view, pictures=pictures), list(settings))


class Start:
    """The network before training, the contract it is looked at with, and the recipe."""

    def __init__(self, config: TrainConfig, report: CheckReport) -> None:
        classes = len(report.dataset.labels)
        self.recipe = recipe_of(
            config.model,
            config.recipe,
            config.settings,
            view=view_of(config, report),
            pictures=len(report.split.train),
        )
        if (Path(config.model) / "model.json").is_file():
            bundle = load(config.model)
            check_seed(bundle, report, config.seed)
            size = config.size or bundle.contract.size.height
            network = network_of(bundle)
            names = RGB if report.bands is None else report.bands.names
            others = None if names == bundle.contract.bands else len(names)
            adapt(network, num_classes=None if len(bundle.labels) == classes else classes, in_channels=others)
            arguments = {**bundle.spec.arguments, **({} if others is None else {"in_channels": others})}
            spec = type(bundle.spec)(
                bundle.spec.name, {**arguments, "num_classes": classes}, bundle.spec.edits
            )
            self.contract = _contract(report, "imagenet", size) if others else _resized(bundle.contract, size)
            self.pretrained, preprocessing = True, None
            weights: str | None = str(Path(config.model))
        else:
            spec, weights = parse_model(config.model)
            size = config.size or _size_for(spec.name, report.short_side)
            source = find_source(spec.name, weights)[1] if weights is not None else None
            preprocessing = "imagenet" if source is None else source.preprocessing
            bands = None if report.bands is None else len(report.bands.names)
            arguments = {**spec.arguments, **({} if source is None else source.arguments)}
            arguments |= {} if bands is None else {"in_channels": bands}
            network = build(config.model, num_classes=classes, seed=config.seed, in_channels=bands)
            self.contract = _contract(report, preprocessing, size)
            self.pretrained = weights is not None
        self.network: nn.Module = network
        self.teacher: tuple[nn.Module, InputContract] | None = None
        if config.teacher is not None:
            _check_teachers(config.teacher, report, config.seed)
            self.teacher = load_teacher(config.teacher, num_classes=classes, size=size, online=config.online)
        cost = measure(network, self.contract.shape)
        self.candidate = Candidate(
            name=spec.label,
            size=size,
            weights=weights,
            preprocessing=preprocessing or "imagenet",
            contract=self.contract.to_json(),
            arguments={k: v for k, v in arguments.items() if k != "num_classes"},
            edits=[dict(edit) for edit in spec.edits],
            params=cost.params,
            macs=cost.macs,
            promise=0.0,
        )


def _contract(report: CheckReport, preprocessing: str, size: int) -> InputContract:
    """By the values of the bands where they are named, else as the weights want their pictures."""
    if report.bands is not None:
        return InputContract.of_bands(report.bands, size)
    return InputContract.of(preprocessing, size)


def _resized(contract: InputContract, size: int) -> InputContract:
    document = {**contract.to_json(), "size": [size, size]}
    return InputContract.from_json(document)


def _size_for(name: str, short_side: int) -> int:
    """The size of the pictures, at most the network's own where it has one."""
    fitting = resolutions_for(short_side)
    own = CATALOGUE[name].input if name in CATALOGUE else max(fitting)
    return max([size for size in fitting if size <= own], default=min(own, max(32, short_side)))


def _check_teachers(text: str, report: CheckReport, seed: int) -> None:
    """A bundle must name the classes as the data do: scores are compared by their place."""
    labels = report.dataset.labels
    for path in text.split("+"):
        if (Path(path) / "model.json").is_file():
            bundle = load(path)
            check_seed(bundle, report, seed)
            theirs = bundle.labels
            if tuple(theirs) != tuple(labels):
                wrong = next((a for a, b in zip(theirs, labels, strict=False) if a != b), theirs[-1])
                raise ModelError(
                    f"a teacher knows the same classes in the same order, {path} has {len(theirs)} of which "
                    f"{wrong!r} differs from the {len(labels)} here; train it on these data first"
                )
