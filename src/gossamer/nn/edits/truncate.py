"""The first stages of a network of the zoo, or the first blocks of each of them, as a structural edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.edits.edit import Edit
from gossamer.nn.network import Network, truncate

__all__ = ["EDIT"]


def _read(document: Mapping[str, Any]) -> int | list[int]:
    if "blocks" in document:
        return [int(count) for count in document["blocks"]]
    return int(document["stages"])


def _apply(network: nn.Module, blocks: int | list[int]) -> nn.Module:
    if not isinstance(network, Network):
        raise ModelError(
            f"only the zoo's networks can be cut after a stage, got {type(network).__name__}; leave out '[:k]'"
        )
    return truncate(network, blocks)


EDIT = Edit(_read, _apply)
