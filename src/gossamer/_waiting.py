"""How threads of one computation wait for each other (the standard library alone: it must run before torch is imported)."""

from __future__ import annotations

import os
import sys

__all__ = ["wait_passively"]


def wait_passively() -> None:
    """Let threads sleep at barriers instead of spinning, unless the environment says otherwise.

    Each layer of a network is a barrier. A thread that spins there holds the core that the one it waits for needs as soon
    as other processes want their share: two cores with five of them gave a hundredth of the pictures a second. OpenMP's
    runtimes read this when they are loaded: after that it is too late, and nothing is changed.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
