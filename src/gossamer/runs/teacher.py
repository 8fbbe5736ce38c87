"""A teacher from its name: a bundle's folder, NAME@WEIGHTS, or several joined by + (torch)."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from gossamer.deploy.bundle import load
from gossamer.deploy.contract import InputContract
from gossamer.errors import ModelError
from gossamer.runs.hubs import check_weights
from gossamer.runs.model import Model, is_bundle, open_model, resized
from gossamer.train.objective import objective_of
from gossamer.train.teachers import Ensemble, other_width
from gossamer.types import Size
from gossamer.zoo.build import published_classes
from gossamer.zoo.spec import ModelSpec, parse_model
from gossamer.zoo.weights import find_source

__all__ = ["check_teacher", "load_teacher"]


def load_teacher(
    text: str, *, task: str, width: int, size: Size, online: bool = False
) -> tuple[nn.Module, InputContract]:
    """A teacher of `width` numbers and its contract; joined by + an `Ensemble`, at the first one's contract.

    A named network's contract has the given `size`. Weights that lie on a hub are fetched only `online`.

    Raises:
        ModelError: other classes, an untrained network, weights on a hub, or what `zoo.build` raises.
        BundleError: the folder is no whole bundle.
    """
    members = [_load_one(part, width, size, online=online) for part in _parts(text)]
    if len(members) == 1:
        return members[0]
    return Ensemble(members, objective_of(task)), members[0][1]


def check_teacher(text: str, *, online: bool) -> None:
    """Complain about teachers that cannot be, before anything is read for them.

    Raises:
        ModelError, BundleError: an untrained network, no bundle, no such weights, or weights on a hub.
    """
    for part in _parts(text):
        if is_bundle(part) or Path(part).is_dir():
            load(part)
        else:
            spec, weights = _named(part)
            check_weights(spec.name, weights, online=online)


def _parts(text: str) -> list[str]:
    return [text] if Path(text).is_dir() else [part.strip() for part in text.split("+")]


def _named(text: str) -> tuple[ModelSpec, str]:
    """A network by name and its weights; without weights, or cut, it teaches nothing."""
    spec, weights = parse_model(text)
    if weights is None or spec.edits:
        lacks = "a cut network without a trained head" if spec.edits else "a name without weights"
        raise ModelError(
            f"a teacher has been trained, {text!r} is {lacks}; give NAME@WEIGHTS, or train it first, "
            "`gossamer train DATA --model NAME`, and give its bundle"
        )
    return spec, weights


def _of_folder(text: str) -> Model:
    load(text)  # a folder that is no bundle says so
    return open_model(text)


def _load_one(text: str, width: int, size: Size, *, online: bool) -> tuple[nn.Module, InputContract]:
    if is_bundle(text) or Path(text).is_dir():
        model = _of_folder(text)
        if len(model.labels) != width:
            raise ModelError(other_width(f"the bundle {text}", len(model.labels), width))
        return model.network, model.contract
    spec, weights = _named(text)
    _, known = find_source(spec.name, weights)
    if known is not None and (classes := published_classes(spec.name)) != width:
        raise ModelError(other_width(text, classes, width))
    model = open_model(text, online=online)
    if len(model.labels) != width:
        raise ModelError(other_width(text, len(model.labels), width))
    contract = resized(model.contract, size)
    if known is not None:
        return model.network, contract
    trained = getattr(model.network, "pretrained_cfg", None) or {}  # timm says what it trained with
    mean, std = trained.get("mean", contract.mean), trained.get("std", contract.std)
    return model.network, InputContract(size, scale=contract.scale, mean=tuple(mean), std=tuple(std))
