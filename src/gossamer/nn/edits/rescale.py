"""Numbers in the unit of the data from numbers of size one, as the last thing a network does."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.edits.edit import Edit
from gossamer.nn.network import Network

__all__ = ["EDIT", "Rescale"]


class Rescale(nn.Module):
    """(B, D) -> (B, D): each number times its scale plus its offset; neither is trained."""

    scale: Tensor
    offset: Tensor

    def __init__(self, scale: Sequence[float], offset: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(list(scale), dtype=torch.float32))
        self.register_buffer("offset", torch.tensor(list(offset), dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.offset


class Scaling(NamedTuple):
    """One number of each for every output."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]


def _read(document: Mapping[str, Any]) -> Scaling:
    try:
        scale, offset = (tuple(float(value) for value in document[key]) for key in ("scale", "offset"))
        if not scale or len(scale) != len(offset):
            raise ValueError("scale and offset differ in length")
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"a rescale edit holds equally many numbers scale and offset, got {dict(document)!r:.80}; {error}"
        ) from error
    return Scaling(scale, offset)


def _apply(network: nn.Module, how: Scaling) -> nn.Module:
    last = Rescale(how.scale, how.offset)
    ours = copy.deepcopy(network)
    if not isinstance(ours, Network):
        return nn.Sequential(ours, last)
    parts = list(ours.head) if isinstance(ours.head, nn.Sequential) else [ours.head]
    ours.head = nn.Sequential(*parts, last)
    return ours


EDIT = Edit(_read, _apply)
