"""A network that is only counted or timed, and the input it is looked at with (torch)."""

from __future__ import annotations

from typing import Any

from torch import nn

from gossamer.runs.hubs import check_weights
from gossamer.runs.model import is_bundle, open_model
from gossamer.runs.model_config import parse_input
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import input_of
from gossamer.zoo.spec import parse_model

__all__ = ["load_network"]


def load_network(
    model: str, input: str | None, seed: int, *, online: bool = False
) -> tuple[nn.Module, tuple[int, int, int]]:
    """The network of MODEL, and the shape (bands, H, W) it is looked at with: its own, or that of `input`.

    Weights that lie on a hub are fetched only `online`.

    Raises:
        GossamerError and its children: there is none of that name, or `input` reads otherwise.
    """
    if is_bundle(model):
        opened = open_model(model)
        bands, height, width = opened.contract.shape[1:]
        return opened.network, (bands, height, width) if input is None else parse_input(input)
    spec, weights = parse_model(model)
    if weights is not None:
        check_weights(spec.name, weights, online=online)
    side = input_of(spec.name)
    if input is None:
        network = build(model, seed=seed)
        own: Any = network.spec
        return network, (own.arguments.get("in_channels", 3), side, side)
    shape = parse_input(input)
    return build(model, seed=seed, in_channels=None if shape[0] == 3 else shape[0]), shape
