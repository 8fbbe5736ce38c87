"""gossamer: from your pictures and a device budget to a deployed lightweight network.

The public names load on first use, so that importing gossamer needs no torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Budget": "gossamer.types",
    "Bundle": "gossamer.deploy.bundle",
    "GossamerError": "gossamer.errors",
    "InputContract": "gossamer.deploy.contract",
    "ModelSpec": "gossamer.zoo.spec",
    "bench": "gossamer.verbs",
    "build": "gossamer.zoo.build",
    "check": "gossamer.data.check",
    "export": "gossamer.verbs",
    "fuse": "gossamer.nn.edits.fuse",
    "load": "gossamer.deploy.bundle",
    "measure": "gossamer.cost.meter",
    "network_of": "gossamer.zoo.of_bundle",
    "predict": "gossamer.deploy.predict",
    "prune": "gossamer.compress.prune.targets",
}
_CALLED = ("compress", "fit", "report", "train")
"""Packages that can be called as the verb of their name."""

__all__ = [
    "Budget",
    "Bundle",
    "GossamerError",
    "InputContract",
    "ModelSpec",
    "__version__",
    "bench",
    "build",
    "check",
    "compress",
    "export",
    "fit",
    "fuse",
    "load",
    "measure",
    "network_of",
    "predict",
    "prune",
    "report",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _CALLED:
        return importlib.import_module(f"gossamer.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'gossamer' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC, *_CALLED})
