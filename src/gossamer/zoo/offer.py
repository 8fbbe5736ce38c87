"""A network at a size that a task thinks worth trying: plain values, before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gossamer.types import Size

__all__ = ["Offer"]


@dataclass(frozen=True)
class Offer:
    """What a task's `networks.offers` gives to `fit`."""

    name: str
    """As a person writes MODEL, without weights."""
    size: Size
    weights: str | None
    """A source of weights at hand."""
    preprocessing: str
    """A key of `gossamer.deploy.contract.PREPROCESSING`."""
    params: int
    macs: int
    promise: float
    """In the unit of the task's headline figure, plus what weights are worth: the order in which offers are tried."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of the builder, beside the catalogue's."""
