"""What is not installed, said before any work (no torch)."""

from __future__ import annotations

import importlib.util

from gossamer._waiting import wait_passively
from gossamer.errors import MissingExtraError

__all__ = ["need_torch"]


def need_torch() -> None:
    """Raises MissingExtraError where torch or lightning is not installed; before torch is loaded its threads are told to
    wait as they should.
    """
    wait_passively()
    for package in ("torch", "lightning"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError("training", package, "train")
