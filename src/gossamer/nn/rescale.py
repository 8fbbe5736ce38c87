"""Numbers in the unit of the data from numbers of size one, as the last thing a network does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.network import Network

__all__ = ["Rescale", "read_rescale", "rescale_outputs"]


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


def rescale_outputs(network: nn.Module, scale: Sequence[float], offset: Sequence[float]) -> nn.Module:
    """A network that gives what the given one gives in another unit; it shares the given one's layers."""
    last = Rescale(scale, offset)
    if not isinstance(network, Network):
        return nn.Sequential(network, last)
    parts = list(network.head) if isinstance(network.head, nn.Sequential) else [network.head]
    network.head = nn.Sequential(*parts, last)
    return network


def read_rescale(edit: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Scale and offset of a structural edit.

    Raises:
        ModelError: it does not hold equally many numbers of each.
    """
    try:
        scale, offset = ([float(value) for value in edit[key]] for key in ("scale", "offset"))
        if not scale or len(scale) != len(offset):
            raise ValueError("scale and offset differ in length")
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"a rescale edit holds equally many numbers scale and offset, got {dict(edit)!r:.80}; {error}"
        ) from error
    return scale, offset
