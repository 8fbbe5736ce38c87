"""MODEL given in Python: a text, a path, a bundle, or a module (torch)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from gossamer.deploy.bundle import Bundle
from gossamer.deploy.contract import InputContract
from gossamer.errors import ModelError
from gossamer.runs.model import Model, plain_contract, width_of
from gossamer.runs.model_config import parse_input
from gossamer.tasks import get_task
from gossamer.types import Size
from gossamer.zoo.catalogue import task_of
from gossamer.zoo.spec import ModelSpec

__all__ = ["named_model"]


def named_model(model: Any, input: str | None, *, rebuilt: bool = False) -> tuple[str, Model | None]:
    """(MODEL as a text, the opened network where no text tells it).

    `input` is what a module takes, BANDSxHEIGHTxWIDTH, 3x224x224 without. Three bands are red, green and blue, normalised as
    for a network by name, by ImageNet's mean and deviation; the values of others go in as they are. With `rebuilt` it must be
    one that a spec rebuilds.

    Raises:
        ModelError: it is nothing of these, or a module without a spec where one is needed.
    """
    if isinstance(model, str | Path):
        return str(model), None
    if isinstance(model, Bundle):
        return str(model.folder), None
    if not isinstance(model, nn.Module):
        raise ModelError(f"a model is a name, a bundle or a torch module, got {type(model).__name__}")
    spec: ModelSpec | None = getattr(model, "spec", None)
    name = type(model).__name__
    if spec is None and rebuilt:
        raise ModelError(
            f"a network is compressed that its spec rebuilds, {name} has none; build it with gossamer.build, or name it "
            "timm:NAME or torchvision:NAME"
        )
    shape = parse_input(input or "3x224x224")
    contract = InputContract.of("imagenet", Size(*shape[1:])) if shape[0] == 3 else plain_contract(shape)
    network = model.eval()
    task = get_task("classify" if spec is None else task_of(spec.name))
    width = width_of(network, contract, name, task)
    labels = tuple(map(str, range(width)))
    made = spec or ModelSpec(f"python:{name}")
    return name.lower(), Model(network, made, contract, task, labels, None)
