"""What a structural edit is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import nn

__all__ = ["Edit"]

T = TypeVar("T")


@dataclass(frozen=True)
class Edit(Generic[T]):
    """How one kind of edit goes from JSON to a network."""

    read: Callable[[Mapping[str, Any]], T]
    """Its JSON; raises ModelError where a key is missing or of the wrong kind."""
    apply: Callable[[nn.Module, T], nn.Module]
    """A new network, its weights as far as the edit tells them; raises ModelError where it is of another network."""
