"""The first stages of a network of the zoo, as a structural edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.edits.edit import Edit
from gossamer.nn.network import Network, truncate

__all__ = ["EDIT"]


def _read(document: Mapping[str, Any]) -> int:
    return int(document["stages"])


def _apply(network: nn.Module, stages: int) -> nn.Module:
    if not isinstance(network, Network):
        raise ModelError(
            f"only the zoo's networks can be cut after a stage, got {type(network).__name__}; leave out '[:k]'"
        )
    return truncate(network, stages)


EDIT = Edit(_read, _apply)
