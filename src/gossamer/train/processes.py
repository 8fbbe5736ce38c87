"""How many processes train together, and which of them this one is."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["Processes", "rank_here"]


@dataclass(frozen=True)
class Processes:
    """Lightning's strategy over `devices` a node and `nodes`; started by Lightning itself, torchrun or SLURM."""

    strategy: str = "auto"
    devices: int = 1
    nodes: int = 1
    accelerator: str = "auto"

    @property
    def world(self) -> int:
        """How many there are."""
        return self.devices * self.nodes


def rank_here() -> int:
    """The number of this process among those that train together, before Lightning knows it; 0 writes and speaks."""
    for name in ("RANK", "SLURM_PROCID"):
        if os.environ.get(name, "").isdigit() and (name == "RANK" or "SLURM_NTASKS" in os.environ):
            return int(os.environ[name])
    node, local = os.environ.get("NODE_RANK", "0"), os.environ.get("LOCAL_RANK", "0")
    return int(local) if node == "0" else int(node) * 1000 + int(local)
