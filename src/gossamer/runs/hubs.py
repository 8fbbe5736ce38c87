"""No verb asks a hub for weights unless a person said --online (torch)."""

from __future__ import annotations

from gossamer.errors import ModelError
from gossamer.zoo.weights import find_source

__all__ = ["check_weights"]

_HUBS = ("timm", "torchvision")


def check_weights(name: str, weights: str, *, online: bool) -> None:
    """Complain about weights of a network that are none, or that lie on a hub where nothing may be fetched.

    Raises:
        ModelError: one line for a person.
    """
    source, known = find_source(name, weights)
    if known is not None and source in _HUBS and not online:
        raise ModelError(
            f"the weights {name}@{source} lie on a public hub; allow it with --online or give a file, {name}@PATH"
        )
